//! Events that are published again.

use std::time::Duration;

use futures_util::FutureExt as _;
use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::{Bus, Filter, HumanDuration, Overflow, bus::Published};
use hooks_test::{End, numbers, queue};

use crate::slice;

fn published(events: usize, duplicates: usize) -> Published {
    Published::new(events).duplicates(duplicates)
}

#[tokio::test(start_paused = true)]
async fn within_the_window_they_are_taken_once() {
    let bus = MemoryBus::default();
    let mut end = End::new(&bus, "a", Filter::all()).await;
    assert_eq!(bus.publish(slice(0..5, 10)).await.unwrap(), published(5, 0));
    tokio::time::advance(Duration::from_secs(120)).await;
    assert_eq!(bus.publish(slice(3..8, 10)).await.unwrap(), published(5, 2));
    let stats = bus.monitor().stats();
    assert_eq!((stats.accepted, stats.duplicates), (10, Some(2)));
    assert_eq!(numbers(&end.read(8).await), (0..8).collect::<Vec<_>>());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bus.publish(slice(2..6, 10)).await.unwrap(), published(4, 1), "only 5 came later than 4");
}

/// A call that waits for room has published nothing, so another one is not told that its events are known.
#[tokio::test(start_paused = true)]
async fn an_event_that_waits_for_room_is_not_known() {
    let bus = MemoryBus::default();
    let mut end = End::queued(&bus, "a", Filter::all(), queue(2, Overflow::Block)).await;
    bus.publish(slice(0..2, 10)).await.unwrap();
    let waiting = bus.publish(slice(2..3, 10));
    let other = bus.publish(slice(2..3, 10));
    tokio::pin!(waiting, other);
    assert!((&mut waiting).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    let read = end.read(2).await;
    end.settle(&read);
    let (one, two) = tokio::join!(waiting, other);
    let mut duplicates = [one.unwrap().duplicates, two.unwrap().duplicates];
    duplicates.sort_unstable();
    assert_eq!(duplicates, [0, 1]);
    assert_eq!(numbers(&end.read(1).await), [2]);
}

/// A slice that takes several pieces, of whose events every third is known.
#[tokio::test(start_paused = true)]
async fn pieces_of_a_slice_keep_their_order() {
    let bus = MemoryBus::default();
    let mut end = End::queued(&bus, "a", Filter::all(), queue(4, Overflow::Block)).await;
    let known: Vec<usize> = (0..30).step_by(3).collect();
    let publishing = async {
        for number in &known {
            bus.publish(slice(*number..number + 1, 10)).await.unwrap();
        }
        bus.publish(slice(0..30, 10)).await.unwrap()
    };
    let reading = async {
        let mut all = Vec::new();
        while all.len() < 30 {
            let read = end.take(1).await;
            end.settle(&read);
            all.extend(numbers(&read));
        }
        all
    };
    let (answer, all) = tokio::join!(publishing, reading);
    assert_eq!(answer, published(30, 10));
    let new = (0..30).filter(|number| number % 3 != 0);
    assert_eq!(all, known.iter().copied().chain(new).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_window_every_event_is_taken() {
    let config = MemoryConfig { duplicate_window: HumanDuration::default(), ..MemoryConfig::default() };
    let bus = MemoryBus::new(&config);
    for _ in 0..2 {
        assert_eq!(bus.publish(slice(0..2, 10)).await.unwrap(), published(2, 0));
    }
    assert_eq!(bus.monitor().stats().duplicates, None);
}
