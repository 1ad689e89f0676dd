//! Reads one hook's events while this instance owns it, waits while another does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hooks_core::{
    BusError, DropReason, EnvelopeError, Position, Slice, SliceBuilder,
    bus::{Delivery, Read, Reader, Subscription, WINDOW},
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Inner;
use super::feed::{Ended, Feed, RawEvent};
use super::fetch::Fetched;
use super::hook::Hook;
use super::step::FeedState;
use super::subject::{self, ServerFilter};
use crate::sharing::{self, Step};

/// The interval at which a closed reader checks if it has read everything.
const END_CHECK_EVERY: Duration = Duration::from_millis(100);

/// Most attempts to make a consumer at a time, for one hook.
const MAX_ATTEMPTS: usize = 5;

/// The time after which another attempt begins. One takes milliseconds, unless all servers are busy.
const NEXT_ATTEMPT_AFTER: Duration = Duration::from_secs(1);

/// The time for which an attempt without an answer keeps its permit, for which other hooks wait.
const PERMIT_LIMIT: Duration = Duration::from_millis(250);

/// The parts of a hook that its reader works on.
type Reading<'a> = sharing::Reading<'a, FeedState>;

/// Reads one hook's events.
pub(super) struct NatsReader {
    bus: Arc<Inner>,
    hook: Arc<Hook>,
    number: u64,
    closed: bool,
    /// The position at which it stops, when it is closed.
    end: Option<u64>,
    feed: Source,
    /// The position behind which the connection was lost before an event came, and how often in a row.
    disconnects: (u64, u32),
}

/// After so many, the next event may be the reason: it is fetched by a request.
const DISCONNECTS_BEFORE_FETCH: u32 = 2;

/// The state of the feed.
enum Source {
    Closed,
    /// Being opened, by a task: it holds a permit for which other hooks wait, even while nothing polls the reader.
    Opening {
        key: FeedKey,
        feed: JoinHandle<Result<Feed, BusError>>,
    },
    Open {
        key: FeedKey,
        feed: Box<Feed>,
    },
}

/// The version and filter for which a feed was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FeedKey {
    version: u64,
    server: ServerFilter,
}

impl NatsReader {
    pub(super) fn new(bus: Arc<Inner>, hook: Arc<Hook>, number: u64) -> Self {
        Self { bus, hook, number, closed: false, end: None, feed: Source::Closed, disconnects: (0, 0) }
    }

    /// The feed of this version; opens one if needed, which brings the events behind `after`.
    async fn opened(&mut self, after: u64, version: u64) -> Result<&mut Feed, BusError> {
        let fits = match &self.feed {
            Source::Closed => false,
            Source::Opening { key, .. } | Source::Open { key, .. } => key.version == version,
        };
        if !fits {
            let server = subject::filter(&self.bus.config.name, &self.hook.filter(), self.bus.several_filters());
            let key = FeedKey { version, server };
            let feed = open(self.bus.clone(), self.hook.clone(), (self.number, version), key.server.clone(), after);
            self.feed = Source::Opening { key, feed: tokio::spawn(feed) };
        }
        if let Source::Opening { key, feed } = &mut self.feed {
            let opened = feed.await;
            let key = key.clone();
            self.feed = Source::Closed;
            let feed = opened.unwrap_or(Err(BusError::Closed))?;
            let end = self.bus.tail().last;
            self.hook.read((self.number, version), |reading| {
                let end = end.max(reading.cursor.read_to() + feed.pending);
                let (pending, subjects) = (feed.pending, key.server.subjects.clone());
                let (exact, all) = (key.server.exact, key.server.all);
                let opened = Some(Instant::now());
                *reading.feed = FeedState { subjects, pending, exact, all, end, waiting: false, opened };
            });
            self.feed = Source::Open { key, feed: Box::new(feed) };
        }
        match &mut self.feed {
            Source::Open { feed, .. } => Ok(feed),
            _ => Err(BusError::Closed),
        }
    }

    async fn read_on(
        &mut self,
        max: usize,
        into: &mut Vec<Delivery>,
        after: u64,
        version: u64,
    ) -> Result<Option<Read>, BusError> {
        let hook = self.hook.clone();
        if self.disconnects.0 == after && self.disconnects.1 >= DISCONNECTS_BEFORE_FETCH {
            return self.fetch_one(into, after, version).await;
        }
        let feed = self.opened(after, version).await?;
        let first = match feed.next_now() {
            Ok(Some(raw)) => Ok(raw),
            Ok(None) => {
                let _waiting = hook.waits();
                feed.next().await
            }
            Err(ended) => Err(ended),
        };
        // From here on nothing is awaited, so no event can be lost by cancelling.
        let (raws, ended) = gather(feed, first, max);
        let came = !raws.is_empty();
        let Source::Open { key, .. } = &self.feed else { return Ok(None) };
        let taken = self.take_in(raws, version, key.server.all, into);
        if let Some(why) = &ended {
            tracing::debug!(hook = %self.hook.id, %why, "the feed ended: another one is opened");
            if let (Ended::Reconnected, false) = (why, came) {
                self.disconnects = (after, if self.disconnects.0 == after { self.disconnects.1 + 1 } else { 1 });
            }
        }
        if ended.is_some() || taken.is_none() {
            self.feed = Source::Closed;
        }
        Ok(taken.filter(|count| *count > 0).map(Read::Events))
    }

