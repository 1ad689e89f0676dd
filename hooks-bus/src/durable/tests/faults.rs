//! The disk refuses something once. Nothing that was accepted is lost, and nothing fails without saying so.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::{join, join_all};
use hooks_core::{Bus, BusError, Filter, bus::BusHealth};
use tokio::runtime::Builder;

use super::super::blocking::{CALLS, READS};
use super::sim::{Call, Fault, SimDisk};
use super::{
    Disk as _, DurableBus, End, HOUR, Hold, Pace, TUNING, Tuning, block_on, config, gone, hook, number, open, slice,
};

/// Publishes while one operation fails. Returns the accepted events, the errors, and the health of the bus.
async fn publish(disk: &SimDisk) -> (Vec<usize>, Vec<BusError>, BusHealth) {
    // Opening may be what fails.
    let Ok(bus) = open(disk) else { return Default::default() };
    let mut all = End::new(&bus, "all", Filter::all()).await;
    let (mut accepted, mut errors) = (Vec::new(), Vec::new());
    for next in 0..40 {
        match bus.publish(slice([next])).await {
            Ok(_) => accepted.push(next),
            Err(error) => errors.push(error),
        }
    }
    let read: Vec<usize> = all.read(usize::MAX).await.iter().map(number).collect();
    assert_eq!(read, accepted, "before the restart");
    drop(all);
    let health = bus.monitor().health();
    gone(bus);
    (accepted, errors, health)
}

async fn read_again(disk: &SimDisk) -> Vec<usize> {
    let bus = open(disk).unwrap();
    let read = End::new(&bus, "all", Filter::all()).await.read(usize::MAX).await.iter().map(number).collect();
    gone(bus);
    read
}

/// Publishes once for each operation of a `publish`, each time with a fault at another one. Accepted events survive a
/// power cut.
fn at_each_operation(fault: impl Fn(usize) -> Fault, mut check: impl FnMut(usize, &[usize], &[BusError], &BusHealth)) {
    let set_up = || {
        let disk = SimDisk::default();
        gone(open(&disk).unwrap());
        disk
    };
    let disk = set_up();
    let begin = disk.operations();
    assert_eq!(block_on(publish(&disk)).0.len(), 40, "undisturbed");
    for at in begin..disk.operations() {
        let disk = set_up();
        disk.fail(fault(at));
        let (accepted, errors, health) = block_on(publish(&disk));
        check(at, &accepted, &errors, &health);
        let again = block_on(read_again(&disk.after_power_cut(|| false)));
        assert!(again.starts_with(&accepted), "operation {at}: {accepted:?} were accepted, {again:?} are there");
    }
}

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_accepted_until_a_restart() {
    let mut failures = 0;
    let fault = |at| Fault { at, times: 1, calls: &[Call::Write, Call::Sync], kind: ErrorKind::Other };
    at_each_operation(fault, |at, accepted, errors, health| {
        failures += usize::from(!errors.is_empty());
        assert_eq!(health.is_broken(), !errors.is_empty(), "operation {at}: {errors:?}, {health:?}");
        if !errors.is_empty() {
            // A prefix: once it has failed it accepts nothing, as nobody knows what the disk holds.
            assert!(accepted.iter().copied().eq(0..accepted.len()), "{accepted:?}");
            assert!(matches!(&errors[0], BusError::Unavailable(text) if text.contains("restart")), "{errors:?}");
        }
    });
    assert!(failures > 10, "{failures} failures");
}

#[test]
fn when_there_is_no_room_for_a_segment_publishing_is_refused_and_then_goes_on() {
    let mut refused = 0;
    at_each_operation(
        |at| Fault::once(at, ErrorKind::StorageFull),
        |_, accepted, errors, _| {
            // What finds no room is refused with an error that says so; later calls find room.
            if let [BusError::Full(text)] = errors {
                refused += 1;
                assert!(text.contains("no room on the disk"), "{text}");
                assert_eq!(accepted.len(), 39);
            }
        },
    );
    assert!(refused >= 3, "{refused} refused");
}

