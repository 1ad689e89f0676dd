//! What a dispatcher says of its hooks.

use std::time::Duration;

use crate::bus::Lag;
use crate::delivery::{Answer, Reason};
use crate::id::HookId;
use crate::ledger::Counts;
use crate::overrides::Override;
use crate::stats::AttemptStats;
use crate::worker::EndpointState;

/// What is known of a hook at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HookStatus {
    /// Its name.
    pub id: HookId,
    /// The kind of its sink.
    pub sink: String,
    /// Its books. After a shutdown, `in_flight` is what was left behind.
    pub counts: Counts,
    /// Whether its settings enable it. What else [disables](Self::disabled) it is not among them.
    pub enabled: bool,
    /// How it stands with its receiver.
    pub state: EndpointState,
    /// Attempts so far, failed ones too.
    pub attempts: u64,
    /// Attempts by outcome, and how long they took. `None` before the first.
    pub stats: Option<Box<AttemptStats>>,
    /// What it has not settled, where the bus can say so.
    pub lag: Option<Lag>,
    /// Dead letters that are kept, where the bus keeps any.
    pub dead_letters: Option<u64>,
    /// Who disabled it, where its settings don't.
    pub disabled: Option<Override>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
}

/// What a hook is not done with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftBehind {
    /// Events that came to it, read or not.
    pub events: u64,
    /// Whether all of these match its filter. Where it is false, they are the most that it can be.
    pub exact: bool,
}

impl HookStatus {
    /// What the hook is not done with, read or not. After a shutdown that is what was left behind; a bus that
    /// outlives the process keeps it.
    pub fn left_behind(&self) -> LeftBehind {
        let in_flight = self.counts.in_flight;
        match self.lag {
            Some(lag) if lag.events > in_flight => LeftBehind { events: lag.events, exact: lag.exact },
            _ => LeftBehind { events: in_flight, exact: true },
        }
    }

    /// Events that came to the hook, read or not, each once: those delivered, dropped, dead-lettered and
    /// [left behind](Self::left_behind). At most, where what is left behind is.
    pub fn came(&self) -> u64 {
        let Counts { delivered, dead_lettered, .. } = self.counts;
        delivered + self.counts.dropped() + dead_lettered + self.left_behind().events
    }

    /// Whether nothing is left behind: each event was delivered, or given up with a reason that the books have.
    pub fn is_drained(&self) -> bool {
        self.left_behind().events == 0
    }

    /// Whether everything arrived: nothing is left behind, nothing was dropped since the process started, and no
    /// dead letter is kept. One that was replayed has arrived.
    pub fn is_complete(&self) -> bool {
        let dead_letters = self.dead_letters.unwrap_or(self.counts.dead_lettered);
        self.is_drained() && self.counts.dropped() == 0 && dead_letters == 0
    }
}

/// What a shutdown delivered and what it left behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// One entry per hook, by name.
    pub hooks: Vec<HookStatus>,
}

impl Report {
    /// Whether every event of every hook arrived. See [`HookStatus::is_complete`].
    pub fn is_complete(&self) -> bool {
        self.hooks.iter().all(HookStatus::is_complete)
    }

    /// Whether no hook left anything behind: what did not arrive was given up with a reason. See
    /// [`HookStatus::is_drained`].
    pub fn is_drained(&self) -> bool {
        self.hooks.iter().all(HookStatus::is_drained)
    }
}

/// What came of a replay of dead letters, as far as it came.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Delivered, and no dead letters any more.
    pub delivered: usize,
    /// Refused once more; they stay, with the new reason.
    pub refused: usize,
    /// Not tried to the end: the receiver can't be delivered to now, or the hook was changed, stopped or taken by
    /// another instance meanwhile. They stay.
    pub untried: usize,
    /// When not everything arrived: what the receiver said last, or what cut the replay off.
    pub error: Option<String>,
}

/// What came of a test delivery.
#[derive(Debug)]
#[non_exhaustive]
pub struct TestReport {
    /// What the receiver answered.
    pub answer: Answer,
    /// Why the receiver refused the test event, if it did.
    pub refused: Option<Reason>,
    /// How long it took.
    pub took: Duration,
    /// What the sink tells of it: names and texts, for people.
    pub notes: Vec<(String, String)>,
}
