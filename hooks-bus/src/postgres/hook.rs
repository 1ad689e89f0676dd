//! What the Postgres bus adds to a hook that instances share.

use std::sync::atomic::{AtomicI64, Ordering};

use hooks_core::Lag;

use crate::sharing;

/// `born` is the mark of its row: another hook of the same name has another.
pub(super) type Hook = sharing::Hook<Born, ()>;

/// The mark of a hook's row.
#[derive(Debug)]
pub(super) struct Born(AtomicI64);

impl Born {
    pub(super) fn new(mark: i64) -> Self {
        Self(AtomicI64::new(mark))
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The row is another one.
    pub(super) fn set(&self, mark: i64) {
        self.0.store(mark, Ordering::Relaxed);
    }
}

impl Hook {
    /// The hook's unsettled events, if this instance owns it. `end`: the end of the log; `average`: bytes of an event.
    pub(super) fn lag(&self, end: u64, average: u64) -> Option<Lag> {
        let state = self.state.lock();
        state.owned_revision?;
        let (events, bytes) = state.cursor.in_flight();
        let (events, bytes, from) = match &state.next {
            Some(next) => (0, 0, next.position()),
            None => (events as u64, bytes as u64, state.cursor.read_to()),
        };
        let waiting = end.saturating_sub(from);
        let oldest = state.cursor.oldest();
        Some(Lag { events: events + waiting, bytes: bytes + waiting * average, oldest, exact: waiting == 0 })
    }
}
