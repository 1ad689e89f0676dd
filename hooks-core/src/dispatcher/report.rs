//! What a dispatcher says of its hooks.

use std::time::Duration;

use super::disabled::Disabled;
use crate::bus::Lag;
use crate::delivery::{Answer, Reason};
use crate::id::HookId;
use crate::ledger::Counts;
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
    /// Its books. After a shutdown, `in_hand` is what was left behind.
    pub counts: Counts,
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
    pub disabled: Option<Disabled>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<String>,
}

/// What a shutdown delivered and what it left behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// One entry per hook, by name.
    pub hooks: Vec<HookStatus>,
}

impl Report {
    /// Whether every event of every hook was delivered.
    pub fn is_complete(&self) -> bool {
        self.hooks.iter().all(|hook| hook.counts.delivered == hook.counts.taken)
    }
}

/// What came of a replay of dead letters.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Delivered, and no dead letters any more.
    pub delivered: usize,
    /// Refused once more; they stay.
    pub refused: usize,
    /// Not tried: the receiver can't be delivered to now. They stay.
    pub untried: usize,
    /// What the receiver said last, when not everything arrived.
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
