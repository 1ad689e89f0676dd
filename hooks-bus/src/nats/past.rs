//! Reads the past: what the stream still has, in its own limits of time, bytes and events.
//!
//! A page is read by a consumer that begins at its first event. The server knows no way back: newest first, stretches of
//! the stream are read one after the other, the last one first, each forward.

use async_trait::async_trait;
use hooks_core::bus::{Past, PastEvent, PastOrder, PastPage, PastQuery};
use hooks_core::{BusError, Filter, Position};
use tokio::time::{Duration, timeout};

use super::feed::{Feed, RawEvent};
use super::fetch::Fetched;
use super::subject::ServerFilter;
use super::{Inner, NatsBus, subject};
use crate::page::{Filling, Newest};

/// Positions of the stream that are read forward at a time, newest first.
const STRETCH: u64 = 1_024;

/// Most stretches of a page: each takes a consumer of its own.
const MAX_STRETCHES: usize = 64;

/// Most messages that are read one by one, where they can't be read otherwise.
const MOST_REQUESTS: usize = 1_024;

/// The longest time without an event or a sign that there are no more.
const SILENCE: Duration = Duration::from_secs(5);

#[async_trait]
impl Past for NatsBus {
    async fn read(&self, query: &PastQuery) -> Result<PastPage, BusError> {
        let inner = &self.inner;
        let Ok(_place) = inner.looks.try_acquire() else {
            let why = "read the past: so many look-ups run that this one should be made again later";
            return Err(BusError::Unavailable(why.to_owned()));
        };
        let tail = inner.refresh_tail().await?;
        let (mut from, mut to) = (query.from.get().max(tail.first), query.to.map_or(u64::MAX, Position::get));
        if let Some(since) = query.since {
            from = from.max(inner.before(since, tail).await? + 1);
        }
        if let Some(until) = query.until {
            to = to.min(inner.before(until, tail).await? + 1);
        }
        let mut look = Look { inner, query, filling: Filling::new(query, tail.last + 1) };
        let to = to.min(tail.last + 1);
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
    query: &'a PastQuery,
    filling: Filling<'a>,
}

impl Look<'_> {
    /// Reads from a position to before another. Returns the position to go on at, if the page ends before.
    async fn forward(&mut self, from: u64, to: u64) -> Result<Option<u64>, BusError> {
        let mut stretch = Stretch::open(self, from, to).await?;
        while let Some(raw) = stretch.next().await? {
            let next = match self.wanted(&raw) {
                Some(event) => self.filling.push(event),
                None => (self.filling.is_done() || stretch.is_slow()).then_some(raw.seq + 1),
            };
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    /// Reads back to a position. Returns the position before which to go on, if the page ends before.
    async fn backward(&mut self, from: u64, mut to: u64) -> Result<Option<u64>, BusError> {
        for _ in 0..MAX_STRETCHES {
            let begin = to.saturating_sub(STRETCH).max(from);
            let (next, is_slow) = self.collect(begin, to).await?;
            if next.is_some() {
                return Ok(next);
            }
            to = begin;
            if to <= from {
                return Ok(None);
            }
            if self.filling.is_done() || is_slow {
                break;
            }
        }
        Ok(Some(to))
    }

    /// Reads a stretch, and takes its events, newest first. Returns the position before which to go on, if there is no room
    /// for all of them, and whether it was read by requests.
    async fn collect(&mut self, from: u64, to: u64) -> Result<(Option<u64>, bool), BusError> {
        let mut found = Newest::default();
        let mut stretch = Stretch::open(self, from, to).await?;
        while let Some(raw) = stretch.next().await? {
            if let Some(event) = self.wanted(&raw) {
                found.push(event, &self.filling);
            }
        }
        Ok((self.filling.take(found), stretch.requests > 0))
    }

    /// The event of a message, if it is looked for.
    fn wanted(&mut self, raw: &RawEvent) -> Option<PastEvent> {
        self.filling.page.scanned += raw.json.len() as u64;
        if !self.query.wants_time(raw.accepted) {
            return None;
        }
        let envelope = self.filling.event(raw.seq, &raw.json)?;
        Some(PastEvent { position: Position::new(raw.seq), accepted: raw.accepted, envelope })
    }
}

/// The messages of a part of the stream that the server's filter lets through.
struct Stretch<'a> {
    inner: &'a Inner,
    server: ServerFilter,
    /// `None`: it ended early, and the rest is read by requests.
    feed: Option<Feed>,
    /// The next position.
    at: u64,
    to: u64,
    /// Messages that are left, those behind the stretch as well.
    pending: u64,
    requests: usize,
}

impl<'a> Stretch<'a> {
    async fn open(look: &Look<'a>, from: u64, to: u64) -> Result<Self, BusError> {
        let (inner, filter) = (look.inner, &look.query.filter);
        let filter = Filter { types: filter.types.clone(), tenant: filter.tenant.clone(), ..Filter::default() };
        let server = subject::filter(&inner.config.name, &filter, inner.several_filters());
        let feed = Feed::open(inner, server.clone(), from.saturating_sub(1)).await?;
        let pending = feed.pending;
        Ok(Self { inner, server, feed: Some(feed), at: from, to, pending, requests: 0 })
    }

    async fn next(&mut self) -> Result<Option<RawEvent>, BusError> {
        if self.pending == 0 || self.at >= self.to {
            return Ok(None);
        }
        let raw = match self.fed().await {
            Some(raw) => Some(raw),
            None => self.requested().await?,
        };
        let Some(raw) = raw.filter(|raw| raw.seq < self.to) else { return Ok(None) };
        (self.at, self.pending) = (raw.seq + 1, raw.pending);
        Ok(Some(raw))
    }

    async fn fed(&mut self) -> Option<RawEvent> {
        let why = match timeout(SILENCE, self.feed.as_mut()?.next()).await {
            Ok(Ok(raw)) => return Some(raw),
            Ok(Err(ended)) => ended.to_string(),
            Err(_) => "NATS does not answer".to_owned(),
        };
        tracing::debug!(position = self.at, why, "a look at the past goes on by requests");
        self.feed = None;
        None
    }

    /// Reads the next message without its headers: one whose headers the client can't read ends each feed.
    async fn requested(&mut self) -> Result<Option<RawEvent>, BusError> {
        self.requests += 1;
        let found = self.inner.fetch(self.at, &self.server.subjects).await?;
        Ok(found.map(|Fetched { seq, json, accepted }| RawEvent { seq, json, accepted, pending: 1 }))
    }

    /// True if the page should end where it is: requests take long.
    fn is_slow(&self) -> bool {
        self.requests >= MOST_REQUESTS
    }
}
