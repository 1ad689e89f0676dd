//! A hook's reader on the durable bus.

use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{
    BusError,
    bus::{Delivery, Read, Reader, Subscription},
};
use tokio::task::JoinHandle;

use super::inner::Inner;
use super::log::SegmentCursor;
use super::scan::{FetchRequest, Fetched};
use super::subscriber::{Poll, ScanResult, Subscriber};

/// Most events scanned in memory at a time.
const MAX_SCANNED: usize = 1024;

/// A hook's reader. While the hook lags, it has one piece of the log in memory.
pub(crate) struct DurableReader {
    pub(crate) inner: Arc<Inner>,
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) number: u64,
    pub(crate) closed: bool,
    found: Option<ScanResult>,
    /// The place of the next piece.
    segment_cursor: Option<SegmentCursor>,
    /// The read in progress. It continues when the call is dropped.
    fetching: Option<JoinHandle<Result<Fetched, BusError>>>,
}

impl DurableReader {
    pub(crate) fn new(inner: Arc<Inner>, subscriber: Arc<Subscriber>, number: u64) -> Self {
        Self { inner, subscriber, number, closed: false, found: None, segment_cursor: None, fetching: None }
    }

    /// Scans the log from a position on, and leaves the result in `found`. `Some`: there is no memory before the
    /// events in flight are settled.
    async fn scan(&mut self, from: u64) -> Result<Option<Read>, BusError> {
        if self.inner.catches_up(&self.subscriber, from) {
            return Ok(None);
        }
        if let Some(found) = self.inner.cache.scan(&self.subscriber, from, self.inner.dispatched(), MAX_SCANNED) {
            self.found = Some(found);
            return Ok(None);
        }
        let fetched = match self.fetching.take() {
            Some(fetching) => self.fetched(fetching).await?,
            None => {
                let Some(size) = self.inner.cache.piece_size(&self.subscriber) else {
                    return Ok(self.wait_for_memory().await);
                };
                // It stays until there is a new one: a call that is dropped goes on from there.
                let segment_cursor =
                    self.segment_cursor.clone().filter(|segment_cursor| segment_cursor.place.position == from);
                let request = FetchRequest { from, segment_cursor, size, until: self.inner.dispatched() };
                let inner = self.inner.clone();
                let fetching = self.inner.places.begin_to_read(move || inner.fetch(request)).await;
                self.fetched(fetching).await?
            }
        };
        if fetched.from == from {
            // In this order: a change of the filter in between makes the result useless.
            let scan = self.subscriber.scan();
            let (found, next) = fetched.scan_result(&self.subscriber.filter(), scan);
            self.found = Some(found);
            self.segment_cursor = next;
        }
        Ok(None)
    }

    /// Waits for a read in progress. Cancel safe: it stays in `fetching`.
    async fn fetched(&mut self, fetching: JoinHandle<Result<Fetched, BusError>>) -> Result<Fetched, BusError> {
        let fetching = self.fetching.insert(fetching);
        let fetched = fetching.await;
        self.fetching = None;
        fetched.unwrap_or_else(|error| Err(BusError::Unavailable(format!("reading the log: {error}"))))
    }

    async fn wait_for_memory(&mut self) -> Option<Read> {
        if self.subscriber.asks_to_flush() {
            return Some(Read::Flush);
        }
        tokio::select! {
            () = self.inner.cache.has_room() => {}
            () = self.subscriber.readable.notified() => {}
        }
        None
    }
}

#[async_trait]
impl Reader for DurableReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            let Self { inner, subscriber, found, .. } = self;
            match subscriber.poll(self.number, max.max(1), into, found, &inner.cache.tail) {
                Poll::Ready(read) => return Ok(read),
                Poll::Scan(from) => {
                    if let Some(read) = self.scan(from).await? {
                        return Ok(read);
                    }
                }
                Poll::Pending if self.is_dry() => return Ok(Read::Dry),
                Poll::Pending => self.subscriber.readable.notified().await,
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        self.inner.reroute(&subscription);
        self.subscriber.refilter(subscription.filter);
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.subscriber.set_enabled(enabled);
    }
}

impl DurableReader {
    /// True if the reader or the bus is closed, and every event was read.
    fn is_dry(&self) -> bool {
        (self.closed || self.inner.is_closed()) && self.subscriber.has_read_all()
    }
}
