//! A hook's way through the durable log.

use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{BusError, Delivery, Read, Reader, Subscription};
use tokio::task::JoinHandle;

use super::inner::Inner;
use super::log::Tape;
use super::scan::{Fetched, Want};
use super::subscriber::{Catch, Look, Subscriber};

/// Most events that are looked at in memory at a time.
const SLICE: usize = 1024;

/// A hook's way through the durable bus. While it lags it has one piece of the log in memory.
pub(crate) struct DurableReader {
    pub(crate) inner: Arc<Inner>,
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) number: u64,
    pub(crate) closed: bool,
    catch: Option<Catch>,
    /// Where the next piece stands.
    tape: Option<Tape>,
    /// The piece that is being read. It goes on when the call that wanted it is dropped.
    fetching: Option<JoinHandle<Result<Fetched, BusError>>>,
}

impl DurableReader {
    pub(crate) fn new(inner: Arc<Inner>, subscriber: Arc<Subscriber>, number: u64) -> Self {
        Self { inner, subscriber, number, closed: false, catch: None, tape: None, fetching: None }
    }

    /// Looks through the log from a position on, and leaves what it finds in `catch`. `Some`: there is no memory
    /// for more before what is in flight has left.
    async fn scan(&mut self, from: u64) -> Result<Option<Read>, BusError> {
        if self.inner.catches_up(&self.subscriber, from) {
            return Ok(None);
        }
        if let Some(catch) = self.inner.scan_memory(&self.subscriber, from, SLICE) {
            self.catch = Some(catch);
            return Ok(None);
        }
        let fetched = match self.fetching.take() {
            Some(fetching) => self.fetched(fetching).await?,
            None => {
                let Some(size) = self.inner.piece_size(&self.subscriber) else {
                    return Ok(self.wait_for_memory().await);
                };
                let tape = self.tape.take().filter(|tape| tape.place.position == from);
                let want = Want { from, tape, size, until: self.inner.handed_out() };
                let inner = self.inner.clone();
                let fetching = self.inner.places.begin_to_read(move || inner.fetch(want)).await;
                self.fetched(fetching).await?
            }
        };
        if fetched.from == from {
            // In this order: a filter that changes meanwhile makes the catch useless.
            let scan = self.subscriber.scan();
            let (catch, next) = fetched.caught(&self.subscriber.filter(), scan);
            self.catch = Some(catch);
            self.tape = next;
        }
        Ok(None)
    }

    /// Cancel safe: what is being read stays there.
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
            () = self.inner.memory_freed() => {}
            () = self.subscriber.readable.notified() => {}
        }
        None
    }
}

#[async_trait]
impl Reader for DurableReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            let Self { inner, subscriber, catch, .. } = self;
            match subscriber.look(self.number, max.max(1), into, catch, &inner.ring) {
                Look::Found(read) => return Ok(read),
                Look::Scan(from) => {
                    if let Some(read) = self.scan(from).await? {
                        return Ok(read);
                    }
                }
                Look::Nothing if self.is_dry() => return Ok(Read::Dry),
                Look::Nothing => self.subscriber.readable.notified().await,
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
    /// The reader or the bus is closed, and everything was read.
    fn is_dry(&self) -> bool {
        (self.closed || self.inner.is_closed()) && self.subscriber.has_read_all()
    }
}