/// A failure to open, list, make, remove or allocate changes nothing, whatever the reason: for instance too many open
/// files.
const CHANGES_NOTHING: &[Call] = &[Call::Open, Call::List, Call::Create, Call::Remove, Call::SetLen];

#[test]
fn what_changed_nothing_when_it_failed_is_tried_again() {
    let mut refused = 0;
    let fault = |at| Fault { at, times: 3, calls: CHANGES_NOTHING, kind: ErrorKind::Other };
    at_each_operation(fault, |at, accepted, errors, health| {
        refused += errors.len();
        assert!(accepted.is_empty() || accepted.len() + errors.len() == 40);
        assert!(errors.len() <= 3, "operation {at}: {errors:?}");
        assert_eq!(*health, BusHealth::Well, "operation {at}: {errors:?}");
        for error in errors {
            assert!(matches!(error, BusError::Unavailable(text) if !text.contains("restart")), "{error}");
        }
    });
    assert!(refused > 10, "{refused} refused");
}

#[test]
fn a_bus_that_can_begin_no_file_says_so_and_is_well_again_by_itself() {
    let disk = SimDisk::default();
    let bus = open(&disk).unwrap();
    disk.fail(Fault { at: 0, times: usize::MAX, calls: &[Call::Create], kind: ErrorKind::Other });
    block_on(bus.publish(slice([0]))).unwrap_err();
    assert!(matches!(bus.monitor().health(), BusHealth::Unavailable(why) if why.contains("can't be begun now")));
    disk.fail(Fault { at: 0, times: 0, calls: &[], kind: ErrorKind::Other });
    block_on(bus.publish(slice([0]))).unwrap();
    assert_eq!(bus.monitor().health(), BusHealth::Well);
}

/// They took all threads for work that blocks until now: names, other files and the config waited for this disk.
#[test]
fn a_disk_that_hangs_leaves_threads_to_others() {
    const HOOKS: usize = 64;
    let runtime = Builder::new_current_thread().max_blocking_threads(READS + CALLS + 1).enable_all().build().unwrap();
    let disk = SimDisk::default();
    runtime.block_on(async {
        let bus = open(&disk).unwrap();
        let hooks: Vec<String> = (0..HOOKS).map(|number| format!("hook-{number}")).collect();
        for id in &hooks {
            End::new(&bus, id, Filter::all()).await;
        }
        bus.publish(slice([1])).await.unwrap();
        gone(bus);
        // What was published is no longer in memory.
        let bus = open(&disk).unwrap();
        let mut ends = Vec::new();
        for id in &hooks {
            ends.push(End::new(&bus, id, Filter::all()).await);
        }
        let dead_letters: Vec<_> = hooks.iter().filter_map(|id| bus.hooks().dead_letters(&hook(id))).collect();
        let hung = disk.hang();
        tokio::select! {
            biased;
            _ = join(
                join_all(dead_letters.iter().map(|dead_letters| dead_letters.list(None, 1))),
                join_all(ends.iter_mut().map(|end| end.read(1))),
            ) => panic!("the disk does not hang"),
            seven = tokio::task::spawn_blocking(|| 7) => assert_eq!(seven.unwrap(), 7),
        }
        drop(hung);
        for end in &mut ends {
            assert_eq!(end.read(1).await.len(), 1);
        }
    });
}

