//! On a bus whose positions outlive the process, the sink flushes before anything is settled.

use std::sync::Arc;

use hooks_core::{
    BoxError, Bus, Dispatcher, Hook, Sink, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory},
};
use hooks_test::model::ModelBus;
use hooks_test::{batch, events, id};
use parking_lot::Mutex;

/// The steps that happened, in order, each with the number of events that were not settled then.
#[derive(Clone)]
struct Journal {
    bus: Arc<ModelBus>,
    steps: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.steps.fmt(f)
    }
}

impl Journal {
    fn unsettled(&self) -> u64 {
        self.bus.monitor().lag(&id("a")).unwrap().events
    }

    fn enter(&self, step: &'static str) {
        self.steps.lock().push((step, self.unsettled()));
    }
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
        self.0.enter("deliver");
        Ok(Delivered::all())
    }

    async fn flush(&mut self) -> Result<(), DeliveryError> {
        let first = !self.0.steps.lock().iter().any(|(step, _)| *step == "flush");
        self.0.enter("flush");
        if first { Err(DeliveryError::retry("flush")) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_settled_before_the_sink_has_flushed_it() {
    let bus = Arc::new(ModelBus::lasting());
    let journal = Journal { bus: bus.clone(), steps: Arc::default() };
    let dispatcher = Dispatcher::new(bus.clone());
    dispatcher.add(Hook::new("a", Buffered(journal.clone())).unwrap().batch(batch(3, "0s"))).await.unwrap();
    bus.publish(events(0..3)).await.unwrap();
    while journal.unsettled() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(journal.steps.lock().as_slice(), [("deliver", 3), ("flush", 3), ("deliver", 3), ("flush", 3)]);
    let counts = dispatcher.status()[0].counts;
    assert_eq!((counts.delivered, counts.in_flight, counts.balances()), (3, 0, true));
}
