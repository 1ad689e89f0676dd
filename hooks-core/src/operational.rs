//! The kinds of events that a dispatcher itself publishes.

use crate::endpoint_state::EndpointState;

/// A kind of event that a dispatcher publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OperationalEvent {
    /// An endpoint came into this state.
    Endpoint(EndpointState),
    /// An endpoint has accepted nothing for as long as its hook's `warn_after`.
    Failing,
    /// It accepts events again.
    Recovered,
    /// An event was given up.
    DeadLetter,
    /// The events that hooks still need fill most of the log.
    LogFilling,
}

impl OperationalEvent {
    /// Every kind.
    pub(crate) const ALL: [Self; 9] = [
        Self::Endpoint(EndpointState::Healthy),
        Self::Endpoint(EndpointState::BackingOff),
        Self::Endpoint(EndpointState::Throttled),
        Self::Endpoint(EndpointState::Held),
        Self::Endpoint(EndpointState::Disabled),
        Self::Failing,
        Self::Recovered,
        Self::DeadLetter,
        Self::LogFilling,
    ];

    /// The type of the event.
    pub(crate) const fn event_type(self) -> &'static str {
        match self {
            Self::Endpoint(EndpointState::Healthy) => "hooks.endpoint.healthy",
            Self::Endpoint(EndpointState::BackingOff) => "hooks.endpoint.backing_off",
            Self::Endpoint(EndpointState::Throttled) => "hooks.endpoint.throttled",
            Self::Endpoint(EndpointState::Held) => "hooks.endpoint.held",
            Self::Endpoint(EndpointState::Disabled) => "hooks.endpoint.disabled",
            Self::Failing => "hooks.endpoint.failing",
            Self::Recovered => "hooks.endpoint.recovered",
            Self::DeadLetter => "hooks.dead_letter.created",
            Self::LogFilling => "hooks.log.filling",
        }
    }

    /// The place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|known| *known == self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_type() {
        for state in EndpointState::ALL {
            let kind = OperationalEvent::Endpoint(*state);
            assert_eq!(kind.event_type(), format!("hooks.endpoint.{state}"));
            assert_eq!(OperationalEvent::ALL[kind.index()], kind);
        }
    }
}
