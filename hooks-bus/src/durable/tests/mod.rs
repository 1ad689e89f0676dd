//! The durable bus on a simulated disk.

mod age;
mod closing;
mod commit;
mod conformance;
mod definitions;
mod duplicates;
mod faults;
mod lag;
mod managed;
mod new_hook;
mod overlay;
mod pace;
mod past;
mod power;
mod retain;
mod seek;
mod sim;
mod tenants;
mod window;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{ByteSize, HumanDuration, Slice, bus::Delivery};
use hooks_test::{End, block_on, id as hook};

use super::config::DurableConfig;
use super::disk::Disk;
use super::error::OpenError;
use super::hold::Hold;
use super::tuning::{Pace, Tuning};
use super::{DurableBus, Handle};
use sim::SimDisk;

/// Checkpoints are written only when a test says so.
const TUNING: Tuning = Tuning { pace: Pace { gather: HOUR, first: HOUR, expiry: HOUR }, clock, steady: clock };
const HOUR: Duration = Duration::from_secs(3600);

/// Stands still: tests that run at the same time have it, too.
fn clock() -> u64 {
    1_000_000
}

fn config() -> DurableConfig {
    let mut config = DurableConfig::new("/simulated");
    config.segment_size = ByteSize::new(4 << 10);
    config.max_bytes = ByteSize::new(1 << 30);
    config.retain = HumanDuration::default();
    config
}

fn open(disk: &SimDisk) -> Result<DurableBus, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    DurableBus::on(disk, &config(), TUNING, Hold::UntilPublished)
}

/// Numbered events of different lengths.
fn slice(numbers: impl IntoIterator<Item = usize>) -> Slice {
    hooks_test::thirds(numbers, |number| number * 37 % 300)
}

fn number(delivery: &Delivery) -> usize {
    delivery.envelope().id().parse().unwrap()
}

/// The whole of a bus is gone, the lock of its folder as well.
fn gone(bus: DurableBus) {
    let DurableBus(handle) = bus;
    let handle: Handle = Arc::into_inner(handle).expect("nobody else has the bus");
    drop(handle);
}
