//! The reports of a dispatcher about its hooks.

use std::time::Duration;

use crate::bus::Lag;
use crate::delivery::{Answer, Reason};
use crate::id::HookId;
use crate::ledger::Counts;
use crate::overrides::Override;
use crate::stats::AttemptStats;
use crate::worker::EndpointState;

/// The status of a hook at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HookStatus {
    /// The hook's name.
    pub id: HookId,
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
    pub disabled: Option<Override>,
    /// The error of the last attempt, if it failed.
    pub last_error: Option<String>,
}

/// The events that a hook is not done with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftBehind {
    /// Number of these events, read or not.
    pub events: u64,
    /// True if all of these match the hook's filter. Otherwise `events` is an upper bound.
    pub exact: bool,
}

impl HookStatus {
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

/// The result of a shutdown: the last status of all hooks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// One entry per hook, by name.
    pub hooks: Vec<HookStatus>,
}

impl Report {
    /// Returns true if every event of every hook arrived. See [`HookStatus::is_complete`].
    pub fn is_complete(&self) -> bool {
        self.hooks.iter().all(HookStatus::is_complete)
    }

    /// Returns true if no hook left an event behind: those that did not arrive were given up with a reason. See
    /// [`HookStatus::is_drained`].
    pub fn is_drained(&self) -> bool {
        self.hooks.iter().all(HookStatus::is_drained)
    }
}

/// The result of a replay of dead letters, as far as it came.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Number of those delivered, which are removed.
    pub delivered: usize,
    /// Number of those refused again, which stay with the new reason.
    pub refused: usize,
    /// Number of those not tried to the end, which stay: the receiver fails now, or the hook was changed, stopped or
    /// taken over by another instance.
    pub untried: usize,
    /// When not all arrived: the receiver's last answer, or the reason why the replay ended.
    pub error: Option<String>,
}

/// The result of a test delivery.
#[derive(Debug)]
#[non_exhaustive]
pub struct TestReport {
    /// The receiver's answer.
    pub answer: Answer,
    /// The reason why the receiver refused the test event, if it did.
    pub refused: Option<Reason>,
    /// Duration of the attempt.
    pub took: Duration,
    /// The sink's notes: names and texts, for people.
    pub notes: Vec<(String, String)>,
}
