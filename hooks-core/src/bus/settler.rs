//! Settling: a hook tells its bus which events it is done with.

use std::fmt;
use std::sync::Arc;

use super::Position;
use crate::ledger::{Ledger, Outcome};

/// Takes the positions that a hook is done with. Implemented by buses, called through [`Settler`].
pub trait Settle: Send + Sync {
    /// Settles these positions. Returns how many of them were unsettled until now.
    fn settle(&self, positions: &[Position]) -> usize;

    /// Returns true while this instance may deliver the hook's events. The worker asks before each attempt; on
    /// `false` it drops the events in flight. Matters only on buses that instances share.
    fn holds(&self) -> bool {
        true
    }

    /// Returns true if this instance may send the hook's dead letters again, which come from no reader. From then
    /// on [`holds`](Self::holds) answers for them.
    fn admit(&self) -> bool {
        self.holds()
    }
}

/// Settles a hook's events: tells the bus and enters it in the ledger. Cheap to clone, usable from any lane.
#[derive(Clone)]
pub struct Settler {
    bus: Arc<dyn Settle>,
    ledger: Arc<Ledger>,
}

impl Settler {
    /// For buses.
    pub fn new(bus: Arc<dyn Settle>, ledger: Arc<Ledger>) -> Self {
        Self { bus, ledger }
    }

    /// Settles these positions for good, with this outcome.
    pub fn settle(&self, positions: &[Position], outcome: Outcome) {
        let released = self.bus.settle(positions);
        self.ledger.settle(positions.len(), released, outcome);
    }

    /// Returns true while this instance may deliver the events that it read.
    pub(crate) fn holds(&self) -> bool {
        self.bus.holds()
    }

    pub(crate) fn admit(&self) -> bool {
        self.bus.admit()
    }

    /// Counts events that another instance owns now.
    pub(crate) fn hand_over(&self, events: usize) {
        self.ledger.hand_over(events);
    }

    /// Number of events that the hook took and has not settled.
    pub(crate) fn in_flight(&self) -> u64 {
        self.ledger.counts().in_flight
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler").finish_non_exhaustive()
    }
}
