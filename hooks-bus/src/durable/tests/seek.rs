//! Hooks that are moved back and ahead in the log.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::{
    Bus as _, DropReason, Filter, HumanDuration, Position, StartAt,
    bus::{Delivery, HookStore as _, Seek, SeekError, SeekTo, Sought},
};

use super::power::images;
use super::sim::{Call, Fault, SimDisk};
use super::{DurableBus, End, Hold, TUNING, Tuning, block_on, config, gone, hook, number, open, slice};
use crate::durable::retention::Reclaim;

fn all() -> Arc<Filter> {
    Arc::new(Filter::all())
}

fn to(position: u64) -> Seek {
    Seek::to(SeekTo::Position(Position::new(position))).filter(all())
}

fn start(from: StartAt) -> Seek {
    Seek::to(SeekTo::Start(from)).filter(all())
}

async fn seek(bus: &DurableBus, seek: Seek) -> Sought {
    bus.seek(&hook("all"), &seek).await.unwrap()
}

/// Where it was, is now, what comes again, what is skipped, and whether both are exact.
fn came(sought: Sought) -> (u64, u64, u64, u64, bool) {
    let Sought { before, after, again, skipped, exact, .. } = sought;
    (before, after, again, skipped, exact)
}

fn numbers(read: &[Delivery]) -> Vec<usize> {
    read.iter().map(number).collect()
}

/// The hook `all` with events 0 to 5, of which only 4 is not settled.
async fn one_left(bus: &DurableBus) -> End {
    let mut end = End::new(bus, "all", Filter::all()).await;
    bus.publish(slice(0..6)).await.unwrap();
    let read = end.read(usize::MAX).await;
    end.settle(read.iter().filter(|delivery| number(delivery) != 4));
    end
}

#[test]
fn a_hook_that_goes_back_gets_what_it_settled_out_of_order_again() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut end = one_left(&bus).await;
        assert_eq!(came(seek(&bus, to(1).dry_run(true)).await), (4, 1, 4, 0, true));
        assert_eq!(end.ledger.counts().in_flight, 1, "nothing has changed");
        assert_eq!(came(seek(&bus, to(1)).await), (4, 1, 4, 0, true));
        assert_eq!(end.ledger.counts().in_flight, 0);
        assert!(end.read(1).await.is_empty(), "the reader is lost");
        let mut end = End::new(&bus, "all", Filter::all()).await;
        assert_eq!(numbers(&end.read(usize::MAX).await), [1, 2, 3, 4, 5]);
        drop(end);
        gone(bus);
    });
}

/// At its own place a hook has an event in flight, and has settled one further on.
#[test]
fn a_hook_that_goes_where_it_is_gets_all_behind_that_place_again() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let end = one_left(&bus).await;
        assert_eq!(came(seek(&bus, to(4)).await), (4, 4, 1, 0, true));
        assert_eq!(end.ledger.counts().in_flight, 0);
        let mut end = End::new(&bus, "all", Filter::all()).await;
        assert_eq!(numbers(&end.read(usize::MAX).await), [4, 5]);
        drop(end);
        gone(bus);
    });
}

#[test]
fn a_hook_that_goes_ahead_keeps_what_it_settled_beyond() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut end = End::new(&bus, "all", Filter::all()).await;
        bus.publish(slice(0..9)).await.unwrap();
        let read = end.read(usize::MAX).await;
        end.settle(read.iter().filter(|delivery| [1, 2, 6, 7].contains(&number(delivery))));
        assert_eq!(came(seek(&bus, to(6).skip(true)).await), (0, 8, 0, 4, true), "0, 3, 4 and 5 are skipped");
        let counts = end.ledger.counts();
        assert_eq!((counts.dropped_for(DropReason::Skipped), counts.handed_over, counts.balances()), (4, 5, true));
        let mut end = End::new(&bus, "all", Filter::all()).await;
        assert_eq!(numbers(&end.read(usize::MAX).await), [8]);
        drop(end);
        gone(bus);
    });
}

