//! The results of a dispatcher's longer operations.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::status::HookStatus;
use crate::delivery::{Answer, Reason};

/// The result of a shutdown: the last status of all hooks.
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
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

/// The result of sending past events again, as far as it came.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ResendReport {
    /// Number of events that were chosen and that the hook takes.
    pub matched: usize,
    /// Number of events that were chosen and that the hook's filter leaves out.
    pub unmatched: usize,
    /// Number of those delivered.
    pub delivered: usize,
    /// Number of those refused, which are dead letters now.
    pub refused: usize,
    /// Positions that can't be read any more, because the log is damaged there.
    pub unreadable: u64,
    /// The position to go on at, when it ended early: events before it are done with, those from there on were not tried
    /// to the end.
    pub next: Option<u64>,
    /// When not all arrived: the receiver's last answer, or the reason why it ended early.
    pub error: Option<String>,
}

/// The result of a test delivery.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// The receiver's answer.
    pub answer: Answer,
    /// The reason why the receiver refused the test event, if it did.
    pub refused: Option<Reason>,
    /// Duration of the attempt.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// The sink's notes: names and texts, for people.
    pub notes: Vec<(String, String)>,
}

fn seconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}
