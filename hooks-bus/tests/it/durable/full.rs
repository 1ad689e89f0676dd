//! The log is full, the disk is full, events are too old.

use hooks_bus::{DurableConfig, OnFull};
use hooks_core::{Bus, BusError, ByteSize, DropReason, Filter, HookId, HumanDuration};
use hooks_test::{End, numbers};

use super::{config, open, publish};
use crate::slice;

pub(super) fn small(dir: &std::path::Path, on_full: OnFull) -> DurableConfig {
    let mut config = config(dir);
    config.max_bytes = ByteSize::new(40 << 10);
    config.on_full = on_full;
    // What no hook needs any more changes none of this.
    config.retain = HumanDuration::new(std::time::Duration::from_secs(86_400));
    config
}

/// Publishes until the bus refuses. Returns the refused number and the error.
async fn fill(bus: &hooks_bus::DurableBus, first: usize) -> (usize, String) {
    for number in first..first + 1000 {
        match bus.publish(slice(number..number + 1, 200)).await {
            Ok(_) => {}
            Err(BusError::Full(text)) => return (number, text),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("never full");
}

fn on_disk(dir: &std::path::Path) -> u64 {
    let logs = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    logs.filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

#[tokio::test]
async fn a_full_log_refuses_names_who_is_behind_and_goes_on_when_they_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::Refuse));
    let mut slow = End::new(&bus, "slow", Filter::all()).await;
    let mut fast = End::new(&bus, "fast", Filter::all()).await;
    let (refused, text) = fill(&bus, 0).await;
    assert_eq!(fast.read_all().await, (0..refused).collect::<Vec<_>>());
    assert!(on_disk(folder.path()) <= 40 << 10);
    let (again, text_again) = fill(&bus, refused).await;
    assert_eq!(again, refused);
    assert!(text.contains("reached the bus's `max_bytes` (40KiB)"), "{text}");
    assert!(text_again.contains("hook `slow` holds its oldest events"), "{text_again}");
    let read = slow.read(refused / 2).await;
    slow.settle(&read);
    let (refused_later, _) = fill(&bus, refused).await;
    assert!(refused_later > refused + 20, "{refused_later} after {refused}");
    assert_eq!(slow.read_all().await, (refused / 2..refused_later).collect::<Vec<_>>());
    assert_eq!(slow.ledger.counts().dropped(), 0);
}

#[tokio::test]
async fn disabled_hooks_and_hooks_that_are_away_give_way_first() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::Refuse));
    let mut disabled = End::new(&bus, "disabled", Filter::types(["test.0"])).await;
    disabled.reader.set_enabled(false);
    let _away = End::new(&bus, "away", Filter::all()).await;
    bus.unsubscribe(&HookId::new("away").unwrap()).await.unwrap();
    for number in 0..600 {
        bus.publish(slice(number..number + 1, 200)).await.unwrap();
    }
    let counts = disabled.ledger.counts();
    let dropped = counts.dropped_for(DropReason::Overflow);
    assert!(dropped > 100 && counts.balances(), "{counts}");
    let left = disabled.read_all().await;
    let expected: Vec<usize> = (0..600).filter(|number| number % 3 == 0).skip(dropped as usize).collect();
    assert_eq!(left, expected, "exactly what was not counted as dropped is still there");
}

#[tokio::test]
async fn dropping_the_oldest_counts_what_each_hook_loses() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::DropOldest));
    let mut all = End::new(&bus, "all", Filter::all()).await;
    let mut some = End::new(&bus, "some", Filter::types(["test.1"])).await;
    let mut done = End::new(&bus, "done", Filter::all()).await;
    publish(&bus, 0..30).await;
    // In flight when its segment is removed: it can still be delivered.
    let in_flight = some.read(1).await;
    let done_with = all.read(10).await;
    all.settle(&done_with[3..]);
    for number in 30..900 {
        bus.publish(slice(number..number + 1, 200)).await.unwrap();
        assert!(on_disk(folder.path()) <= 40 << 10);
        assert_eq!(done.read_all().await.last(), Some(&number));
    }
    some.settle(&in_flight);
    check(&mut some, 1, (0..900).filter(|number| number % 3 == 1).collect()).await;
    all.settle(&done_with[..3]);
    check(&mut all, 10, (0..900).collect()).await;
    assert_eq!(done.ledger.counts().dropped(), 0);
}

/// Delivered, dropped and remaining events add up to all published ones.
async fn check(end: &mut End, delivered: usize, all: Vec<usize>) {
    let left = end.read(usize::MAX).await;
    end.settle(&left);
    let counts = end.ledger.counts();
    let dropped = counts.dropped_for(DropReason::Overflow) as usize;
    assert!(dropped > 50 && counts.balances() && counts.in_flight == 0, "{counts}");
    assert_eq!(numbers(&left), all[delivered + dropped..]);
}

#[tokio::test]
async fn more_than_the_log_can_ever_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::Refuse));
    let mut a = End::new(&bus, "a", Filter::all()).await;
    let refused = bus.publish(slice(0..100, 500)).await;
    assert!(matches!(&refused, Err(BusError::TooLarge(text)) if text.contains("publish fewer at once")), "{refused:?}");
    let refused = bus.publish(slice(0..1, 21_000)).await;
    assert!(matches!(&refused, Err(BusError::TooLarge(_))), "half of it is left for the next one: {refused:?}");
    // One that is larger than a segment gets a segment of its size.
    bus.publish(slice(0..1, 20_000)).await.unwrap();
    publish(&bus, 1..3).await;
    assert_eq!(a.read_all().await, [0, 1, 2]);
    for number in 3..9 {
        bus.publish(slice(number..number + 1, 20_000)).await.unwrap();
        assert_eq!(a.read_all().await, [number]);
    }
}

#[tokio::test]
async fn what_was_in_hand_and_is_given_up_is_counted_when_it_can_t_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&small(folder.path(), OnFull::DropOldest));
    let mut a = End::new(&bus, "a", Filter::all()).await;
    publish(&bus, 0..5).await;
    assert_eq!(a.read(5).await.len(), 5);
    for number in 5..600 {
        bus.publish(slice(number..number + 1, 200)).await.unwrap();
    }
    // Its worker has died; the next one takes over.
    let again = hooks_test::subscription("a", Filter::all(), Default::default(), &a.ledger);
    let (reader, settler) = bus.subscribe(again).await.unwrap();
    let mut a = End { reader, settler, ledger: a.ledger.clone() };
    check(&mut a, 0, (0..600).collect()).await;
}
