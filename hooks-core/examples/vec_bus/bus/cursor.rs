//! A cursor: how far a hook is in the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Waker;

use hooks_core::{
    DropReason, Filter, Ledger, Position,
    bus::{Delivery, WINDOW},
};

/// How far a hook is in the log, and who reads for it.
#[derive(Default)]
pub(super) struct Cursor {
    pub(super) filter: Arc<Filter>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) enabled: bool,
    /// Number of the reader that has the hook now.
    pub(super) reader: u64,
    /// Position of the next event that was never read.
    pub(super) next: u64,
    /// Positions before it that were read and are not settled.
    pub(super) in_flight: BTreeSet<u64>,
    /// Positions that were in flight with the reader before.
    again: BTreeSet<u64>,
    /// The end of the log when the reader was closed.
    pub(super) end: Option<u64>,
    /// A publisher waits for room.
    pub(super) flush: bool,
    /// Wakes the reader.
    pub(super) waker: Option<Waker>,
}

impl Cursor {
    pub(super) fn at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Position of the oldest event that the hook has not settled.
    pub(super) fn needed(&self) -> u64 {
        let oldest = self.again.first().into_iter().chain(self.in_flight.first()).min();
        oldest.copied().unwrap_or(self.next)
    }

    /// Returns true if the log must not drop the event.
    pub(super) fn blocks(&self, event: &Delivery) -> bool {
        self.in_flight.contains(&event.position.get()) || (self.enabled && self.wants(event))
    }

    /// Returns true if the hook has yet to read the event.
    pub(super) fn wants(&self, event: &Delivery) -> bool {
        let position = event.position.get();
        (position >= self.next || self.again.contains(&position)) && self.filter.matches(event.envelope())
    }

    /// The new reader reads the unsettled events again.
    pub(super) fn take_over(&mut self, reader: u64, filter: Arc<Filter>, ledger: Arc<Ledger>) {
        // A reader with a ledger of its own enters that itself.
        if Arc::ptr_eq(&self.ledger, &ledger) {
            ledger.hand_over(self.in_flight.len());
        }
        self.again.append(&mut self.in_flight);
        (self.reader, self.filter, self.ledger, self.enabled, self.end) = (reader, filter, ledger, true, None);
        self.wake();
    }

    /// The position to read next. `None` at the end of the log or of the window, which counts positions here.
    pub(super) fn step(&mut self, end: u64) -> Option<u64> {
        let end = end.min(self.needed() + WINDOW as u64);
        let next = self.again.pop_first().or((self.next < end).then_some(self.next))?;
        self.next = self.next.max(next + 1);
        Some(next)
    }

    /// Takes the event at the position, if it matches.
    pub(super) fn take(&mut self, event: &Delivery) -> Option<Delivery> {
        self.filter.matches(event.envelope()).then(|| {
            self.ledger.take(1);
            self.in_flight.insert(event.position.get());
            event.clone()
        })
    }

    /// Returns how many of these were unsettled.
    pub(super) fn settle(&mut self, positions: &[Position]) -> usize {
        let settled = positions.iter().filter(|position| self.in_flight.remove(&position.get())).count();
        // The reader may have waited for the window to move.
        self.wake();
        settled
    }

    /// The log drops the event.
    pub(super) fn lose(&mut self, event: &Delivery) {
        if self.wants(event) {
            self.ledger.take(1);
            self.ledger.give_up(1, DropReason::Overflow);
        }
        self.again.remove(&event.position.get());
        self.next = self.next.max(event.position.get() + 1);
    }

    /// Asks for the events in flight, because a publisher waits.
    pub(super) fn request_flush(&mut self) {
        self.flush = true;
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
