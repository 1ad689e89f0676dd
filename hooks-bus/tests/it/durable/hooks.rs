//! Hooks that lag, or have nothing to do.

use hooks_core::{Bus, ByteSize, Filter, HookId, bus::Read};
use hooks_test::{End, numbers};

use super::{config, open, publish};
use crate::slice;

#[tokio::test]
async fn hooks_with_nothing_to_do_are_at_the_end_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    {
        let bus = open(&config);
        let _idle = End::new(&bus, "idle", Filter::types(["other"])).await;
        publish(&bus, 0..200).await;
        bus.sync_positions().await.unwrap();
        assert_eq!(bus.info().segments.len(), 1, "an idle hook holds nothing");
        assert_eq!(bus.info().hooks[0].to_end, 0);
    }
    // With another filter it does not get what came before.
    let bus = open(&config);
    let mut idle = End::new(&bus, "idle", Filter::all()).await;
    publish(&bus, 200..201).await;
    assert_eq!(idle.read_all().await, [200]);
}

#[tokio::test]
async fn memory_is_bounded_however_far_hooks_are_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.max_memory = ByteSize::new(64 << 10);
    config.max_bytes = ByteSize::new(64 << 20);
    let bus = open(&config);
    let mut ends = Vec::new();
    for hook in 0..5 {
        ends.push(End::new(&bus, &format!("h{hook}"), Filter::all()).await);
    }
    for number in 0..300 {
        bus.publish(slice(number * 10..number * 10 + 10, 1000)).await.unwrap();
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
async fn the_lag_is_exact_for_hooks_that_follow() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&config(folder.path()));
    let id = HookId::new("a").unwrap();
    let mut a = End::new(&bus, "a", Filter::types(["test.0"])).await;
    publish(&bus, 0..9).await;
    let lag = bus.monitor().lag(&id).unwrap();
    assert_eq!((lag.events, lag.exact, lag.oldest.is_some()), (3, true, true));
    let read = a.read(1).await;
    assert_eq!(bus.monitor().lag(&id).unwrap(), lag, "in flight is not settled");
    a.settle(&read);
    let after = bus.monitor().lag(&id).unwrap();
    assert_eq!((after.events, after.bytes), (2, lag.bytes - read[0].envelope().len() as u64));
    bus.unsubscribe(&id).await.unwrap();
    let away = bus.monitor().lag(&id).unwrap();
    assert_eq!((away.events, away.exact), (6, false), "up to the end, matching or not");
    assert!(bus.monitor().lag(&HookId::new("b").unwrap()).is_none());
    assert_eq!(bus.monitor().stats().accepted, 9);
}
