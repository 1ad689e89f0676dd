//! The health of a bus.

use serde::Serialize;

/// The health of a bus, for probes, operators, metrics and the service manager.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BusHealth {
    /// The bus accepts events and hooks go on, as far as is known.
    #[default]
    Well,
    /// The bus can't work now, for this reason, and goes on without help once it can.
    Unavailable(String),
    /// The bus can't work any more, for this reason: only a restart of the process helps.
    Broken(String),
}

impl BusHealth {
    /// The reason why the bus can't work.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Well => None,
            Self::Unavailable(why) | Self::Broken(why) => Some(why),
        }
    }

    /// Returns true if only a restart of the process helps.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}
