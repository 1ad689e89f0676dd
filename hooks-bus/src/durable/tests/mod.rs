//! The durable bus on a simulated disk.

mod age;
mod closing;
mod commit;
mod conformance;
mod faults;
mod lag;
mod new_hook;
mod overlay;
mod power;
mod sim;
mod window;
mod workload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::{
    Bus, ByteSize, Delivery, Filter, HookId, Ledger, QueueLimits, Read, Reader, Settler, Slice, SliceBuilder, StartAt,
    Subscription,
};

use super::checkpointer::Tuning;
use super::config::DurableConfig;
use super::disk::Disk;
use super::error::OpenError;
use super::hold::Hold;
use super::{DurableBus, Handle};
use sim::SimDisk;

/// Checkpoints are written only when a test says so.
const TUNING: Tuning = Tuning { gather: Duration::from_secs(3600), clock, steady: clock };

/// Stands still until a test sets it.
static CLOCK: AtomicU64 = AtomicU64::new(1_000_000);

fn clock() -> u64 {
    CLOCK.load(Ordering::Relaxed)
}

fn config() -> DurableConfig {
    let mut config = DurableConfig::new("/simulated");
    config.segment_size = ByteSize(4 << 10);
    config.max_bytes = ByteSize(1 << 30);
    config
}

fn open(disk: &SimDisk) -> Result<DurableBus, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    DurableBus::on(disk, &config(), TUNING, Hold::UntilPublished)
}

fn hook(id: &str) -> HookId {
    HookId::new(id).unwrap()
}

fn slice(numbers: impl IntoIterator<Item = usize>) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    for number in numbers {
        let padding = "x".repeat(number * 37 % 300);
        let json = format!(
            r#"{{"specversion":"1.0","id":"{number}","source":"/test","type":"test.{}","time":"2026-11-23T10:00:00Z","data":"{padding}"}}"#,
            number % 3
        );
        slice.push_json(json.as_bytes()).unwrap();
    }
    slice.finish()
}

/// One hook's end of the bus.
struct End {
    reader: Box<dyn Reader>,
    settler: Settler,
    ledger: Arc<Ledger>,
}

impl End {
    async fn new(bus: &DurableBus, id: &str, filter: Filter) -> Self {
        let ledger = Arc::new(Ledger::default());
        let subscription = Subscription {
            hook: hook(id),
            filter: Arc::new(filter),
            queue: QueueLimits::default(),
            ledger: ledger.clone(),
            from: StartAt::End,
        };
        let (mut reader, settler) = bus.subscribe(subscription).await.unwrap();
        reader.close();
        Self { reader, settler, ledger }
    }

    async fn read(&mut self, max: usize) -> Vec<Delivery> {
        let mut read = Vec::new();
        while read.len() < max {
            match self.reader.next(max - read.len(), &mut read).await {
                Ok(Read::Events(_) | Read::Flush) => {}
                Ok(Read::Dry | Read::Lost) | Err(_) => break,
            }
        }
        read
    }

    fn settle<'a>(&self, deliveries: impl IntoIterator<Item = &'a Delivery>) {
        let positions: Vec<_> = deliveries.into_iter().map(|delivery| delivery.position).collect();
        self.settler.settle(&positions, hooks_core::Outcome::Delivered);
    }
}

fn number(delivery: &Delivery) -> usize {
    delivery.envelope().id().parse().unwrap()
}

/// Runs to the end on a new runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The whole of a bus is gone, the lock of its folder as well.
fn gone(bus: DurableBus) {
    let DurableBus(handle) = bus;
    let handle: Handle = Arc::into_inner(handle).expect("nobody else has the bus");
    drop(handle);
}
