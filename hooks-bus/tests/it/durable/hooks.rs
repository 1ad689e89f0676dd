//! Hooks that come, change, go, lag and are forgotten.

use std::sync::Arc;

use futures_util::FutureExt as _;
use hooks_core::{Bus, BusError, Bytes, DropReason, Filter, HookId, QueueLimits, Read, StartAt};

use super::{config, earliest, end, open, publish, read_all};
use crate::{End, numbers, slice, subscription};

#[tokio::test]
async fn a_new_hook_begins_at_the_end_or_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    publish(&bus, 0..5).await;
    let (mut new, mut old) = (end(&bus, "new", Filter::all()).await, earliest(&bus, "old").await);
    publish(&bus, 5..7).await;
    assert_eq!(read_all(&mut new).await, [5, 6]);
    assert_eq!(read_all(&mut old).await, (0..7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hook_that_was_removed_goes_on_where_it_was_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let id = HookId::new("a").unwrap();
    {
        let bus = open(&config);
        let mut a = end(&bus, "a", Filter::all()).await;
        publish(&bus, 0..4).await;
        let read = a.read(3).await;
        a.settle(&read[..2]);
        assert!(matches!(bus.forget(&id).await, Err(BusError::Unavailable(_))), "it is in use");
        bus.unsubscribe(&id).await.unwrap();
        assert!(a.ledger.counts().balances() && a.ledger.counts().in_hand == 0);
        publish(&bus, 4..6).await;
    }
    let bus = open(&config);
    publish(&bus, 6..7).await;
    let mut a = end(&bus, "a", Filter::all()).await;
    assert_eq!(read_all(&mut a).await, [2, 3, 4, 5, 6]);
    bus.unsubscribe(&id).await.unwrap();
    publish(&bus, 7..8).await;
    assert!(bus.forget(&id).await.unwrap() && !bus.forget(&id).await.unwrap());
    assert_eq!(bus.known_hooks(), []);
    let mut a = end(&bus, "a", Filter::all()).await;
    publish(&bus, 8..9).await;
    assert_eq!(read_all(&mut a).await, [8]);
}

#[tokio::test]
async fn who_subscribes_again_reads_again_what_was_not_settled() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let mut first = end(&bus, "a", Filter::all()).await;
    publish(&bus, 0..6).await;
    let read = first.read(4).await;
    first.settle(&read[1..2]);
    let subscription = subscription("a", Filter::all(), QueueLimits::default(), &first.ledger);
    let (reader, settler) = bus.subscribe(subscription).await.unwrap();
    let mut second = End { reader, settler, ledger: first.ledger.clone() };
    assert_eq!(numbers(&second.read(10).await), [0, 2, 3, 4, 5]);
    assert!(matches!(first.reader.next(1, &mut Vec::new()).await, Ok(Read::Lost)));
    let counts = second.ledger.counts();
    assert_eq!((counts.taken, counts.in_hand, counts.handed_over, counts.balances()), (9, 5, 3, true));
}

#[tokio::test]
async fn a_new_filter_applies_to_everything_that_was_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let mut a = end(&bus, "a", Filter::types(["test.0"])).await;
    publish(&bus, 0..9).await;
    assert_eq!(numbers(&a.read(1).await), [0]);
    let other = subscription("a", Filter::types(["test.1"]), QueueLimits::default(), &a.ledger);
    a.reader.reconfigure(other);
    assert_eq!(numbers(&a.read(9).await), [4, 7], "from the oldest that waited");
    publish(&bus, 9..12).await;
    assert_eq!(numbers(&a.read(9).await), [10]);
}

#[tokio::test]
async fn hooks_with_nothing_to_do_are_at_the_end_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    {
        let bus = open(&config);
        let _idle = end(&bus, "idle", Filter::types(["other"])).await;
        publish(&bus, 0..200).await;
        bus.sync_positions().await.unwrap();
        assert_eq!(bus.info().segments.len(), 1, "an idle hook holds nothing");
        assert_eq!(bus.info().hooks[0].to_end, 0);
    }
    // With another filter it does not get what came before.
    let bus = open(&config);
    let mut idle = end(&bus, "idle", Filter::all()).await;
    publish(&bus, 200..201).await;
    assert_eq!(read_all(&mut idle).await, [200]);
}

