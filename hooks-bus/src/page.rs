//! Fills a page of the past, within its limits.

use std::collections::VecDeque;

use hooks_core::bus::{PastEvent, PastPage, PastQuery};
use hooks_core::{Envelope, Position, SliceBuilder};

/// A page on its way.
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) query: &'a PastQuery,
    pub(crate) page: PastPage,
    /// Bytes of its events.
    bytes: usize,
}

impl<'a> Filling<'a> {
    /// A page of a log that ends here.
    pub(crate) fn new(query: &'a PastQuery, end: u64) -> Self {
        Self { query, page: PastPage::empty(Position::new(end)), bytes: 0 }
    }

    /// Takes the next event. Returns the position to go on at, if the page ends here.
    pub(crate) fn push(&mut self, event: PastEvent) -> Option<u64> {
        let (position, length) = (event.position.get(), event.envelope.len());
        if self.overflows(1, length) {
            return Some(position);
        }
        self.bytes += length;
        self.page.events.push(event);
        self.is_done().then_some(position + 1)
    }

    /// Takes events that were found newest last. Returns the position before which to go on, if there was no room for all.
    pub(crate) fn take(&mut self, found: Newest) -> Option<u64> {
        self.bytes += found.bytes;
        self.page.events.extend(found.events.into_iter().rev());
        found.next
    }

    /// True if the page takes no more, or enough was looked at for it.
    pub(crate) fn is_done(&self) -> bool {
        self.overflows(1, 0) || self.page.scanned >= self.query.max_scanned
    }

    /// The event with this text, if it is looked for. Text that is no event is named as unreadable.
    #[cfg_attr(
        not(any(feature = "durable", feature = "nats")),
        allow(dead_code, reason = "Postgres reads parts of the log")
    )]
    pub(crate) fn event(&mut self, position: u64, text: &[u8]) -> Option<Envelope> {
        let mut slice = SliceBuilder::new("").max_event_bytes(usize::MAX);
        if slice.push_json(text).is_err() {
            self.page.unreadable.push(position..=position);
            return None;
        }
        slice.finish().first().filter(|envelope| self.query.filter.matches(envelope)).cloned()
    }

    /// True if the page has no room for so many further events and bytes.
    fn overflows(&self, events: usize, bytes: usize) -> bool {
        let events = self.page.events.len() + events;
        events > self.query.max_events.max(1) || events > 1 && self.bytes + bytes > self.query.max_bytes
    }
}

/// The newest events of a part of the log that is read forward: as many as the page has room for.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    events: VecDeque<PastEvent>,
    bytes: usize,
    /// The position behind the last event that was left out.
    next: Option<u64>,
}

impl Newest {
    /// Takes an event that is newer than those before.
    pub(crate) fn push(&mut self, event: PastEvent, filling: &Filling<'_>) {
        self.bytes += event.envelope.len();
        self.events.push_back(event);
        while filling.overflows(self.events.len(), self.bytes)
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.envelope.len();
            self.next = Some(oldest.position.get() + 1);
        }
    }
}