/// At each time events are published, every event is there, and hooks go to any of them by its age and its time.
#[test]
fn a_place_is_found_by_time_and_what_is_gone_is_said() {
    static NOW: AtomicU64 = AtomicU64::new(2_000_000);
    let clock = || NOW.load(Ordering::Relaxed);
    let disk = SimDisk::default();
    let mut config = config();
    config.retain = HumanDuration::new(Duration::from_secs(1_000_000));
    let tuning = Tuning { clock, steady: clock, ..TUNING };
    let bus = DurableBus::on(Arc::new(disk), &config, tuning, Hold::UntilPublished).unwrap();
    block_on(async {
        let mut end = End::new(&bus, "all", Filter::all()).await;
        for next in 0..100 {
            bus.publish(slice([next])).await.unwrap();
            NOW.fetch_add(1, Ordering::Relaxed);
        }
        end.read_all().await;
        drop(end);
        let time = |seconds| StartAt::Time(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
        let ago = |seconds| StartAt::Ago(HumanDuration::new(Duration::from_secs(seconds)));
        for (from, position) in
            [(ago(30), 70), (time(2_000_050), 50), (ago(5_000), 0), (StartAt::Earliest, 0), (time(9_000_000), 100)]
        {
            let sought = seek(&bus, start(from).skip(true)).await;
            assert_eq!((sought.after, sought.reached), (position, true), "{from}");
            // Back to the end, without a word.
            seek(&bus, start(StartAt::End).skip(true)).await;
        }
        bus.sync_positions().await.unwrap();
        assert!(bus.0.inner.reclaim(Reclaim::One).unwrap());
        let begin = bus.info().segments[0].first;
        assert!(begin > 3);
        for (seek, reached) in [
            (start(StartAt::Earliest), true),
            (to(begin), true),
            (to(begin - 1), false),
            (start(ago(5_000)), false),
            (start(time(2_000_001)), false),
        ] {
            let sought = bus.seek(&hook("all"), &seek.clone().dry_run(true)).await.unwrap();
            assert_eq!((sought.after, sought.again, sought.reached), (begin, 100 - begin, reached), "{:?}", seek.to);
        }
        assert!(matches!(bus.seek(&hook("all"), &to(101)).await, Err(SeekError::BeyondEnd { to: 101, end: 100 })));
    });
    gone(bus);
}

#[test]
fn a_hook_that_goes_back_while_the_past_is_given_up_lands_behind_it_and_keeps_the_rest() {
    let disk = SimDisk::default();
    block_on(async {
        let mut config = config();
        config.retain = HumanDuration::new(Duration::from_secs(1_000));
        let bus = DurableBus::on(Arc::new(disk), &config, TUNING, Hold::UntilPublished).unwrap();
        let mut end = End::new(&bus, "all", Filter::all()).await;
        for next in 0..100 {
            bus.publish(slice([next])).await.unwrap();
        }
        end.read_all().await;
        bus.0.inner.checkpoint_and_clean();
        let resume = bus.info().segments[2].first;
        // As a thread does that is about to remove files.
        bus.0.inner.storage.log.begin_at(resume);
        let sought = seek(&bus, to(0)).await;
        assert_eq!((sought.after, sought.reached), (resume, false));
        while bus.0.inner.reclaim(Reclaim::One).unwrap() {}
        let mut again = End::new(&bus, "all", Filter::all()).await;
        assert_eq!(numbers(&again.read(usize::MAX).await), (resume as usize..100).collect::<Vec<_>>());
        assert_eq!(again.ledger.counts().dropped(), 0);
        drop((end, again));
        gone(bus);
    });
}

#[test]
fn counting_is_bounded_and_says_so() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut end = End::new(&bus, "all", Filter::all()).await;
        bus.publish(slice(0..1_000)).await.unwrap();
        let read = end.read(usize::MAX).await;
        end.settle(read.iter().filter(|delivery| number(delivery) % 2 == 1));
        // Each gap is read for itself.
        let sought = seek(&bus, to(998).skip(true).dry_run(true)).await;
        assert_eq!(came(sought), (0, 998, 0, 499, false));
        let thirds = Arc::new(Filter::types(["test.0"]));
        let sought = seek(&bus, to(998).skip(true).dry_run(true).filter(thirds.clone())).await;
        assert!(!sought.exact && (167..499).contains(&sought.skipped), "{sought:?}");
        end.settle(read.iter().filter(|delivery| number(delivery).is_multiple_of(2)));
        let sought = seek(&bus, to(0).filter(thirds)).await;
        assert_eq!(came(sought), (1_000, 0, 334, 0, true));
        drop((read, end));
        gone(bus);
    });
}

