//! What is said between a hook, its reader and who writes its position.

use hooks_core::{Filter, Ledger};

use super::cursor::Cursor;
use super::record::Range;

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
pub(super) struct Write {
    pub(super) revision: u64,
    pub(super) position: u64,
    pub(super) beyond: Vec<Range>,
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
}

/// A place that a hook has read to, and what the server filters for it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) version: u64,
    pub(super) after: u64,
    pub(super) subjects: Vec<String>,
}

/// What a reader works on.
pub(super) struct Reading<'a> {
    pub(super) cursor: &'a mut Cursor,
    pub(super) ledger: &'a Ledger,
    pub(super) in_worker: &'a mut bool,
    pub(super) filter: &'a Filter,
    pub(super) feed: &'a mut FeedState,
}
