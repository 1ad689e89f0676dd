//! Through the dispatcher: a receiver that is down for a long time costs disk, not memory, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hooks_bus::DurableBus;
use hooks_core::{
    Batch, BoxError, Bus, Bytes, Delivered, DeliveryError, Dispatcher, Filter, Hook, HookId, RetryPolicy, Sink,
    SinkContext, SinkFactory, Span, async_trait,
};
use tokio::sync::watch;

use super::{config, slice};

/// What a receiver has; it may be down.
#[derive(Debug, Clone)]
struct Receiver {
    down: Arc<AtomicBool>,
    got: Arc<watch::Sender<Vec<usize>>>,
}

impl Receiver {
    fn new(down: bool) -> Self {
        Self { down: Arc::new(AtomicBool::new(down)), got: Arc::new(watch::Sender::new(Vec::new())) }
    }

    async fn has(&self, events: usize) -> Vec<usize> {
        self.got.subscribe().wait_for(|got| got.len() >= events).await.unwrap().clone()
    }
}

impl SinkFactory for Receiver {
    fn kind(&self) -> &str {
        "receiver"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Receiver {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        if self.down.load(Ordering::Acquire) {
            return Err(DeliveryError::retry("it is down"));
        }
        let numbers = batch.events().map(|event| event.id().parse::<usize>().unwrap());
        self.got.send_modify(|got| got.extend(numbers));
        Ok(Delivered::all())
    }
}

fn hook(id: &str, receiver: &Receiver) -> Hook {
    let retry = RetryPolicy {
        initial: Span(Duration::from_millis(1)),
        max: Span(Duration::from_millis(5)),
        ..RetryPolicy::default()
    };
    Hook::new(id, receiver.clone()).unwrap().filter(Filter::all()).retry(retry)
}

#[tokio::test]
async fn a_receiver_that_is_down_costs_no_memory_and_catches_up_afterwards() {
    const EVENTS: usize = 30_000;
    const MEMORY: usize = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.segment_size = Bytes(1 << 20);
    config.max_bytes = Bytes(1 << 30);
    config.max_memory = Bytes(MEMORY as u64);
    let (up, down) = (Receiver::new(false), Receiver::new(true));
    {
        let bus = DurableBus::open(&config).unwrap();
        let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
        dispatcher.add(hook("up", &up)).await.unwrap();
        dispatcher.add(hook("down", &down).lanes(4.try_into().unwrap())).await.unwrap();
        for first in (0..EVENTS).step_by(500) {
            bus.publish(&slice(first..first + 500, 200)).await.unwrap();
            assert!(bus.memory_used() <= MEMORY, "{} bytes", bus.memory_used());
        }
        assert_eq!(up.has(EVENTS).await, (0..EVENTS).collect::<Vec<_>>());
        let lag = bus.lag(&HookId::new("down").unwrap()).unwrap();
        assert_eq!((lag.events, lag.exact), (EVENTS as u64, false));
        assert!(lag.bytes > 300 * EVENTS as u64 && lag.oldest.is_some(), "{lag:?}");
        dispatcher.shutdown(Some(Duration::ZERO)).await;
    }
    assert!(down.got.borrow().is_empty());

    // After a restart, too.
    down.down.store(false, Ordering::Release);
    let bus = DurableBus::open(&config).unwrap();
    let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
    dispatcher.add(hook("up", &up)).await.unwrap();
    dispatcher.add(hook("down", &down)).await.unwrap();
    assert_eq!(down.has(EVENTS).await, (0..EVENTS).collect::<Vec<_>>());
    assert!(bus.memory_used() <= MEMORY, "{} bytes", bus.memory_used());
    let report = dispatcher.shutdown(None).await;
    assert!(report.hooks.iter().all(|hook| hook.counts.balances() && hook.counts.in_hand == 0));
    bus.sync_positions().await.unwrap();
    assert_eq!(bus.info().segments.len(), 1, "what everybody has is gone");
    assert_eq!(up.got.borrow().len(), EVENTS, "nothing came twice");
}