#[test]
fn a_bus_that_can_begin_no_file_is_not_well_because_the_folder_can_be_listed() {
    let disk = SimDisk::default();
    let tuning = Tuning { pace: Pace { gather: Duration::ZERO, first: Duration::ZERO, expiry: HOUR }, ..TUNING };
    let bus = DurableBus::on(Arc::new(disk.clone()), &config(), tuning, Hold::UntilPublished).unwrap();
    disk.fail(Fault { at: 0, times: usize::MAX, calls: &[Call::Create], kind: ErrorKind::PermissionDenied });
    block_on(bus.publish(slice([0]))).unwrap_err();
    let before = disk.operations();
    while disk.operations() < before + 4 {
        std::thread::yield_now();
    }
    assert!(matches!(bus.monitor().health(), BusHealth::Unavailable(_)), "{:?}", bus.monitor().health());
    disk.fail(Fault { at: 0, times: 0, calls: &[], kind: ErrorKind::Other });
    while bus.monitor().health() != BusHealth::Well {
        std::thread::yield_now();
    }
    gone(bus);
    let names = disk.list().unwrap();
    assert!(!names.iter().any(|name| name == "probe"), "{names:?}");
}

#[test]
fn a_file_that_can_t_be_removed_takes_disk_and_nothing_else() {
    let disk = SimDisk::default();
    let bus = open(&disk).unwrap();
    bus.all_subscribed();
    let mut all = block_on(End::new(&bus, "all", Filter::all()));
    disk.fail(Fault { at: 0, times: usize::MAX, calls: &[Call::Remove], kind: ErrorKind::PermissionDenied });
    for next in 0..40 {
        block_on(bus.publish(slice([next]))).unwrap();
    }
    let read = block_on(all.read(usize::MAX));
    all.settle(&read);
    bus.0.inner.checkpoint_and_clean();
    assert_eq!((bus.monitor().health(), bus.info().segments[0].first), (BusHealth::Well, 0));
    assert!(bus.0.inner.storage.health.may_pass(), "it is tried again");
    disk.fail(Fault { at: 0, times: 0, calls: &[], kind: ErrorKind::Other });
    bus.0.inner.checkpoint_and_clean();
    assert_eq!(bus.info().segments.len(), 1);
    assert!(!bus.0.inner.storage.health.may_pass());
}

#[test]
fn a_disk_that_hangs_is_named_until_it_answers() {
    static SECONDS: AtomicU64 = AtomicU64::new(100);
    let tuning = Tuning { steady: || SECONDS.load(Ordering::SeqCst), ..TUNING };
    let disk = SimDisk::default();
    let bus = DurableBus::on(Arc::new(disk.clone()), &config(), tuning, Hold::UntilPublished).unwrap();
    let hung = disk.hang();
    let publisher = bus.clone();
    let publishing = std::thread::spawn(move || block_on(publisher.publish(slice([0]))));
    while bus.monitor().health() == BusHealth::Well {
        SECONDS.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
    }
    let health = bus.monitor().health();
    assert!(matches!(&health, BusHealth::Unavailable(why) if why.contains("has not answered for 1")), "{health:?}");
    drop(hung);
    publishing.join().unwrap().unwrap();
    while bus.monitor().health() != BusHealth::Well {
        std::thread::yield_now();
    }
}

/// True: a read of the clock panics.
static ENDS: AtomicBool = AtomicBool::new(false);

fn clock() -> u64 {
    assert!(!ENDS.load(Ordering::SeqCst), "no clock");
    1_000_000
}

#[test]
fn a_thread_that_ends_before_its_time_breaks_the_bus() {
    let tuning = Tuning { clock, steady: clock, ..TUNING };
    let bus = DurableBus::on(Arc::new(SimDisk::default()), &config(), tuning, Hold::UntilPublished).unwrap();
    block_on(async {
        bus.publish(slice([1])).await.unwrap();
        assert!(!bus.monitor().health().is_broken());
        ENDS.store(true, Ordering::SeqCst);
        let is_told = |error: &BusError| matches!(error, BusError::Unavailable(text) if text.contains("restart"));
        assert!(bus.publish(slice([2])).await.is_err_and(|error| is_told(&error)));
        while !bus.0.threads.lock().iter().any(JoinHandle::is_finished) {
            std::thread::yield_now();
        }
        assert!(bus.monitor().health().is_broken());
        let error = bus.publish(slice([3])).await.unwrap_err();
        assert!(is_told(&error), "{error}");
    });
}
