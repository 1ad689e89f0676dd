//! Events that are too old are given up, and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hooks_core::{Bus, DropReason, Filter, Span};

use super::sim::SimDisk;
use super::{CLOCK, End, TUNING, block_on, config, gone, number, slice};
use crate::durable::DurableBus;
use crate::durable::hold::Hold;
use crate::durable::keeper::Tuning;

#[test]
fn what_is_older_than_max_age_is_given_up_a_segment_at_a_time() {
    let mut config = config();
    config.max_age = Some(Span(Duration::from_secs(100)));
    let bus = DurableBus::on(Arc::new(SimDisk::default()), &config, TUNING, Hold::UntilPublished).unwrap();
    block_on(async {
        let mut slow = End::new(&bus, "slow", Filter::types(["test.0"])).await;
        for round in 0..20 {
            bus.publish(&slice(round * 3..round * 3 + 3)).await.unwrap();
            CLOCK.fetch_add(10, Ordering::Relaxed);
            bus.0.inner.expire().unwrap();
        }
        // Of 200 seconds the last 100 are there, and at most a quarter more that shares a segment with them.
        let left: Vec<usize> = slow.read(usize::MAX).await.iter().map(number).collect();
        let dropped = slow.ledger.counts().dropped_for(DropReason::Expired) as usize;
        assert!((7..=10).contains(&dropped), "{dropped} dropped, {left:?} left");
        assert_eq!(left, (dropped * 3..60).step_by(3).collect::<Vec<_>>());
        assert!(slow.ledger.counts().balances());
    });
}

/// A log whose events are all old, and a hook that wants them.
async fn old_log(disk: &SimDisk) {
    let bus = super::open(disk).unwrap();
    let mut quick = End::new(&bus, "quick", Filter::all()).await;
    let slow = End::new(&bus, "slow", Filter::all()).await;
    for round in 0..20 {
        bus.publish(&slice(round * 3..round * 3 + 3)).await.unwrap();
    }
    let read = quick.read(usize::MAX).await;
    quick.settle(&read);
    drop((quick, slow));
    gone(bus);
}

#[test]
fn nothing_is_too_old_before_all_hooks_are_here() {
    let mut config = config();
    config.max_age = Some(Span(Duration::from_secs(100)));
    let tuning = Tuning { clock: || 2_000_000, ..TUNING };
    let disk = SimDisk::default();
    block_on(async {
        old_log(&disk).await;
        for hold in [Hold::Always, Hold::UntilPublished] {
            let bus = DurableBus::on(Arc::new(disk.clone()), &config, tuning, hold).unwrap();
            let mut slow = End::new(&bus, "slow", Filter::all()).await;
            bus.0.inner.expire().unwrap();
            assert_eq!(bus.info().segments[0].first, 0);
            bus.all_subscribed();
            bus.0.inner.expire().unwrap();
            let begin = bus.info().segments[0].first;
            let dropped = slow.ledger.counts().dropped_for(DropReason::Expired);
            assert_eq!((dropped, begin > 0), (begin, hold == Hold::UntilPublished));
            slow.read(usize::MAX).await;
            drop(slow);
            gone(bus);
        }
    });
}

/// Only then is it known who wants the oldest events: a new hook may begin with them.
#[test]
fn nothing_is_reclaimed_before_all_hooks_are_here() {
    let disk = SimDisk::default();
    block_on(async {
        old_log(&disk).await;
        let bus = super::open(&disk).unwrap();
        let slow = End::new(&bus, "slow", Filter::all()).await;
        bus.unsubscribe(&super::hook("slow")).await.unwrap();
        drop(slow);
        bus.forget(&super::hook("slow")).await.unwrap();
        bus.sync_positions().await.unwrap();
        assert_eq!(bus.info().segments[0].first, 0);
        bus.all_subscribed();
        bus.sync_positions().await.unwrap();
        assert_eq!(bus.info().segments.len(), 1);
        gone(bus);
    });
}
