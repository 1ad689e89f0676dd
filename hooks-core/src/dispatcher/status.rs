//! The status of a hook, and its JSON.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::slot::Slot;
use crate::bus::Lag;
use crate::endpoint_state::EndpointState;
use crate::id::{HookId, TenantId};
use crate::ledger::Counts;
use crate::overrides::{Disabled, DisabledBy};
use crate::stats::AttemptStats;
use crate::worker::clock;

/// The status of a hook at one moment. Its JSON is its [`HookReport`].
#[derive(Debug, Clone, Serialize)]
#[serde(into = "HookReport")]
#[non_exhaustive]
pub struct HookStatus {
    /// The hook's name.
    pub id: HookId,
    /// The tenant whose hook it is, if it is one's.
    pub tenant: Option<TenantId>,
    /// The kind of its sink.
    pub sink: String,
    /// The counts of its events. After a shutdown, `in_flight` counts those left behind.
    pub counts: Counts,
    /// True if its settings enable it. An [override](Self::disabled) may disable it all the same.
    pub enabled: bool,
    /// The state of its receiver.
    pub state: EndpointState,
    /// Attempts so far, failed ones too.
    pub attempts: u64,
    /// Attempts by outcome, and their durations. `None` before the first.
    pub stats: Option<Box<AttemptStats>>,
    /// Its unsettled events, where the bus can tell.
    pub lag: Option<Lag>,
    /// Number of its dead letters, where the bus keeps any.
    pub dead_letters: Option<u64>,
    /// The override that disables it, if there is one.
    pub disabled: Option<Disabled>,
    /// The error of the last attempt, if it failed.
    pub last_error: Option<String>,
    /// The first failure since its receiver accepted anything, as far as this process knows.
    pub failing_since: Option<SystemTime>,
}

/// The events that a hook is not done with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// Number of these events, read or not.
    pub events: u64,
    /// True if all of these match the hook's filter. Otherwise `events` is an upper bound.
    pub exact: bool,
}

impl HookStatus {
    /// The status of the hook in this slot.
    pub(super) fn of(slot: &Slot, lag: Option<Lag>) -> Self {
        let endpoint = slot.endpoint.state.lock();
        Self {
            id: slot.hook.id.clone(),
            tenant: slot.hook.tenant().cloned(),
            sink: slot.hook.sink.kind().to_owned(),
            counts: slot.ledger.counts(),
            enabled: slot.hook.enabled,
            state: endpoint.state(),
            attempts: endpoint.stats().map_or(0, AttemptStats::total),
            stats: endpoint.stats().cloned().map(Box::new),
            lag,
            dead_letters: slot.dead_letters.as_ref().map(|dead_letters| dead_letters.count()),
            disabled: slot.overridden.get().map(Disabled::from),
            last_error: endpoint.last_error().map(str::to_owned),
            failing_since: endpoint.failing_since().and_then(clock::time_of),
        }
    }

    /// Returns true if its settings enable it, and this one disabled it.
    pub fn is_disabled_by(&self, by: DisabledBy) -> bool {
        self.enabled && self.disabled.as_ref().is_some_and(|disabled| disabled.by == by)
    }

    /// The events that the hook is not done with, read or not. After a shutdown these were left behind; a bus that
    /// outlives the process keeps them.
    pub fn left_behind(&self) -> LeftBehind {
        let in_flight = self.counts.in_flight;
        match self.lag {
            Some(lag) if lag.events > in_flight => LeftBehind { events: lag.events, exact: lag.exact },
            _ => LeftBehind { events: in_flight, exact: true },
        }
    }

    /// Number of events for the hook, read or not, each once: those delivered, dropped, dead-lettered and
    /// [left behind](Self::left_behind). An upper bound where the last is one.
    pub fn came(&self) -> u64 {
        let Counts { delivered, dead_lettered, .. } = self.counts;
        delivered + self.counts.dropped() + dead_lettered + self.left_behind().events
    }

    /// Returns true if no event is left behind: each was delivered, or given up and counted with a reason.
    pub fn is_drained(&self) -> bool {
        self.left_behind().events == 0
    }

    /// Returns true if everything arrived: no event is left behind, none was dropped since the process started, and no
    /// dead letter is kept. One that was replayed has arrived.
    pub fn is_complete(&self) -> bool {
        let dead_letters = self.dead_letters.unwrap_or(self.counts.dead_lettered);
        self.is_drained() && self.counts.dropped() == 0 && dead_letters == 0
    }
}

