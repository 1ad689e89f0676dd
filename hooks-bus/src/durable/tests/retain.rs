//! Events stay readable after every hook has settled them, and give way to events that hooks need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use hooks_core::{Bus, ByteSize, Filter, HumanDuration, StartAt};

use super::sim::SimDisk;
use super::{End, TUNING, block_on, config, gone, number, slice};
use crate::durable::DurableBus;
use crate::durable::hold::Hold;
use crate::durable::retention::Reclaim;
use crate::durable::tuning::Tuning;

fn open(disk: &SimDisk, max_bytes: u64, tuning: Tuning) -> DurableBus {
    let mut config = config();
    config.retain = HumanDuration::new(Duration::from_secs(100));
    config.max_bytes = ByteSize::new(max_bytes);
    DurableBus::on(Arc::new(disk.clone()), &config, tuning, Hold::UntilPublished).unwrap()
}

/// Publishes, and settles it at once.
async fn pass(bus: &DurableBus, end: &mut End, numbers: std::ops::Range<usize>) {
    for next in numbers {
        bus.publish(slice([next])).await.unwrap();
        let read = end.read(usize::MAX).await;
        assert_eq!(read.iter().map(number).collect::<Vec<_>>(), [next]);
        end.settle(&read);
    }
    bus.0.inner.checkpoint_and_clean();
}

fn begin(bus: &DurableBus) -> usize {
    bus.info().segments[0].first as usize
}

#[test]
fn what_every_hook_has_settled_stays_until_it_is_old() {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    let clock = || NOW.load(Ordering::Relaxed);
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk, 1 << 30, Tuning { clock, steady: clock, ..TUNING });
        let mut all = End::new(&bus, "all", Filter::all()).await;
        pass(&bus, &mut all, 0..40).await;
        let segments = bus.info().segments;
        assert!(segments[0].first == 0 && segments.len() > 2, "{segments:?}");
        let newest = segments[segments.len() - 1].first as usize;
        let mut past = End::earliest(&bus, "past").await;
        let read = past.read(usize::MAX).await;
        assert_eq!(read.iter().map(number).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        past.settle(&read);
        let retained = bus.info().retained;
        assert!(retained.events > 20 && retained.since == Some(1_000_000), "{retained:?}");
        bus.0.inner.checkpoint_and_clean();
        let stats = bus.monitor().stats();
        assert_eq!(stats.log_retained_bytes, Some(retained.bytes));
        assert_eq!(stats.log_oldest, Some(UNIX_EPOCH + Duration::from_secs(1_000_000)));
        // Begun a quarter of the time later: it ends the file before.
        NOW.fetch_add(60, Ordering::Relaxed);
        pass(&bus, &mut all, 40..41).await;
        for (seconds, expected) in [(30, 0), (20, newest), (60, 40)] {
            NOW.fetch_add(seconds, Ordering::Relaxed);
            bus.0.inner.checkpoint_and_clean();
            assert_eq!((begin(&bus), all.ledger.counts().dropped()), (expected, 0));
        }
        drop((all, past));
        gone(bus);
    });
}

#[test]
fn room_is_taken_from_what_no_hook_needs() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk, 32 << 10, TUNING);
        let mut quick = End::new(&bus, "quick", Filter::all()).await;
        let mut slow = End::new(&bus, "slow", Filter::types(["test.0"])).await;
        let mut waits = Vec::new();
        for round in 0..200 {
            bus.publish(slice([round])).await.unwrap();
            let read = quick.read(usize::MAX).await;
            quick.settle(&read);
            waits.extend(slow.read(usize::MAX).await);
            // It is always forty events behind.
            let done: Vec<_> = waits.extract_if(.., |delivery| number(delivery) + 40 < round).collect();
            slow.settle(&done);
        }
        let size = bus.monitor().stats().log_bytes.unwrap();
        assert!(begin(&bus) > 0 && size > 24 << 10 && size <= 32 << 10, "{size}");
        assert!([&quick, &slow].iter().all(|end| end.ledger.counts().dropped() == 0 && end.ledger.counts().balances()));
        drop((quick, slow, waits));
        gone(bus);
    });
}

#[test]
fn a_disk_without_room_gets_it_from_what_no_hook_needs() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk, 1 << 30, TUNING);
        let mut all = End::new(&bus, "all", Filter::all()).await;
        pass(&bus, &mut all, 0..200).await;
        assert!(bus.info().retained.events > 150);
        // For less than one file more.
        disk.set_room(disk.used() + (2 << 10));
        for next in 200..260 {
            bus.publish(slice([next])).await.unwrap();
        }
        let left = bus.info();
        assert!(left.segments[0].first > 50 && left.retained.events > 0, "no more goes than has to: {left:?}");
        let read: Vec<usize> = all.read(usize::MAX).await.iter().map(number).collect();
        assert_eq!((read, all.ledger.counts().dropped()), ((200..260).collect(), 0));
        drop(all);
        gone(bus);
    });
}

