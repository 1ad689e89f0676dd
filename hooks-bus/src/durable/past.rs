//! Reads the past: pieces of the log in either order, without a hook.
//!
//! Files whose times don't fit are passed over, and of the others the part whose marks don't. The rest is read piece by
//! piece, and most events are passed over by a look at their text. Newest first, a file is read backwards from mark to
//! mark; one without marks is read once from its beginning to get them.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use hooks_core::bus::{Past, PastEvent, PastOrder, PastPage, PastQuery, Sieve};
use hooks_core::{BusError, Position, async_trait};

use super::DurableBus;
use super::format::Record;
use super::log::{Log, Part};
use super::scan::time;
use super::segment::{Gap, PIECE, Place};
use crate::page::{Filling, Newest};

/// Seconds by which later records may be older, because the clock was set back by too little to notice.
const TOLERANCE: u64 = 2;

/// Bytes between two marks from which on a file counts as one without marks.
const UNMARKED: u64 = 8 * PIECE as u64;

#[async_trait]
impl Past for DurableBus {
    async fn read(&self, query: &PastQuery) -> Result<PastPage, BusError> {
        let inner = self.0.inner.clone();
        let failed = |error: &dyn std::fmt::Display| inner.storage.unavailable("read the past", error);
        let Some(place) = inner.places.place_to_look() else {
            return Err(failed(&"so many look-ups wait that this one should be made again later"));
        };
        let (reads, query) = (inner.clone(), query.clone());
        let page = inner.places.begin_to_look(place, move || Look::of(&reads.storage.log, &query).page()).await;
        page.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// Seconds since 1970, rounded down.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// One page on its way.
struct Look<'a> {
    log: &'a Log,
    query: &'a PastQuery,
    sieve: Sieve<'a>,
    /// Seconds since 1970: from the first on, and before the second.
    since: u64,
    until: u64,
    /// The first position that is looked for.
    begin: u64,
    filling: Filling<'a>,
}

/// The positions to look at in one segment.
struct Stretch<'a> {
    part: &'a Part,
    from: u64,
    to: u64,
}

impl<'a> Look<'a> {
    fn of(log: &'a Log, query: &'a PastQuery) -> Self {
        let until = |until: SystemTime| {
            let until = until.duration_since(UNIX_EPOCH).unwrap_or_default();
            until.as_secs() + u64::from(until.subsec_nanos() > 0)
        };
        Self {
            log,
            query,
            sieve: query.filter.sieve(),
            since: query.since.map_or(0, seconds),
            until: query.until.map_or(u64::MAX, until),
            begin: query.from.get().max(log.begin()),
            filling: Filling::new(query, log.end()),
        }
    }

    /// Reads the page. Blocks.
    fn page(mut self) -> io::Result<PastPage> {
        let end = self.query.to.map_or(u64::MAX, Position::get).min(self.filling.page.end.get());
        let begin = self.begin;
        let mut parts = self.log.parts();
        if self.query.order == PastOrder::NewestFirst {
            parts.reverse();
        }
        for part in &parts {
            let stretch = Stretch { part, from: begin.max(part.segment.first), to: end.min(part.end) };
            if stretch.from >= stretch.to || self.is_elsewhen(part) {
                continue;
            }
            let next = match self.query.order {
                PastOrder::NewestFirst => self.backward(stretch)?,
                PastOrder::OldestFirst => self.forward(stretch)?,
            };
            if next.is_some() {
                let is_inside = |next: &u64| match self.query.order {
                    PastOrder::NewestFirst => *next > begin,
                    PastOrder::OldestFirst => *next < end,
                };
                self.filling.page.next = next.filter(is_inside).map(Position::new);
                break;
            }
        }
        Ok(self.filling.page)
    }

    /// True if none of its events was accepted at a time that is looked for.
    fn is_elsewhen(&self, part: &Part) -> bool {
        let is_older = |sealed: u64| sealed.saturating_add(TOLERANCE) < self.since;
        let is_younger = |begun: u64| begun >= self.until.saturating_add(TOLERANCE);
        self.since > 0 && self.log.sealed(&part.segment).is_some_and(is_older)
            || part.segment.begun().is_some_and(is_younger)
    }

