//! On a bus whose positions outlive the process, the sink flushes before anything is settled.

use std::collections::VecDeque;
use std::sync::Arc;

use hooks_core::{
    Batch, BoxError, Bus, BusError, BusTraits, Delivered, Delivery, DeliveryError, Dispatcher, Hook, HookId, Ledger,
    Position, Read, Reader, Settle, Settler, Sink, SinkContext, SinkFactory, Slice, Subscription, async_trait,
};
use hooks_test::{batch, events};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The steps that happened, in order.
type Journal = Arc<Mutex<Vec<&'static str>>>;

/// A log for one hook that says it outlives the process.
#[derive(Clone)]
struct Log {
    queue: Arc<Mutex<VecDeque<Delivery>>>,
    readable: Arc<Notify>,
    ledger: Arc<Mutex<Option<Arc<Ledger>>>>,
    journal: Journal,
}

impl Settle for Log {
    fn settle(&self, positions: &[Position]) -> usize {
        self.journal.lock().push("settle");
        positions.len()
    }
}

#[async_trait]
impl Bus for Log {
    fn log_id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn traits(&self) -> BusTraits {
        BusTraits::new().outlives_process()
    }

    async fn publish(&self, slice: Slice) -> Result<(), BusError> {
        let number = |at: usize| Delivery::new(Position(at as u64), &slice, at);
        self.queue.lock().extend((0..slice.len()).map(number));
        self.readable.notify_one();
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        *self.ledger.lock() = Some(subscription.ledger.clone());
        Ok((Box::new(self.clone()), Settler::new(Arc::new(self.clone()), subscription.ledger)))
    }

    async fn unsubscribe(&self, _: &HookId) -> Result<(), BusError> {
        Ok(())
    }

    async fn close(&self) {}
}

#[async_trait]
impl Reader for Log {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            let read: Vec<_> = {
                let mut queue = self.queue.lock();
                let count = max.min(queue.len());
                queue.drain(..count).collect()
            };
            if !read.is_empty() {
                self.ledger.lock().as_ref().unwrap().take(read.len());
                let count = read.len();
                into.extend(read);
                return Ok(Read::Events(count));
            }
            self.readable.notified().await;
        }
    }

    fn close(&mut self) {}

    fn reconfigure(&mut self, _: Subscription) {}

    fn set_enabled(&mut self, _: bool) {}
}

/// Delivers at once; the first flush fails.
#[derive(Debug, Clone)]
struct Buffered(Journal);

impl SinkFactory for Buffered {
    fn kind(&self) -> &str {
        "buffered"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Buffered {
    async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> {
        self.0.lock().push("deliver");
        Ok(Delivered::all())
    }

    async fn flush(&mut self) -> Result<(), DeliveryError> {
        let mut journal = self.0.lock();
        let first = !journal.contains(&"flush");
        journal.push("flush");
        if first { Err(DeliveryError::retry("flush")) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_settled_before_the_sink_has_flushed_it() {
    let journal = Journal::default();
    let log = Log { queue: Arc::default(), readable: Arc::default(), ledger: Arc::default(), journal: journal.clone() };
    let dispatcher = Dispatcher::new(Arc::new(log.clone()));
    dispatcher.add(Hook::new("a", Buffered(journal.clone())).unwrap().batch(batch(3, "0s"))).await.unwrap();
    log.publish(events(0..3)).await.unwrap();
    while !journal.lock().contains(&"settle") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(journal.lock().as_slice(), ["deliver", "flush", "deliver", "flush", "settle"]);
    let counts = dispatcher.status()[0].counts;
    assert_eq!((counts.delivered, counts.in_flight, counts.balances()), (3, 0, true));
}
