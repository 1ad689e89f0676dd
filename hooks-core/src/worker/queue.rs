//! The queue from the feeder to one lane. Bounded in events and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::batcher::BatchLimits;
use crate::bus::{BusError, Delivery, Read, Reader, Subscription};

/// A lane's queue holds this many full batches.
const BATCHES: usize = 4;

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
    max_events: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    flush: bool,
    ended: bool,
}

impl Queue {
    pub(crate) fn new(limits: &BatchLimits) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            readable: Notify::new(),
            writable: Notify::new(),
            max_events: limits.max_events.get().saturating_mul(BATCHES),
            max_bytes: limits.max_bytes.get().saturating_mul(BATCHES),
        })
    }

    /// Waits for room. Only one feeder may wait.
    pub(crate) async fn room(&self) {
        while !self.has_room() {
            self.writable.notified().await;
        }
    }

    /// Appends a delivery.
    pub(crate) fn put(&self, delivery: Delivery) {
        let mut state = self.state.lock();
        state.bytes += delivery.envelope().len();
        state.deliveries.push_back(delivery);
        self.readable.notify_one();
    }

    fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.deliveries.len() < self.max_events && state.bytes < self.max_bytes
    }

    /// Tells the lane to deliver at once: a publisher waits for room.
    pub(crate) fn flush(&self) {
        self.state.lock().flush = true;
        self.readable.notify_one();
    }

    /// Ends the queue: nothing more will be put in.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.readable.notify_one();
    }

    /// Takes the deliveries that the lane did not read.
    pub(crate) fn drain(&self) -> Vec<Delivery> {
        let mut state = self.state.lock();
        state.bytes = 0;
        state.deliveries.drain(..).collect()
    }

    fn take(&self, max: usize, into: &mut Vec<Delivery>) -> Option<Read> {
        let mut state = self.state.lock();
        let count = max.min(state.deliveries.len());
        if count > 0 {
            let first = into.len();
            into.extend(state.deliveries.drain(..count));
            state.bytes -= into[first..].iter().map(|delivery| delivery.envelope().len()).sum::<usize>();
            self.writable.notify_one();
            return Some(Read::Events(count));
        }
        if std::mem::take(&mut state.flush) {
            return Some(Read::Flush);
        }
        state.ended.then_some(Read::Dry)
    }
}

/// The lane's side of a queue.
pub(crate) struct QueueReader(pub(crate) Arc<Queue>);

#[async_trait]
impl Reader for QueueReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            if let Some(read) = self.0.take(max, into) {
                return Ok(read);
            }
            self.0.readable.notified().await;
        }
    }

    /// The feeder closes the bus's reader; its end comes through the queue.
    fn close(&mut self) {}

    fn reconfigure(&mut self, _: Subscription) {}

    fn set_enabled(&mut self, _: bool) {}
}
