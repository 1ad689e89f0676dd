//! Events that are too old are dropped, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::{Bus, DropReason, Filter, HumanDuration};

use super::sim::SimDisk;
use super::{End, TUNING, block_on, config, gone, number, slice};
use crate::durable::DurableBus;
use crate::durable::disk::Disk as _;
use crate::durable::format::{HEADER_BYTES, segment_name};
use crate::durable::hold::Hold;
use crate::durable::tuning::Tuning;

#[test]
fn what_is_older_than_max_age_is_given_up_a_segment_at_a_time() {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    const CLOCK: fn() -> u64 = || NOW.load(Ordering::Relaxed);
    let mut config = config();
    config.max_age = Some(HumanDuration::new(Duration::from_secs(100)));
    let tuning = Tuning { clock: CLOCK, steady: CLOCK, ..TUNING };
    let bus = DurableBus::on(Arc::new(SimDisk::default()), &config, tuning, Hold::UntilPublished).unwrap();
    block_on(async {
        let mut slow = End::new(&bus, "slow", Filter::types(["test.0"])).await;
        for round in 0..20 {
            bus.publish(slice(round * 3..round * 3 + 3)).await.unwrap();
            NOW.fetch_add(10, Ordering::Relaxed);
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
        bus.publish(slice(round * 3..round * 3 + 3)).await.unwrap();
    }
    let read = quick.read(usize::MAX).await;
    quick.settle(&read);
    drop((quick, slow));
    gone(bus);
}

#[test]
fn nothing_is_too_old_before_all_hooks_are_here() {
    let mut config = config();
    config.max_age = Some(HumanDuration::new(Duration::from_secs(100)));
    let tuning = Tuning { clock: || 2_000_000, steady: || 0, ..TUNING };
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
        bus.hooks().forget(&super::hook("slow")).await.unwrap();
        bus.sync_positions().await.unwrap();
        assert_eq!(bus.info().segments[0].first, 0);
        bus.all_subscribed();
        bus.sync_positions().await.unwrap();
        assert_eq!(bus.info().segments.len(), 1);
        gone(bus);
    });
}

const DAY: u64 = 86_400;

/// Keeps events for a hundred seconds.
fn aging(disk: &SimDisk, tuning: Tuning) -> DurableBus {
    let mut config = config();
    config.max_age = Some(HumanDuration::new(Duration::from_secs(100)));
    DurableBus::on(Arc::new(disk.clone()), &config, tuning, Hold::UntilPublished).unwrap()
}

/// Drops events that are too old. Returns the position of the oldest one left.
fn expired(bus: &DurableBus) -> u64 {
    bus.all_subscribed();
    bus.0.inner.expire().unwrap();
    bus.info().segments[0].first
}

#[test]
fn a_file_without_its_header_makes_no_event_old() {
    let written = SimDisk::default();
    block_on(old_log(&written));
    let firsts: Vec<u64> = {
        let bus = super::open(&written).unwrap();
        let firsts = bus.info().segments.iter().map(|segment| segment.first).collect();
        gone(bus);
        firsts
    };
    assert!(firsts.len() > 3);
    // One that a power cut left empty is among them: it was begun, and nothing of that had reached the disk.
    for headless in firsts.into_iter().chain([60]) {
        let disk = written.after_kill();
        let name = segment_name(headless);
        let file = disk.open(&name).or_else(|_| disk.create(&name)).unwrap();
        if headless < 60 {
            file.write_at(&[0; HEADER_BYTES], 0).unwrap();
        }
        let now = |clock| Tuning { clock, steady: clock, ..TUNING };
        let bus = aging(&disk, now(|| 1_000_050));
        let _slow = block_on(End::new(&bus, "slow", Filter::all()));
        assert_eq!(expired(&bus), 0, "without the header of {name}");
        let begun: Vec<Option<u64>> = bus.info().segments.iter().map(|segment| segment.begun).collect();
        assert!(begun[..begun.len() - 1].iter().all(Option::is_some), "{begun:?}");
        drop(_slow);
        gone(bus);
        // When they are old, they go all the same.
        let bus = aging(&disk, now(|| 1_001_000));
        assert!(expired(&bus) > 0, "without the header of {name}");
        gone(bus);
    }
}