#[test]
fn a_hook_that_can_t_be_moved_goes_on_where_it_was() {
    let disk = SimDisk::default();
    block_on(async {
        let bus = open(&disk).unwrap();
        let mut end = one_left(&bus).await;
        bus.sync_positions().await.unwrap();
        let calls = &[Call::Write, Call::SetLen, Call::Sync];
        disk.fail(Fault { at: 0, times: 1, calls, kind: ErrorKind::StorageFull });
        let failed = bus.seek(&hook("all"), &to(1)).await;
        assert!(matches!(failed, Err(SeekError::Bus(_))), "{failed:?}");
        bus.publish(slice([6])).await.unwrap();
        assert_eq!(numbers(&end.read(usize::MAX).await), [6], "its reader goes on");
        drop(end);
        gone(bus);
        let bus = open(&disk.after_kill()).unwrap();
        let mut end = End::new(&bus, "all", Filter::all()).await;
        assert_eq!(numbers(&end.read(usize::MAX).await), [4, 6]);
        drop(end);
        gone(bus);
    });
}

/// What a hook reads after each step of the script below, and what it had to read before its positions were kept.
const PLACES: [&[usize]; 4] = [&[4], &[1, 2, 3, 4, 5], &[5], &[5, 6]];

/// Moves a hook back and ahead. Returns how many steps were answered, and whether positions were kept before.
async fn script(disk: &SimDisk) -> (usize, bool) {
    let Ok(bus) = open(disk) else { return (0, false) };
    let (mut done, mut kept) = (0, false);
    {
        let mut other = End::new(&bus, "other", Filter::all()).await;
        if bus.publish(slice(0..6)).await.is_ok() {
            let mut end = End::earliest(&bus, "all").await;
            let read = end.read(usize::MAX).await;
            end.settle(read.iter().filter(|delivery| number(delivery) != 4));
            other.read_all().await;
            kept = bus.sync_positions().await.is_ok();
            if kept && bus.seek(&hook("all"), &to(1)).await.is_ok() {
                done = 1;
                if bus.seek(&hook("all"), &to(5).skip(true)).await.is_ok() {
                    done = 2;
                    done += usize::from(bus.publish(slice([6])).await.is_ok());
                }
            }
        }
    }
    gone(bus);
    (done, kept)
}

#[test]
fn a_power_cut_during_a_move_leaves_the_old_place_or_the_new_one() {
    let undisturbed = SimDisk::default();
    assert_eq!(block_on(script(&undisturbed)), (3, true));
    assert!(undisturbed.operations() > 30, "{}", undisturbed.operations());
    let mut seen = std::collections::BTreeSet::new();
    for cut in 0..=undisturbed.operations() {
        let disk = SimDisk::default();
        disk.cut_at(cut);
        let (done, kept) = block_on(script(&disk));
        for (what, image) in images(&disk, cut, 3) {
            let bus = open(&image).unwrap_or_else(|error| panic!("cut {cut}, {what}: {error}"));
            block_on(async {
                let mut end = End::earliest(&bus, "all").await;
                let read = numbers(&end.read(usize::MAX).await);
                let is_there = PLACES[done] == read || PLACES.get(done + 1).is_some_and(|next| **next == *read);
                assert!(!kept || is_there, "cut {cut}, {what}, {done} done: {read:?}");
                seen.insert((done, PLACES[done] == read));
                // What the database says of the end is about all hooks: it does not move with one.
                let mut other = End::earliest(&bus, "other").await;
                let read = numbers(&other.read(usize::MAX).await);
                assert!(done < 3 || read == [6], "cut {cut}, {what}: {read:?}");
            });
            gone(bus);
        }
    }
    assert!(seen.contains(&(0, true)) && seen.contains(&(1, true)) && seen.contains(&(2, true)), "{seen:?}");
}
