//! What is said between a hook, its reader and who writes its position.

use std::time::Duration;

use hooks_core::{Filter, Ledger};
use tokio::time::Instant;

use super::cursor::Cursor;
use super::record::PositionRange;

/// How long a consumer is watched closely after it was made.
const FRESH: Duration = Duration::from_secs(60);

/// What a reader is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Say that the hook is lost.
    Lost,
    /// There is nothing to do until something changes.
    Wait,
    /// The worker does not settle: send what is in hand.
    Flush,
    /// Nothing will come any more.
    Dry,
    /// Read on. A feed of another version begins anew, behind this.
    Read { after: u64, version: u64 },
}

/// What is to be written of a hook.
#[derive(Debug)]
pub(super) struct CheckpointWrite {
    pub(super) revision: u64,
    pub(super) position: u64,
    pub(super) acked_ranges: Vec<PositionRange>,
}

/// How far the server is with what it sends to a hook.
#[derive(Debug, Clone, Default)]
pub(super) struct FeedState {
    /// What the server filters.
    pub(super) subjects: Vec<String>,
    /// Messages that were there for the hook when the last one was sent.
    pub(super) pending: u64,
    /// Whether the server does all of the filtering.
    pub(super) exact: bool,
    /// Whether everything in the stream is for the hook.
    pub(super) all: bool,
    /// The stream reached at least to here then.
    pub(super) end: u64,
    /// The reader waits for more.
    pub(super) waiting: bool,
    /// When its consumer was made.
    pub(super) opened: Option<Instant>,
}

/// A place that a hook has read to, and what the server filters for it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) version: u64,
    pub(super) after: u64,
    pub(super) subjects: Vec<String>,
    /// When its consumer was made.
    pub(super) opened: Option<Instant>,
}

impl Place {
    /// Whether its consumer is so new that it may not have begun to work.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.opened.is_some_and(|opened| now.saturating_duration_since(opened) < FRESH)
    }
}

/// What a reader works on.
pub(super) struct Reading<'a> {
    pub(super) cursor: &'a mut Cursor,
    pub(super) ledger: &'a Ledger,
    pub(super) in_worker: &'a mut bool,
    pub(super) filter: &'a Filter,
    pub(super) feed: &'a mut FeedState,
}