/// A clock and one that can't be set.
struct Clocks(AtomicU64, AtomicU64);

impl Clocks {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
        self.1.fetch_add(seconds, Ordering::Relaxed);
    }
}

#[test]
fn events_are_as_old_as_they_are_however_the_clock_is_set() {
    static CLOCKS: Clocks = Clocks(AtomicU64::new(10 * DAY), AtomicU64::new(500));
    let tuning =
        Tuning { clock: || CLOCKS.0.load(Ordering::Relaxed), steady: || CLOCKS.1.load(Ordering::Relaxed), ..TUNING };
    block_on(async {
        for jump in [DAY.cast_signed(), -DAY.cast_signed(), -3 * DAY.cast_signed()] {
            let bus = aging(&SimDisk::default(), tuning);
            let publish = async |numbers| {
                for number in numbers {
                    bus.publish(slice([number])).await.unwrap();
                }
            };
            publish(0..20).await;
            let before = bus.info();
            CLOCKS.pass(50);
            CLOCKS.0.fetch_add(jump.cast_unsigned(), Ordering::Relaxed);
            assert_eq!(expired(&bus), before.segments[0].first, "after {jump} seconds");
            publish(20..40).await;
            CLOCKS.pass(60);
            let begin = expired(&bus);
            assert!(
                begin > before.segments[0].first && begin >= before.end - 5,
                "{begin}, {before:?}, after {jump} seconds"
            );
            assert!(begin <= before.end, "what came later is not so old: {begin}, after {jump} seconds");
            gone(bus);
        }
    });
}

#[test]
fn a_restart_forgets_nothing_of_how_the_clock_was_set() {
    static CLOCKS: Clocks = Clocks(AtomicU64::new(10 * DAY), AtomicU64::new(500));
    let tuning =
        Tuning { clock: || CLOCKS.0.load(Ordering::Relaxed), steady: || CLOCKS.1.load(Ordering::Relaxed), ..TUNING };
    for jump in [DAY.cast_signed(), -DAY.cast_signed()] {
        let disk = SimDisk::default();
        let bus = aging(&disk, tuning);
        let slow = block_on(End::new(&bus, "slow", Filter::all()));
        block_on(async {
            for number in 0..20 {
                bus.publish(slice([number])).await.unwrap();
            }
        });
        CLOCKS.0.fetch_add(jump.cast_unsigned(), Ordering::Relaxed);
        assert_eq!(expired(&bus), 0);
        drop(slow);
        gone(bus);
        CLOCKS.pass(50);
        let bus = aging(&disk, tuning);
        let slow = block_on(End::new(&bus, "slow", Filter::all()));
        assert_eq!(expired(&bus), 0, "after {jump} seconds and a restart");
        drop(slow);
        gone(bus);
        CLOCKS.pass(60);
        let bus = aging(&disk, tuning);
        let _slow = block_on(End::new(&bus, "slow", Filter::all()));
        assert!(expired(&bus) > 0, "after {jump} seconds, a restart and their time");
    }
}

#[test]
fn what_was_begun_in_the_future_counts_as_new() {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000 - DAY);
    let disk = SimDisk::default();
    block_on(old_log(&disk));
    let clock = || NOW.load(Ordering::Relaxed);
    let bus = aging(&disk, Tuning { clock, steady: clock, ..TUNING });
    let _slow = block_on(End::new(&bus, "slow", Filter::all()));
    NOW.fetch_add(50, Ordering::Relaxed);
    assert_eq!(expired(&bus), 0);
    NOW.fetch_add(60, Ordering::Relaxed);
    assert!(expired(&bus) > 0, "not only after a day");
}
