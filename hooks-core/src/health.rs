//! Whether a bus can do its work.

/// How it stands with a bus. Probes, operators, metrics and the service manager hear of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusHealth {
    /// As far as is known it accepts events, and hooks go on.
    #[default]
    Well,
    /// It can't do its work now, for this reason, and goes on by itself once it can.
    Unavailable(String),
    /// It can't do its work any more, for this reason: only a new start of the process helps.
    Broken(String),
}

impl BusHealth {
    /// What is wrong, and for whom that is enough, what to do.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Well => None,
            Self::Unavailable(why) | Self::Broken(why) => Some(why),
        }
    }

    /// Whether only a new start of the process helps.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}
