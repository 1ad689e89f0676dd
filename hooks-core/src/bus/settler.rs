//! How a bus learns that a hook is done with events.

use std::fmt;
use std::sync::Arc;

use super::Position;
use crate::ledger::{Ledger, Outcome};

/// How a bus learns that a hook is done with events. Implemented by buses, called through [`Settler`].
pub trait Settle: Send + Sync {
    /// The hook is done with these positions. Returns how many of them were unsettled until now.
    fn settle(&self, positions: &[Position]) -> usize;

    /// Whether the hook's events are still this instance's to deliver. Asked before each attempt; where
    /// the answer is no, the worker drops what is in hand. Only on buses that instances share.
    fn holds(&self) -> bool {
        true
    }

    /// Whether dead letters of the hook, which no reader gives, are this instance's to send again. If so,
    /// [`holds`](Self::holds) answers for them from here on.
    fn admit(&self) -> bool {
        self.holds()
    }
}

/// Settles a hook's events: tells the bus and enters it in the ledger. Cheap to clone, usable from any lane.
#[derive(Clone)]
pub struct Settler {
    bus: Arc<dyn Settle>,
    ledger: Arc<Ledger>,
    flush_first: bool,
}

impl Settler {
    /// For buses. With `flush_first`, positions survive the process, so the worker makes the sink
    /// flush before it settles.
    pub fn new(bus: Arc<dyn Settle>, ledger: Arc<Ledger>, flush_first: bool) -> Self {
        Self { bus, ledger, flush_first }
    }

    /// The hook is done with these positions for good.
    pub fn settle(&self, positions: &[Position], outcome: Outcome) {
        let released = self.bus.settle(positions);
        self.ledger.settle(positions.len(), released, outcome);
    }

    /// Whether what was read is still this instance's to deliver.
    pub(crate) fn holds(&self) -> bool {
        self.bus.holds()
    }

    pub(crate) fn admit(&self) -> bool {
        self.bus.admit()
    }

    /// Another instance owns these events now.
    pub(crate) fn hand_over(&self, events: usize) {
        self.ledger.hand_over(events);
    }

    /// Events that the hook took and has not settled.
    pub(crate) fn in_flight(&self) -> u64 {
        self.ledger.counts().in_flight
    }

    /// Whether the sink has to flush before anything is settled.
    pub fn flush_first(&self) -> bool {
        self.flush_first
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler").field("flush_first", &self.flush_first).finish_non_exhaustive()
    }
}