    /// Reads on to the end of the stretch. Returns the position to go on at, if the page ends before.
    fn forward(&mut self, stretch: Stretch<'_>) -> io::Result<Option<u64>> {
        let Stretch { part, from, to } = stretch;
        let to = part.segment.end_before(self.until.saturating_add(TOLERANCE), to);
        let mut place = part.segment.nearest_before(from, self.since.saturating_sub(TOLERANCE));
        while place.position < to {
            // Not before something new was looked at, however long the way to it was: the next page would begin here again.
            if self.filling.is_done() && place.position >= from && place.position > self.begin {
                return Ok(Some(place.position));
            }
            let piece = part.segment.read(place, to, PIECE)?;
            self.over(&piece.gaps, from, to, place, piece.next);
            for (record, text) in piece.records().filter(|(record, _)| record.position >= from) {
                let event = self.wanted(part, record, text);
                if let Some(next) = event.and_then(|event| self.filling.push(event)) {
                    return Ok(Some(next));
                }
            }
            place = piece.next;
        }
        Ok(None)
    }

    /// Reads back to the beginning of the stretch. Returns the position before which to go on, if the page ends before.
    fn backward(&mut self, stretch: Stretch<'_>) -> io::Result<Option<u64>> {
        let Stretch { part, from, to } = stretch;
        let first = part.segment.nearest_before(to, self.since.saturating_sub(TOLERANCE)).position.max(from);
        let mut to = part.segment.end_before(self.until.saturating_add(TOLERANCE), to);
        while to > first {
            if self.filling.is_done() {
                return Ok(Some(to));
            }
            let (mut place, mut length) = part.segment.stretch_before(to);
            if length > UNMARKED {
                part.segment.seek(to - 1, to)?;
                self.filling.page.scanned += length;
                (place, length) = part.segment.stretch_before(to);
            }
            let want = usize::try_from(length.min(UNMARKED)).unwrap_or(PIECE).max(1);
            if let Some(next) = self.collect(&Stretch { part, from: first, to }, place, want)? {
                return Ok(Some(next));
            }
            to = place.position;
        }
        Ok(None)
    }

    /// Reads the end of a stretch from this place on, and takes its events, newest first. Returns the position before which
    /// to go on, if there is no room for all of them.
    fn collect(&mut self, stretch: &Stretch<'_>, mut place: Place, want: usize) -> io::Result<Option<u64>> {
        let Stretch { part, from, to } = *stretch;
        let mut found = Newest::default();
        while place.position < to {
            let piece = part.segment.read(place, to, want)?;
            self.over(&piece.gaps, from, to, place, piece.next);
            for (record, text) in piece.records().filter(|(record, _)| record.position >= from) {
                if let Some(event) = self.wanted(part, record, text) {
                    found.push(event, &self.filling);
                }
            }
            place = piece.next;
        }
        Ok(self.filling.take(found))
    }

    /// Counts what was read, and names positions that can't be.
    fn over(&mut self, gaps: &[Gap], from: u64, to: u64, place: Place, next: Place) {
        self.filling.page.scanned += next.offset.saturating_sub(place.offset);
        for Gap(first, end) in gaps {
            let (first, end) = (*first.max(&from), *end.min(&to));
            if first < end {
                self.log.set_damaged();
                self.filling.page.unreadable.push(first..=end - 1);
            }
        }
    }

    /// The event of a record, if it is looked for.
    fn wanted(&mut self, part: &Part, record: &Record, text: &[u8]) -> Option<PastEvent> {
        let accepted = u64::from(record.accepted).saturating_add_signed(part.segment.moved());
        if accepted < self.since || accepted >= self.until || !self.sieve.may_match(text) {
            return None;
        }
        let envelope = self.filling.event(record.position, text)?;
        Some(PastEvent { position: Position::new(record.position), accepted: time(accepted), envelope })
    }
}