    /// Reads the next event by a request: one with headers that the client can't read ends the connection of each
    /// reader, again and again.
    async fn fetch_one(
        &mut self,
        into: &mut Vec<Delivery>,
        after: u64,
        version: u64,
    ) -> Result<Option<Read>, BusError> {
        self.feed = Source::Closed;
        let server = subject::filter(&self.bus.config.name, &self.hook.filter(), self.bus.several_filters());
        let found = self.bus.fetch(after.saturating_add(1), &server.subjects).await?;
        self.disconnects = (0, 0);
        let Some(Fetched { seq, json, accepted }) = found else { return Ok(None) };
        tracing::warn!(hook = %self.hook.id, position = seq, "the connection was lost twice before this event: it is read by a request, without its headers");
        let pending = self.bus.tail().last.saturating_sub(seq);
        let taken = self.take_in(vec![RawEvent { seq, json, accepted, pending }], version, server.all, into);
        Ok(taken.filter(|count| *count > 0).map(Read::Events))
    }

    /// Takes in events; returns the number of deliveries. `None`: the hook was lost in between.
    fn take_in(&self, raws: Vec<RawEvent>, version: u64, all: bool, into: &mut Vec<Delivery>) -> Option<usize> {
        let tail = self.bus.tail();
        let (slice, events) = decode(&raws);
        self.hook.read((self.number, version), |reading| {
            let before = into.len();
            for (raw, event) in raws.iter().zip(events) {
                let event = event.map(|index| Delivery::new(Position::new(raw.seq), &slice, index));
                let missing = missing(reading, raw, all, tail.first);
                count_gone(reading, &self.hook, missing.0, missing.1);
                reading.feed.pending = raw.pending;
                into.extend(take_event(reading, raw, event, &self.hook));
            }
            if let Some(last) = raws.last() {
                reading.feed.end = tail.last.max(last.seq + last.pending);
                self.bus.rollback.event_read(last.seq, last.accepted);
            }
            *reading.in_worker |= into.len() > before;
            into.len() - before
        })
    }

    /// The position at which the reader stops, if it or its bus is closed.
    async fn end(&mut self) -> Result<Option<u64>, BusError> {
        if let Some(end) = *self.bus.closing.borrow() {
            return Ok(Some(end));
        }
        if self.closed && self.end.is_none() {
            self.end = Some(self.bus.refresh_tail().await?.last);
        }
        Ok(self.end)
    }

    /// True if everything up to this end was read.
    async fn is_through(&mut self, end: u64, after: u64, version: u64) -> Result<bool, BusError> {
        if after >= end {
            return Ok(true);
        }
        self.opened(after, version).await?;
        let Some(place) = self.hook.place() else { return Ok(false) };
        let through = self.bus.has_nothing(&place, end).await?;
        if through {
            self.hook.pass(&place, end);
        }
        Ok(through)
    }
}

#[async_trait]
impl Reader for NatsReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        let (bus, hook) = (self.bus.clone(), self.hook.clone());
        let mut closing = bus.closing.subscribe();
        loop {
            let end = self.end().await?;
            match hook.step(self.number, Instant::now(), WINDOW) {
                Step::Lost => {
                    self.feed = Source::Closed;
                    return Ok(Read::Lost);
                }
                Step::Dry => return Ok(Read::Dry),
                Step::Flush => return Ok(Read::Flush),
                Step::Wait if end.is_some() && bus.is_owned_elsewhere(&hook) => return Ok(Read::Dry),
                Step::Wait => {
                    self.feed = Source::Closed;
                    tokio::select! {
                    () = hook.changed.notified() => {}
                    _ = closing.changed() => {}
                    () = tokio::time::sleep(END_CHECK_EVERY), if end.is_some() => {}
                    }
                }
                Step::Read { after, version } => {
                    if let Some(end) = end
                        && self.is_through(end, after, version).await?
                    {
                        return Ok(Read::Dry);
                    }
                    tokio::select! {
                        biased;
                        () = hook.changed.notified() => {}
                        read = self.read_on(max.max(1), into, after, version) => if let Some(read) = read? {
                            return Ok(read);
                        },
                        _ = closing.changed() => {}
                        () = bus.lease.ends() => {}
                        () = tokio::time::sleep(END_CHECK_EVERY), if end.is_some() => {}
                    }
                }
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        self.hook.reconfigure(&subscription);
    }

    fn set_enabled(&mut self, _enabled: bool) {
        // The stream keeps a disabled hook's events, which delays no other hook.
    }
}

