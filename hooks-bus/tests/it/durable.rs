//! The durable bus on a real folder.

mod backlog;
mod damage;
mod dead_letters;
mod definitions;
mod dispatcher;
mod fixture;
mod full;
mod hooks;
mod lock;
mod room;
mod warnings;

use std::path::Path;

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{Bus, ByteSize, Filter, HumanDuration};
use hooks_test::End;

use crate::slice;

/// Small segments, so that there are many.
fn config(dir: &Path) -> DurableConfig {
    let mut config = DurableConfig::new(dir);
    config.segment_size = ByteSize::new(8 << 10);
    config.max_bytes = ByteSize::new(1 << 20);
    config.retain = HumanDuration::default();
    config
}

fn open(config: &DurableConfig) -> DurableBus {
    DurableBus::open(config).unwrap()
}

async fn publish(bus: &DurableBus, range: std::ops::Range<usize>) {
    for number in range {
        bus.publish(slice(number..number + 1, 100)).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_published_is_read_by_hooks_that_follow_and_hooks_that_lag() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let _holds = End::new(&bus, "holds", Filter::all()).await;
    let mut follows = End::new(&bus, "follows", Filter::types(["test.1"])).await;
    for round in 0..10 {
        publish(&bus, round * 30..round * 30 + 30).await;
        let expected: Vec<usize> = (round * 30..round * 30 + 30).filter(|number| number % 3 == 1).collect();
        assert_eq!(follows.read_all().await, expected);
    }
    let mut late = End::earliest(&bus, "late").await;
    assert_eq!(late.read_all().await, (0..300).collect::<Vec<_>>());
    let counts = late.ledger.counts();
    assert_eq!((counts.taken, counts.delivered, counts.balances()), (300, 300, true));
}

#[tokio::test]
async fn segments_go_when_every_hook_has_passed_them() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let mut slow = End::new(&bus, "slow", Filter::all()).await;
    let _idle = End::new(&bus, "idle", Filter::types(["other"])).await;
    publish(&bus, 0..300).await;
    bus.sync_positions().await.unwrap();
    let before = bus.info();
    assert!(before.segments.len() > 5 && before.segments[0].first == 0, "{before:?}");
    let read = slow.read(200).await;
    slow.settle(&read);
    bus.sync_positions().await.unwrap();
    let after = bus.info();
    assert!(after.segments[0].first > 100 && after.segments[0].first <= 200, "{after:?}");
    assert_eq!(slow.read_all().await, (200..300).collect::<Vec<_>>());
    bus.sync_positions().await.unwrap();
    assert_eq!(bus.info().segments.len(), 1);
}

#[tokio::test]
async fn restarts_leave_no_large_files_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.segment_size = ByteSize::new(1 << 20);
    config.max_bytes = ByteSize::new(4 << 20);
    for restart in 0..10 {
        let bus = open(&config);
        let _holds = End::new(&bus, "holds", Filter::all()).await;
        publish(&bus, restart..restart + 1).await;
    }
    let info = DurableBus::inspect(folder.path()).unwrap();
    assert_eq!(info.segments.len(), 10);
    assert!(info.segments.iter().all(|segment| segment.bytes < 1000), "{info:?}");
    let mut holds = End::new(&open(&config), "holds", Filter::all()).await;
    assert_eq!(holds.read_all().await, (0..10).collect::<Vec<_>>());
}
