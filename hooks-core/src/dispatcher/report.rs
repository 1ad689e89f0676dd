//! What a dispatcher says of its hooks.

use std::time::Duration;

use crate::id::HookId;
use crate::ledger::Counts;
use crate::sink::{Answer, Reason};
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
