//! The worker's calls on a hook: may it deliver, and which events are settled.

use hooks_core::{Position, bus::Settle};
use tokio::time::Instant;

use super::Hook;

impl<T: Send + Sync, F: Send> Settle for Hook<T, F> {
    fn settle(&self, positions: &[Position]) -> usize {
        let mut state = self.state.lock();
        let settled = state.cursor.settle(positions.iter().map(|position| position.get()));
        if settled > 0 && !std::mem::replace(&mut state.dirty, true) {
            self.settled.notify_one();
        }
        if std::mem::take(&mut state.flushed) {
            self.changed.notify_one();
        }
        settled
    }

    fn holds(&self) -> bool {
        let state = self.state.lock();
        state.is_usable() && state.next.is_none() && state.in_worker && self.lease.holds(Instant::now())
    }

    fn admit(&self) -> bool {
        let mut state = self.state.lock();
        let lost = state.in_worker && state.next.is_some();
        if lost || !state.is_usable() || !self.lease.holds(Instant::now()) {
            return false;
        }
        state.adopt_next_cursor();
        state.in_worker = true;
        true
    }
}
