//! Events that are published again are accepted and taken once, also after a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hooks_core::{Bus, Filter, HumanDuration, bus::Published};

use super::sim::SimDisk;
use super::{Disk, DurableBus, End, Hold, TUNING, Tuning, block_on, config, gone, number, open, slice};
use crate::duplicates::DuplicateLimits;

async fn all_of(bus: &DurableBus) -> Vec<usize> {
    End::new(bus, "all", Filter::all()).await.read(usize::MAX).await.iter().map(number).collect()
}

/// A hook that begins with the first event, and its bus.
async fn begun(disk: &SimDisk) -> DurableBus {
    let bus = open(disk).unwrap();
    drop(End::new(&bus, "all", Filter::all()).await);
    bus
}

fn published(events: usize, duplicates: usize) -> Published {
    Published::new(events).duplicates(duplicates)
}

#[test]
fn what_is_published_again_is_taken_once_and_counted() {
    block_on(async {
        let disk = SimDisk::default();
        let bus = begun(&disk).await;
        assert_eq!(bus.publish(slice([1, 2, 3])).await.unwrap(), published(3, 0));
        assert_eq!(bus.publish(slice([3, 4, 1, 5, 6, 5])).await.unwrap(), published(6, 3), "5 stands twice");
        assert_eq!(bus.publish(slice([6, 2])).await.unwrap(), published(2, 2));
        let stats = bus.monitor().stats();
        assert_eq!((stats.accepted, stats.duplicates), (11, Some(5)));
        assert_eq!(stats.duplicate_window, Some(Duration::from_secs(120)));
        assert_eq!(all_of(&bus).await, [1, 2, 3, 4, 5, 6]);
        gone(bus);
    });
}

/// Calls that share a commit: whoever is told that an event is known finds it safe.
#[test]
fn known_events_of_one_commit_are_safe_when_that_is_said() {
    block_on(async {
        let disk = SimDisk::default();
        let bus = begun(&disk).await;
        let answers = join_all((0..20).map(|_| bus.publish(slice([7])))).await;
        let duplicates: usize = answers.into_iter().map(|answer| answer.unwrap().duplicates).sum();
        assert_eq!(duplicates, 19);
        let again = open(&disk.after_power_cut(|| false)).unwrap();
        assert_eq!(all_of(&again).await, [7]);
    });
}

#[test]
fn a_call_that_is_refused_leaves_no_names_behind() {
    block_on(async {
        let disk = SimDisk::default();
        let mut config = config();
        config.dead_letters.max_bytes = hooks_core::ByteSize::new(8 << 10);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let bus = DurableBus::on(shared, &config, TUNING, Hold::UntilPublished).unwrap();
        drop(End::new(&bus, "all", Filter::all()).await);
        let long = hooks_test::thirds([1, 2, 3], |number| if number == 3 { 20_000 } else { 1 });
        bus.publish(long).await.unwrap_err();
        assert_eq!(bus.publish(slice([1, 2])).await.unwrap(), published(2, 0));
        assert_eq!(all_of(&bus).await, [1, 2]);
    });
}

/// Whatever was answered before the power was cut: once everything was published again, all of it is there once.
#[test]
fn after_a_power_cut_at_any_operation_publishing_again_doubles_nothing() {
    let run = |disk: &SimDisk| {
        block_on(async {
            let Ok(bus) = open(disk) else { return };
            drop(End::new(&bus, "all", Filter::all()).await);
            if bus.sync_positions().await.is_ok() {
                for next in (0..30).step_by(3) {
                    let _ = bus.publish(slice(next..next + 3)).await;
                }
            }
            gone(bus);
        });
    };
    let undisturbed = SimDisk::default();
    run(&undisturbed);
    for cut in 0..=undisturbed.operations() {
        let disk = SimDisk::default();
        disk.cut_at(cut);
        run(&disk);
        for image in [disk.after_power_cut(|| false), disk.after_kill()] {
            block_on(async {
                let bus = begun(&image).await;
                // Other slices than before.
                for next in (0..30).step_by(5) {
                    bus.publish(slice(next..next + 5)).await.unwrap();
                }
                let all = all_of(&bus).await;
                assert!(all.iter().copied().eq(0..30), "cut before operation {cut}: {all:?}");
                gone(bus);
            });
        }
    }
}

#[test]
fn the_window_is_over_at_the_same_time_after_a_restart_and_when_the_clock_is_set() {
    static WALL: AtomicU64 = AtomicU64::new(1_000_000);
    static STEADY: AtomicU64 = AtomicU64::new(5);
    let tuning = Tuning { clock: || WALL.load(Ordering::Relaxed), steady: || STEADY.load(Ordering::Relaxed), ..TUNING };
    let pass = |seconds| [&WALL, &STEADY].map(|clock| clock.fetch_add(seconds, Ordering::Relaxed));
    let disk = SimDisk::default();
    let open = || {
        let mut config = config();
        config.duplicate_window = HumanDuration::new(Duration::from_secs(60));
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        DurableBus::on(shared, &config, tuning, Hold::UntilPublished).unwrap()
    };
    let known = |bus: &DurableBus, number| block_on(bus.publish(slice([number]))).unwrap().duplicates == 1;
    let bus = open();
    assert!(!known(&bus, 1));
    pass(30);
    assert!(!known(&bus, 2));
    WALL.fetch_add(100_000, Ordering::Relaxed);
    pass(30);
    assert!(known(&bus, 1), "60 seconds ago");
    pass(1);
    assert!(!known(&bus, 1) && known(&bus, 2));
    gone(bus);
    // The machine started again, so the clock that can't be set has, too.
    STEADY.store(1, Ordering::Relaxed);
    let bus = open();
    pass(60);
    assert!(known(&bus, 1));
    pass(1);
    assert!(!known(&bus, 1));
    gone(bus);
}

#[test]
fn no_more_names_are_read_at_the_start_than_are_remembered() {
    block_on(async {
        let disk = SimDisk::default();
        let bus = begun(&disk).await;
        for next in (0..200).step_by(10) {
            bus.publish(slice(next..next + 10)).await.unwrap();
        }
        gone(bus);
        let mut config = config();
        config.duplicate_ids = 50;
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let bus = DurableBus::on(shared, &config, TUNING, Hold::UntilPublished).unwrap();
        assert_eq!(bus.publish(slice(150..200)).await.unwrap(), published(50, 50));
        assert_eq!(bus.publish(slice([149])).await.unwrap(), published(1, 0));
        gone(bus);
    });
}

#[test]
fn without_a_window_every_event_is_taken() {
    block_on(async {
        let disk = SimDisk::default();
        let mut config = config();
        config.duplicate_window = HumanDuration::default();
        assert!(DuplicateLimits::is_off(config.duplicates()));
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let bus = DurableBus::on(shared, &config, TUNING, Hold::UntilPublished).unwrap();
        drop(End::new(&bus, "all", Filter::all()).await);
        for _ in 0..2 {
            assert_eq!(bus.publish(slice([1, 1])).await.unwrap(), published(2, 0));
        }
        let stats = bus.monitor().stats();
        assert_eq!((stats.duplicates, stats.duplicate_window), (None, None));
        assert_eq!(all_of(&bus).await, [1, 1, 1, 1]);
    });
}
