//! Reads the past: what the log still has, part by part. Newest first, stretches are read one after the other, the last one
//! first, each forward.

use async_trait::async_trait;
use hooks_core::bus::{Past, PastEvent, PastOrder, PastPage, PastQuery};
use hooks_core::{BusError, Position};

use super::chunk::Chunk;
use super::{Inner, PostgresBus};
use crate::page::{Filling, Newest};

/// Positions that are read forward at a time, newest first.
const STRETCH: u64 = 1_000;

/// Most looks at the past at a time. Further ones are refused.
pub(super) const MAX_LOOKS: usize = 4;

#[async_trait]
impl Past for PostgresBus {
    async fn read(&self, query: &PastQuery) -> Result<PastPage, BusError> {
        let inner = &self.inner;
        let Ok(_place) = inner.looks.try_acquire() else {
            let why = "read the past: so many look-ups run that this one should be made again later";
            return Err(BusError::Unavailable(why.to_owned()));
        };
        let (last, first) = (inner.refresh_tail().await?, inner.first().await?);
        let (mut from, mut to) = (query.from.get().max(first), query.to.map_or(u64::MAX, Position::get));
        if let Some(since) = query.since {
            from = from.max(inner.position_at(since).await?);
        }
        if let Some(until) = query.until {
            to = to.min(inner.position_at(until).await?);
        }
        let to = to.min(last + 1);
        let mut look = Look { inner, filling: Filling::new(query, last + 1) };
        let next = match query.order {
            _ if from >= to => None,
            PastOrder::OldestFirst => look.forward(from, to).await?.filter(|next| *next < to),
            PastOrder::NewestFirst => look.backward(from, to).await?.filter(|next| *next > from),
        };
        look.filling.page.next = next.map(Position::new);
        Ok(look.filling.page)
    }
}

/// One page on its way.
struct Look<'a> {
    inner: &'a Inner,
    filling: Filling<'a>,
}

impl Look<'_> {
    /// Reads from a position to before another. Returns the position to go on at, if the page ends before.
    async fn forward(&mut self, mut from: u64, to: u64) -> Result<Option<u64>, BusError> {
        while let Some(chunk) = Chunk::read(&self.inner.reading, from.saturating_sub(1), to).await? {
            for entry in chunk.behind(0) {
                let next = match self.wanted(&chunk, entry) {
                    Some(event) => self.filling.push(event),
                    None => self.filling.is_done().then_some(entry.position + 1),
                };
                if next.is_some() {
                    return Ok(next);
                }
            }
            from = chunk.last() + 1;
        }
        Ok(None)
    }

    /// Reads back to a position. Returns the position before which to go on, if the page ends before.
    async fn backward(&mut self, from: u64, mut to: u64) -> Result<Option<u64>, BusError> {
        while to > from && !self.filling.is_done() {
            let begin = to.saturating_sub(STRETCH).max(from);
            let (mut found, mut at) = (Newest::default(), begin);
            while let Some(chunk) = Chunk::read(&self.inner.reading, at.saturating_sub(1), to).await? {
                for entry in chunk.behind(0) {
                    if let Some(event) = self.wanted(&chunk, entry) {
                        found.push(event, &self.filling);
                    }
                }
                at = chunk.last() + 1;
            }
            if let Some(next) = self.filling.take(found) {
                return Ok(Some(next));
            }
            to = begin;
        }
        Ok((to > from).then_some(to))
    }

    /// The event of an entry, if it is looked for.
    fn wanted(&mut self, chunk: &Chunk, entry: &super::chunk::Entry) -> Option<PastEvent> {
        self.filling.page.scanned += entry.bytes as u64;
        if !self.filling.query.wants_time(entry.accepted) {
            return None;
        }
        let (position, accepted) = (Position::new(entry.position), entry.accepted);
        match chunk.event(entry) {
            Ok(event) if self.filling.query.filter.matches(event) => {
                Some(PastEvent { position, accepted, envelope: event.clone() })
            }
            Ok(_) => None,
            Err(_) => {
                self.filling.page.unreadable.push(entry.position..=entry.position);
                None
            }
        }
    }
}