/// The status of a hook as JSON. Where no dispatcher runs the hook, it has what the bus knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
pub struct HookReport {
    /// The hook's name.
    pub id: HookId,
    /// The tenant whose hook it is, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The name of an [`EndpointState`]; of a hook that does not run: why not.
    pub state: String,
    /// The override that disables it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// The kind of its sink, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// The instance that has it, where instances share hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// It is done with everything up to here, where that is known apart from the process that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Its counts since the process started, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<HookCounts>,
    /// Its unsettled events, where the bus can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<Lag>,
    /// Number of its dead letters.
    pub dead_letters: u64,
    /// The error of the last attempt, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The first failure since its receiver accepted anything, as far as this process knows.
    #[serde(default, with = "crate::timestamp::option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "config", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub failing_since: Option<SystemTime>,
}

/// The counts of a hook since the process started.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
pub struct HookCounts {
    /// Its events.
    #[serde(flatten)]
    pub events: Counts,
    /// Attempts to deliver, failed ones too.
    pub attempts: u64,
}

impl HookReport {
    /// The report of a hook that does not run, for this reason. Nothing else is known of it.
    pub fn idle(id: HookId, state: &str) -> Self {
        Self {
            id,
            tenant: None,
            state: state.to_owned(),
            disabled: None,
            sink: None,
            owner: None,
            position: None,
            counts: None,
            lag: None,
            dead_letters: 0,
            last_error: None,
            failing_since: None,
        }
    }
}

impl From<HookStatus> for HookReport {
    fn from(status: HookStatus) -> Self {
        Self {
            id: status.id,
            tenant: status.tenant,
            state: status.state.name().to_owned(),
            disabled: status.disabled,
            sink: Some(status.sink),
            owner: None,
            position: None,
            counts: Some(HookCounts { events: status.counts, attempts: status.attempts }),
            lag: status.lag,
            dead_letters: status.dead_letters.unwrap_or(0),
            last_error: status.last_error,
            failing_since: status.failing_since,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::ledger::{DropReason, Ledger, Outcome};
    use crate::overrides::{DisabledBy, Override};

    /// What programs read from `hooks status --json`: names, their order, what is absent, and how times look.
    #[test]
    fn the_json_of_a_status_stays_as_it_is() {
        let ledger = Ledger::default();
        ledger.take(9);
        ledger.settle(3, 3, Outcome::Delivered);
        ledger.settle(2, 2, Outcome::Dropped(DropReason::Expired));
        ledger.hand_over(1);
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_687_200_900);
        let mut status = HookStatus {
            id: HookId::new("a").unwrap(),
            tenant: None,
            sink: "http".to_owned(),
            counts: ledger.counts(),
            enabled: true,
            state: EndpointState::BackingOff,
            attempts: 7,
            stats: None,
            lag: Some(Lag { events: 5, bytes: 60, oldest: Some(time), exact: true }),
            dead_letters: None,
            disabled: Some(Override::disabled(DisabledBy::Operator, None, time).into()),
            last_error: Some("503".to_owned()),
            failing_since: Some(time),
        };
        let full = concat!(
            r#"{"id":"a","state":"backing_off","disabled":{"by":"operator","since":"2026-11-26T10:00:00Z"},"#,
            r#""sink":"http","counts":{"taken":9,"delivered":3,"dropped":2,"dead_lettered":0,"in_hand":3,"#,
            r#""handed_over":1,"attempts":7},"#,
            r#""lag":{"events":5,"bytes":60,"oldest":"2026-11-26T10:00:00Z","exact":true},"#,
            r#""dead_letters":0,"last_error":"503","failing_since":"2026-11-26T10:00:00Z"}"#,
        );
        assert_eq!(serde_json::to_string(&status).unwrap(), full);
        let read: HookReport = serde_json::from_str(full).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), full);
        status.failing_since = None;

        let reason = Some("gone".to_owned());
        status.disabled = Some(Override::disabled(DisabledBy::Receiver, reason, time).into());
        status.lag = Some(Lag::default());
        status.tenant = Some(TenantId::new("acme").unwrap());
        let text = serde_json::to_string(&status).unwrap();
        assert!(text.starts_with(r#"{"id":"a","tenant":"acme","state":"#), "{text}");
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["disabled"]["reason"], "gone");
        assert_eq!(json["lag"].to_string(), r#"{"bytes":0,"events":0,"exact":false,"oldest":null}"#);
        let idle = HookReport::idle(HookId::new("a").unwrap(), "stopped");
        assert_eq!(serde_json::to_string(&idle).unwrap(), r#"{"id":"a","state":"stopped","dead_letters":0}"#);
    }
}
