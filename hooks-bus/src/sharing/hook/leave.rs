//! How a worker lets go of a hook that another instance is to have.

use std::time::Duration;

use tokio::time::Instant;

use super::Hook;

/// How far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    Asked(Instant),
    /// The worker has dropped its events.
    Dropped,
}

impl<T, F> Hook<T, F> {
    /// Asks the worker to drop the hook, or takes that back.
    pub(crate) fn leave(&self, leave: bool, now: Instant) {
        let mut state = self.state.lock();
        match (leave, state.leaving) {
            (true, Leaving::No) => state.leaving = Leaving::Asked(now),
            (false, Leaving::Asked(_) | Leaving::Dropped) => state.leaving = Leaving::No,
            _ => return,
        }
        self.changed.notify_one();
    }

    /// True if the hook can be released: its worker dropped it, or did not within the grace.
    pub(crate) fn has_left(&self, now: Instant, grace: Duration) -> bool {
        match self.state.lock().leaving {
            Leaving::No => false,
            Leaving::Asked(since) => now.saturating_duration_since(since) >= grace,
            Leaving::Dropped => true,
        }
    }
}
