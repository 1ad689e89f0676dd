//! The parts that the kits share: the steps of a check, its end, and running it.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;

use super::report::Verdict;
use crate::envelope::EnvelopeError;
use crate::event_pattern::EventPatternError;
use crate::id::{InvalidHookId, InvalidTenantId};
use crate::worker::panic_text;

/// The reason why a check ended early.
pub(super) enum Stop {
    Failed(String),
    Skipped(String),
}

impl From<EnvelopeError> for Stop {
    fn from(error: EnvelopeError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<InvalidHookId> for Stop {
    fn from(error: InvalidHookId) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<InvalidTenantId> for Stop {
    fn from(error: InvalidTenantId) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<EventPatternError> for Stop {
    fn from(error: EventPatternError) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(super) type Checked<T = ()> = Result<T, Stop>;

/// The current step of a check, for messages.
#[derive(Debug, Default)]
pub(super) struct Steps(Mutex<String>);

impl Steps {
    pub(super) fn doing(&self, step: impl Into<String>) {
        *self.0.lock() = step.into();
    }

    /// The failure of this step.
    pub(super) fn failed(&self, why: impl fmt::Display) -> Stop {
        Stop::Failed(self.says(why))
    }

    fn says(&self, what: impl fmt::Display) -> String {
        format!("{}: {what}", self.0.lock())
    }
}

/// Runs a check to its end or the time limit. `what` names the subject under test.
pub(super) async fn run_check(
    what: &str,
    limit: Duration,
    steps: &Steps,
    check: impl Future<Output = Checked>,
) -> Verdict {
    match tokio::time::timeout(limit, AssertUnwindSafe(check).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(Stop::Failed(why)))) => Verdict::Failed(why),
        Ok(Ok(Err(Stop::Skipped(why)))) => Verdict::Skipped(why),
        Ok(Err(panic)) => Verdict::Failed(steps.says(format!("the {what} panicked: {}", panic_text(&*panic)))),
        Err(_) => Verdict::Failed(steps.says("does not return")),
    }
}

/// Numbers of polls after which checks drop a future.
pub(super) const POLLS: [usize; 12] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32];
