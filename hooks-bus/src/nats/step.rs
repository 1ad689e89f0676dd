//! Values that a hook exchanges with its reader and the checkpointer.

use std::time::Duration;

use hooks_core::{Filter, Ledger};
use tokio::time::Instant;

use super::cursor::Cursor;
use super::record::PositionRange;

/// The time for which a new consumer is checked often.
const FRESH: Duration = Duration::from_secs(60);

/// A reader's next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
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
pub(super) struct CheckpointWrite {
    pub(super) revision: u64,
    pub(super) position: u64,
    pub(super) acked_ranges: Vec<PositionRange>,
}

/// The progress of a hook's feed.
#[derive(Debug, Clone, Default)]
pub(super) struct FeedState {
    /// The subjects by which the server filters.
    pub(super) subjects: Vec<String>,
    /// The messages that were waiting for the hook when the last one was sent.
    pub(super) pending: u64,
    /// True if the server does all of the filtering.
    pub(super) exact: bool,
    /// True if everything in the stream is for the hook.
    pub(super) all: bool,
    /// The stream reached at least to here then.
    pub(super) end: u64,
    /// The reader waits for events.
    pub(super) waiting: bool,
    /// The time at which its consumer was made.
    pub(super) opened: Option<Instant>,
}

/// The position that a hook has read to, and the subjects by which the server filters for it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) version: u64,
    pub(super) after: u64,
    pub(super) subjects: Vec<String>,
    /// The time at which its consumer was made.
    pub(super) opened: Option<Instant>,
}

impl Place {
    /// True if its consumer is so new that it may not have begun to work.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.opened.is_some_and(|opened| now.saturating_duration_since(opened) < FRESH)
    }
}

/// The parts of a hook that its reader works on.
pub(super) struct Reading<'a> {
    pub(super) cursor: &'a mut Cursor,
    pub(super) ledger: &'a Ledger,
    pub(super) in_worker: &'a mut bool,
    pub(super) filter: &'a Filter,
    pub(super) feed: &'a mut FeedState,
}
