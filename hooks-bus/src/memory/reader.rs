//! A hook's reader on the memory bus.

use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{
    BusError,
    bus::{Delivery, Read, Reader, Subscription},
};

use super::inner::Inner;
use super::subscriber::Subscriber;

/// A hook's reader on the memory bus.
pub(super) struct MemoryReader {
    pub(super) bus: Arc<Inner>,
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) number: u64,
    pub(super) closed: bool,
}

#[async_trait]
impl Reader for MemoryReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            let dry = self.closed || self.bus.is_closed();
            let flush = self.bus.memory.has_waiters();
            if let Some(read) = self.subscriber.read(self.number, max.max(1), into, dry, flush) {
                return Ok(read);
            }
            self.subscriber.readable.notified().await;
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        self.bus.reroute(&subscription);
        self.subscriber.reconfigure(&subscription);
        self.bus.evict_for_waiters();
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.subscriber.set_enabled(enabled);
        self.bus.evict_for_waiters();
    }
}
