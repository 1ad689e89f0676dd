//! The past: events of the log, read without a hook and its position.

mod filter;
mod sieve;

use std::ops::RangeInclusive;
use std::time::SystemTime;

use async_trait::async_trait;

use super::{BusError, Position};
use crate::envelope::Envelope;
use crate::setters::setters;

pub use filter::PastFilter;
pub use sieve::Sieve;

/// Reads the past of a bus that keeps its events for a while, whether hooks have settled them or not. A
/// [`Bus`](crate::Bus) that can returns it from [`past`](crate::Bus::past).
///
/// The contract:
/// - A page has the events that the log has and that the query wants, in the query's order, each byte for byte as it was
///   accepted. It leaves out none but those that it names as unreadable.
/// - The work of a call is bounded, whatever the query matches: a page may end early, even without an event, and says
///   where to go on.
/// - Pages go on where the one before ended, also when old events have gone and new ones have come since.
/// - A call delays neither publishers nor hooks. A bus that is asked too much at once refuses.
#[async_trait]
pub trait Past: Send + Sync {
    /// Reads a page.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when the log can't be read now, or so many calls wait that the caller should come back
    /// later.
    ///
    /// # Cancel safety
    /// A dropped call has changed nothing.
    async fn read(&self, query: &PastQuery) -> Result<PastPage, BusError>;
}

/// The order of the events that are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PastOrder {
    /// The newest event of the log comes first.
    #[default]
    NewestFirst,
    /// The oldest event of the log comes first.
    OldestFirst,
}

/// The events to read, and how many at a time.
///
/// ```
/// use hooks_core::bus::{PastFilter, PastOrder, PastQuery};
///
/// let paid = PastFilter::default().types(vec!["invoice.paid".into()]);
/// let query = PastQuery::default().filter(paid).order(PastOrder::OldestFirst).max_events(10);
/// assert!(query.since.is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PastQuery {
    /// Only events that match it.
    pub filter: PastFilter,
    /// Only events that were accepted at this time or later. A bus that knows times to the second may add those of the
    /// second before.
    pub since: Option<SystemTime>,
    /// Only events that were accepted before this time. A bus that knows times to the second may add those of the second
    /// after.
    pub until: Option<SystemTime>,
    /// Only events at this position or behind it.
    pub from: Position,
    /// Only events before this position.
    pub to: Option<Position>,
    /// The order.
    pub order: PastOrder,
    /// Most events of a page.
    pub max_events: usize,
    /// Most bytes of the events of a page; one event alone may be longer.
    pub max_bytes: usize,
    /// Most bytes of the log that are looked at for a page, about. The bus may round up to one of its files.
    pub max_scanned: u64,
}

impl Default for PastQuery {
    /// Everything, newest first; 100 events or 4 MiB of them at a time, of at most 128 MiB of log.
    fn default() -> Self {
        Self {
            filter: PastFilter::default(),
            since: None,
            until: None,
            from: Position::new(0),
            to: None,
            order: PastOrder::default(),
            max_events: 100,
            max_bytes: 4 << 20,
            max_scanned: 128 << 20,
        }
    }
}

setters!(PastQuery {
    filter: PastFilter,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    from: Position,
    to: Option<Position>,
    order: PastOrder,
    max_events: usize,
    max_bytes: usize,
    max_scanned: u64,
});

impl PastQuery {
    /// The event at this position alone.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        self.from(position).to(position.get().checked_add(1).map(Position::new))
    }

    /// The query of the page behind this one. `None`: there is none.
    #[must_use]
    pub fn next(self, page: &PastPage) -> Option<Self> {
        let next = page.next?;
        Some(match self.order {
            PastOrder::NewestFirst => self.to(Some(next)),
            PastOrder::OldestFirst => self.from(next),
        })
    }

    /// For buses: true if an event that was accepted at this time is wanted.
    pub fn wants_time(&self, accepted: SystemTime) -> bool {
        self.since.is_none_or(|since| accepted >= since) && self.until.is_none_or(|until| accepted < until)
    }
}

/// An event of the past.
#[derive(Debug, Clone)]
pub struct PastEvent {
    /// Its position in the log.
    pub position: Position,
    /// The time when it was accepted, as exactly as the bus knows.
    pub accepted: SystemTime,
    /// The event as it was accepted.
    pub envelope: Envelope,
}

/// A page of the past.
#[derive(Debug, Clone)]
pub struct PastPage {
    /// The events, in the query's order.
    pub events: Vec<PastEvent>,
    /// The place to go on, for [`PastQuery::next`]: oldest first, the next position to look at; newest first, the one
    /// before which to look. `None`: there are no further events.
    pub next: Option<Position>,
    /// The end of the log at that moment: no event was at this position or behind it.
    pub end: Position,
    /// Bytes of the log that were looked at.
    pub scanned: u64,
    /// Positions that the page went over and that can't be read any more, from the first to the last of each range, in no
    /// particular order.
    pub unreadable: Vec<RangeInclusive<u64>>,
}

impl PastPage {
    /// An empty page of a log that ends here.
    pub fn empty(end: Position) -> Self {
        Self { events: Vec::new(), next: None, end, scanned: 0, unreadable: Vec::new() }
    }
}