/// Opens a feed. The cluster places a new consumer on any of its servers, even on one that died a while ago or has
/// not quite come back, which does not answer. So further attempts begin, and the first that succeeds is used.
async fn open(
    bus: Arc<Inner>,
    hook: Arc<Hook>,
    reader: (u64, u64),
    server: ServerFilter,
    after: u64,
) -> Result<Feed, BusError> {
    let mut attempts = FuturesUnordered::new();
    for _ in 0..MAX_ATTEMPTS {
        // Not all hooks at once.
        let permit = bus.opening.acquire().await.map_err(|_| BusError::Closed)?;
        attempts.push(open_once(&bus, &hook, reader, &server, after));
        if let Ok(Some(opened)) = timeout(PERMIT_LIMIT, attempts.next()).await {
            return opened;
        }
        drop(permit);
        if let Ok(Some(opened)) = timeout(NEXT_ATTEMPT_AFTER - PERMIT_LIMIT, attempts.next()).await {
            return opened;
        }
        tracing::debug!(hook = %hook.id, "NATS has made no consumer yet: requesting another one");
    }
    let last = attempts.next().await;
    last.unwrap_or_else(|| Err(BusError::Unavailable("read the stream: no consumer could be made".to_owned())))
}

/// Opens a feed, and counts the events that the stream no longer has.
async fn open_once(
    bus: &Inner,
    hook: &Hook,
    reader: (u64, u64),
    server: &ServerFilter,
    after: u64,
) -> Result<Feed, BusError> {
    let tail = bus.refresh_tail().await?;
    if tail.last < after {
        let text = format!("the stream ends at {}, and {after} was read: its leader may have to catch up", tail.last);
        return Err(BusError::Unavailable(text));
    }
    let after = after.max(tail.first.saturating_sub(1));
    hook.read(reader, |reading| {
        let read_to = reading.cursor.read_to();
        count_gone(reading, hook, after.saturating_sub(read_to), after);
    });
    Feed::open(bus, server.clone(), after).await
}

/// The number of events that should have come before this one and did not, and the position up to which. Where the
/// server filters, at most as many are missing as were waiting when the event before was sent.
fn missing(reading: &Reading<'_>, raw: &RawEvent, all: bool, first: u64) -> (u64, u64) {
    let read_to = reading.cursor.read_to();
    if all {
        return (raw.seq.saturating_sub(read_to + 1), raw.seq.saturating_sub(1));
    }
    if first > read_to + 1 && raw.seq >= first {
        return ((first - read_to - 1).min(reading.feed.pending), first - 1);
    }
    (0, read_to)
}

/// Counts events that are gone from the stream, and moves on to `up_to`.
fn count_gone(reading: &mut Reading<'_>, hook: &Hook, events: u64, up_to: u64) {
    if events > 0 {
        drop_events(reading, events, DropReason::Gone);
        tracing::error!(hook = %hook.id, events, up_to, "the stream no longer has events that the hook had not read: its limits, or a purge, removed them");
    }
    reading.cursor.pass(up_to);
}

fn drop_events(reading: &Reading<'_>, events: u64, reason: DropReason) {
    let events = usize::try_from(events).unwrap_or(usize::MAX);
    reading.ledger.take(events);
    reading.ledger.give_up(events, reason);
}

/// Enters one event in cursor and ledger; returns it if it is to be delivered.
fn take_event(
    reading: &mut Reading<'_>,
    raw: &RawEvent,
    event: Result<Delivery, EnvelopeError>,
    hook: &Hook,
) -> Option<Delivery> {
    if raw.seq <= reading.cursor.read_to() {
        return None;
    }
    match event {
        Ok(delivery) if !reading.filter.matches(delivery.envelope()) => reading.cursor.pass(raw.seq),
        Ok(delivery) => {
            if reading.cursor.read(raw.seq, delivery.envelope().len(), raw.accepted) {
                reading.ledger.take(1);
                return Some(delivery);
            }
        }
        Err(error) => {
            tracing::error!(hook = %hook.id, position = raw.seq, %error, "a message in the stream is no event: it is dropped");
            drop_events(reading, 1, DropReason::Unreadable);
            reading.cursor.pass(raw.seq);
        }
    }
    None
}

/// The events as a slice, and each message's index in it.
fn decode(raws: &[RawEvent]) -> (Slice, Vec<Result<usize, EnvelopeError>>) {
    let mut builder = SliceBuilder::new("hooks").max_event_bytes(usize::MAX);
    let which = raws.iter().map(|raw| builder.push_json(&raw.json).map(|()| builder.len() - 1)).collect();
    (builder.finish(), which)
}

/// The first event and those that have arrived behind it.
fn gather(feed: &mut Feed, first: Result<RawEvent, Ended>, max: usize) -> (Vec<RawEvent>, Option<Ended>) {
    let mut raws = Vec::new();
    let mut next = first.map(Some);
    loop {
        match next {
            Ok(Some(raw)) => raws.push(raw),
            Ok(None) => return (raws, None),
            Err(ended) => return (raws, Some(ended)),
        }
        if raws.len() >= max {
            return (raws, None);
        }
        next = feed.next_now();
    }
}