/// One event a second, in files of about fourteen; after a hundred of them the clock is set.
async fn log_with_a_set_clock(bus: &DurableBus, clocks: &[AtomicU64; 2], jump: i64) {
    for next in 0..200 {
        if next == 100 {
            clocks[0].fetch_add(jump.cast_unsigned(), Ordering::Relaxed);
        }
        bus.publish(slice([next])).await.unwrap();
        clocks.iter().for_each(|clock| {
            clock.fetch_add(1, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_hook_begins_at_a_time_however_the_clock_was_set() {
    static CLOCKS: [AtomicU64; 2] = [AtomicU64::new(10_000_000), AtomicU64::new(500)];
    let [clock, steady]: [fn() -> u64; 2] =
        [|| CLOCKS[0].load(Ordering::Relaxed), || CLOCKS[1].load(Ordering::Relaxed)];
    let tuning = Tuning { clock, steady, ..TUNING };
    let open = |disk: &SimDisk| {
        let mut config = config();
        config.retain = HumanDuration::new(Duration::from_secs(1_000_000));
        DurableBus::on(Arc::new(disk.clone()), &config, tuning, Hold::UntilPublished).unwrap()
    };
    let ago = |seconds| StartAt::Ago(HumanDuration::new(Duration::from_secs(seconds)));
    let now = || UNIX_EPOCH + Duration::from_secs(clock());
    let first = async |bus: &DurableBus, name: &str, from: StartAt| {
        End::beginning(bus, name, from).await.read(usize::MAX).await.first().map(number)
    };
    for jump in [86_400, -3_600, 50, -50] {
        let disk = SimDisk::default();
        block_on(async {
            let bus = open(&disk);
            log_with_a_set_clock(&bus, &CLOCKS, jump).await;
            for age in (1..=200).step_by(3) {
                let (expected, age) = (Some(200 - age), age as u64);
                assert_eq!(first(&bus, &format!("ago-{age}"), ago(age)).await, expected, "{age} s ago, {jump}");
                let time = StartAt::Time(now() - Duration::from_secs(age));
                assert_eq!(first(&bus, &format!("time-{age}"), time).await, expected, "{age} s ago, {jump}");
            }
            for (name, from) in [("now", ago(0)), ("ahead", StartAt::Time(now() + Duration::from_secs(60)))] {
                assert_eq!(first(&bus, name, from).await, None, "{name}");
            }
            assert_eq!(first(&bus, "before-all", ago(900)).await, Some(0));
            gone(bus);
            // Nothing is remembered of its places: they are read.
            let bus = open(&disk);
            assert_eq!(first(&bus, "again", ago(150)).await, Some(50));
            assert_eq!(first(&bus, "ago-7", ago(150)).await, Some(193), "a hook that is known goes on");
            gone(bus);
        });
    }
}

/// Keeps many hooks, which makes the database larger. Returns by how much, and the retained events before and after.
async fn grow(missing: Option<usize>) -> (usize, [u64; 2]) {
    let disk = SimDisk::default();
    let bus = open(&disk, 1 << 30, TUNING);
    let mut all = End::new(&bus, "all", Filter::all()).await;
    pass(&bus, &mut all, 0..400).await;
    let (used, before) = (disk.used(), bus.info().retained.events);
    missing.into_iter().for_each(|missing| disk.set_room(used + missing));
    for name in 0..1_000 {
        End::new(&bus, &format!("{name:060}"), Filter::all()).await;
    }
    bus.0.inner.checkpoint_and_clean();
    assert!(!bus.0.inner.storage.health.may_pass(), "{:?}", bus.monitor().health());
    let (grown, after) = (disk.used().saturating_sub(used), bus.info().retained.events);
    bus.publish(slice([400])).await.unwrap();
    assert_eq!((all.read(usize::MAX).await.len(), all.ledger.counts().dropped()), (1, 0));
    drop(all);
    gone(bus);
    (grown, [before, after])
}

#[test]
fn the_database_gets_room_from_what_no_hook_needs() {
    let (grown, [before, after]) = block_on(grow(None));
    assert!(grown > 0 && before == after);
    let (_, [before, after]) = block_on(grow(Some(grown - (32 << 10))));
    assert!(after > 0 && after < before, "no more goes than has to: {after} of {before}");
}

#[test]
fn a_hook_that_comes_while_the_past_is_given_up_begins_behind_it() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk, 1 << 30, TUNING);
        let mut all = End::new(&bus, "all", Filter::all()).await;
        pass(&bus, &mut all, 0..100).await;
        let (resume, hung) = (bus.info().segments[2].first, bus.info().segments[0].first);
        assert!(hung < resume);
        // As a thread does that is about to remove files.
        bus.0.inner.storage.log.begin_at(resume);
        let mut past = End::earliest(&bus, "past").await;
        let read: Vec<usize> = past.read(usize::MAX).await.iter().map(number).collect();
        assert_eq!((read.first(), read.len()), (Some(&(resume as usize)), 100 - resume as usize));
        // And nothing goes that a hook needs which the database does not know yet.
        assert!(bus.0.inner.dirty.has_unsaved_hooks());
        while bus.0.inner.reclaim(Reclaim::One).unwrap() {}
        assert_eq!(begin(&bus), resume as usize);
        assert_eq!(past.ledger.counts().dropped(), 0);
        drop((all, past));
        gone(bus);
    });
}
