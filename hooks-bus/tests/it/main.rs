//! Black-box tests of the buses, through the traits that the dispatcher uses.
#![allow(clippy::unwrap_used, reason = "tests")]

#[cfg(any(feature = "durable", feature = "nats"))]
mod clones;
mod conformance;
#[cfg(feature = "durable")]
mod durable;
mod memory;
mod model;
#[cfg(feature = "nats")]
mod nats;

use std::sync::Arc;

use hooks_core::{
    Bus, ByteSize, Delivery, Envelope, Filter, HookId, Ledger, Overflow, QueueLimits, Read, Reader, Settler, Slice,
    SliceBuilder, StartAt, Subscription,
};

/// One hook's end of a bus.
struct End {
    reader: Box<dyn Reader>,
    settler: Settler,
    ledger: Arc<Ledger>,
}

impl End {
    async fn new(bus: &dyn Bus, hook: &str, filter: Filter, queue: QueueLimits) -> Self {
        Self::starting(bus, hook, filter, queue, StartAt::End).await
    }

    async fn starting(bus: &dyn Bus, hook: &str, filter: Filter, queue: QueueLimits, from: StartAt) -> Self {
        let ledger = Arc::new(Ledger::default());
        let subscription = Subscription { from, ..subscription(hook, filter, queue, &ledger) };
        let (reader, settler) = bus.subscribe(subscription).await.unwrap();
        Self { reader, settler, ledger }
    }

    /// Reads what is there, without waiting.
    async fn read(&mut self, max: usize) -> Vec<Delivery> {
        let mut read = Vec::new();
        self.reader.close();
        while read.len() < max {
            match self.reader.next(max - read.len(), &mut read).await.unwrap() {
                Read::Events(_) | Read::Flush => {}
                Read::Dry | Read::Lost => break,
            }
        }
        read
    }

    fn settle(&self, deliveries: &[Delivery]) {
        let positions: Vec<_> = deliveries.iter().map(|delivery| delivery.position).collect();
        self.settler.settle(&positions, hooks_core::Outcome::Delivered);
    }
}

fn subscription(hook: &str, filter: Filter, queue: QueueLimits, ledger: &Arc<Ledger>) -> Subscription {
    Subscription {
        hook: HookId::new(hook).unwrap(),
        filter: Arc::new(filter),
        queue,
        ledger: ledger.clone(),
        from: StartAt::End,
    }
}

fn queue(max_events: usize, max_bytes: u64, overflow: Overflow) -> QueueLimits {
    QueueLimits { max_events: max_events.try_into().unwrap(), max_bytes: ByteSize(max_bytes), overflow }
}

fn numbers(deliveries: &[Delivery]) -> Vec<usize> {
    deliveries.iter().map(|delivery| delivery.envelope().id().parse().unwrap()).collect()
}

/// Events that were made apart, to be published together.
fn together(events: &[Envelope]) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    events.iter().for_each(|event| slice.push_envelope(event).unwrap());
    slice.finish()
}

/// Events named by their numbers, in one block, each with this much data.
fn slice(range: std::ops::Range<usize>, data: usize) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    for number in range {
        let json = format!(
            r#"{{"specversion":"1.0","id":"{number}","source":"/test","type":"test.{}","time":"2026-11-23T10:00:00Z","data":"{}"}}"#,
            number % 3,
            "x".repeat(data)
        );
        slice.push_json(json.as_bytes()).unwrap();
    }
    slice.finish()
}
