//! Values that a hook exchanges with its reader and the checkpointer.

use hooks_core::{Filter, Ledger};

use super::cursor::{Cursor, PositionRange};

/// A reader's next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Say that the hook is lost.
    Lost,
    /// There is nothing to do until something changes.
    Wait,
    /// The worker does not settle: send the events in flight.
    Flush,
    /// No more events will come.
    Dry,
    /// Read on. A feed of another version is replaced by one that begins behind `after`.
    Read { after: u64, version: u64 },
}

/// A hook's checkpoint that is due, for the entry of this revision.
#[derive(Debug)]
pub(crate) struct CheckpointWrite {
    pub(crate) revision: u64,
    pub(crate) position: u64,
    pub(crate) acked_ranges: Vec<PositionRange>,
}

/// The parts of a hook that its reader works on.
pub(crate) struct Reading<'a, F> {
    pub(crate) cursor: &'a mut Cursor,
    pub(crate) ledger: &'a Ledger,
    pub(crate) in_worker: &'a mut bool,
    pub(crate) filter: &'a Filter,
    pub(crate) feed: &'a mut F,
}
