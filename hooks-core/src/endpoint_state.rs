//! The state of a hook's receiver, and the names that it has outside.

use std::fmt;

use serde::Serialize;

/// The state of a hook's receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndpointState {
    /// The receiver accepted the last batch, at least in part.
    #[default]
    Healthy,
    /// Attempts fail, or an event is refused and nothing else was accepted since; the next attempt waits.
    BackingOff,
    /// The receiver asked for a pause.
    Throttled,
    /// The endpoint itself is wrong, or refuses everything (several events, and accepted none since): events are held
    /// until that changes.
    Held,
    /// The receiver wants nothing any more, or the operator disabled the hook.
    Disabled,
}

impl EndpointState {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Healthy, Self::BackingOff, Self::Throttled, Self::Held, Self::Disabled];

    /// The name in metrics, logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::BackingOff => "backing_off",
            Self::Throttled => "throttled",
            Self::Held => "held",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
