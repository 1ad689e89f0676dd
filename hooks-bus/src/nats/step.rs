//! How far a hook's feed is.

use std::time::Duration;

use tokio::time::Instant;

/// The time for which a new consumer is checked often.
const FRESH: Duration = Duration::from_secs(60);

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