#[tokio::test]
async fn memory_is_bounded_however_far_hooks_are_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.max_memory = Bytes(64 << 10);
    config.max_bytes = Bytes(64 << 20);
    let bus = open(&config);
    let mut ends = Vec::new();
    for hook in 0..5 {
        ends.push(end(&bus, &format!("h{hook}"), Filter::all()).await);
    }
    for number in 0..300 {
        bus.publish(&slice(number * 10..number * 10 + 10, 1000)).await.unwrap();
        assert!(bus.memory_used() <= 64 << 10, "{} bytes", bus.memory_used());
    }
    for end in &mut ends {
        let mut next = 0;
        while next < 3000 {
            let mut read = Vec::new();
            match end.reader.next(100, &mut read).await.unwrap() {
                Read::Events(_) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(numbers(&read), (next..next + read.len()).collect::<Vec<_>>());
            next += read.len();
            assert!(bus.memory_used() <= 128 << 10, "{} bytes", bus.memory_used());
            end.settle(&read);
        }
        assert_eq!(end.ledger.counts().delivered, 3000);
    }
    drop(ends);
    bus.sync_positions().await.unwrap();
}

#[tokio::test]
async fn readers_wait_for_events_and_lose_none_when_they_stop_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let mut a = end(&bus, "a", Filter::all()).await;
    let mut read = Vec::new();
    for number in 0..20 {
        assert!(a.reader.next(10, &mut read).now_or_never().is_none(), "nothing is there");
        publish(&bus, number..number + 1).await;
        // A lagging hook reads from disk: whatever state that is in, a dropped call has taken nothing.
        if number % 2 == 0 {
            let _ = a.reader.next(10, &mut read).now_or_never();
        }
        while read.len() <= number {
            let found = a.reader.next(10, &mut read).await.unwrap();
            assert_eq!(found, Read::Events(1));
        }
    }
    assert_eq!(numbers(&read), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closed_bus_refuses_and_still_gives_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let mut a = end(&bus, "a", Filter::all()).await;
    publish(&bus, 0..3).await;
    bus.close().await;
    assert!(matches!(bus.publish(&slice(3..4, 1)).await, Err(BusError::Closed)));
    let mut read = Vec::new();
    assert_eq!(a.reader.next(10, &mut read).await.unwrap(), Read::Events(3));
    assert_eq!(a.reader.next(10, &mut read).await.unwrap(), Read::Dry);
}

#[tokio::test]
async fn the_lag_is_exact_for_hooks_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let id = HookId::new("a").unwrap();
    let mut a = end(&bus, "a", Filter::types(["test.0"])).await;
    publish(&bus, 0..9).await;
    let lag = bus.lag(&id).unwrap();
    assert_eq!((lag.events, lag.exact, lag.oldest.is_some()), (3, true, true));
    let read = a.read(1).await;
    assert_eq!(bus.lag(&id).unwrap(), lag, "in hand is not settled");
    a.settle(&read);
    let after = bus.lag(&id).unwrap();
    assert_eq!((after.events, after.bytes), (2, lag.bytes - read[0].envelope.len() as u64));
    bus.unsubscribe(&id).await.unwrap();
    let away = bus.lag(&id).unwrap();
    assert_eq!((away.events, away.exact), (6, false), "up to the end, matching or not");
    assert!(bus.lag(&HookId::new("b").unwrap()).is_none());
    assert_eq!(bus.stats().accepted, 9);
}

#[tokio::test]
async fn concurrent_publishers_share_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Arc::new(open(&config(folder.path())));
    let mut a = end(&bus, "a", Filter::all()).await;
    let mut b = End::starting(&*bus, "b", Filter::all(), QueueLimits::default(), StartAt::End).await;
    let publishers = (0..20).map(|publisher| {
        let bus = bus.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let first = publisher * 100 + round * 3;
                bus.publish(&slice(first..first + 3, 50)).await.unwrap();
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let read = read_all(&mut a).await;
    assert_eq!(read.len(), 600);
    assert!(read.chunks(3).all(|slice| slice[0] + 1 == slice[1] && slice[1] + 1 == slice[2]), "slices stay together");
    assert_eq!(read_all(&mut b).await, read);
    assert_eq!(a.ledger.counts().dropped_for(DropReason::Overflow), 0);
}
