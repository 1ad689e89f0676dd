mod dispatcher;
mod duplicates;

use futures_util::FutureExt as _;
use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::{Bus, ByteSize, DropReason, Filter, Overflow, StartAt, bus::Expected};
use hooks_test::{End, events_of, id, numbers, queue};

use crate::slice;

fn bus(max_memory: u64) -> MemoryBus {
    MemoryBus::new(&MemoryConfig { max_memory: ByteSize::new(max_memory), ..MemoryConfig::default() })
}

#[tokio::test]
async fn an_event_is_held_once_however_many_hooks_wait_for_it() {
    let bus = bus(1 << 30);
    let mut ends = Vec::new();
    for hook in 0..100 {
        ends.push(End::new(&bus, &format!("h{hook}"), Filter::all()).await);
    }
    let events = slice(0..10, 10_000);
    let held = events.memory();
    bus.publish(events.clone()).await.unwrap();
    drop(events);
    assert_eq!(bus.memory_used(), held);
    for end in &mut ends {
        let read = end.read(10).await;
        end.settle(&read);
    }
    assert_eq!(bus.memory_used(), 0);
}

#[tokio::test]
async fn what_nobody_wants_is_not_held() {
    let bus = bus(1 << 20);
    let _end = End::new(&bus, "a", Filter::types(["other"])).await;
    bus.publish(slice(0..10, 100)).await.unwrap();
    assert_eq!(bus.memory_used(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_bound_in_bytes_holds_too() {
    let bus = bus(1 << 30);
    let limits = queue(1_000, Overflow::DropOldest).max_bytes(ByteSize::new(10_000));
    let mut end = End::queued(&bus, "a", Filter::all(), limits).await;
    bus.publish(slice(0..100, 900)).await.unwrap();
    let read = end.read(1_000).await;
    assert!(read.iter().map(|delivery| delivery.envelope().len()).sum::<usize>() <= 10_000);
    assert_eq!(numbers(&read), (100 - read.len()..100).collect::<Vec<_>>());
    assert_eq!(end.ledger.counts().dropped_for(DropReason::Overflow), 100 - read.len() as u64);
    end.settle(&read);
    // One event alone may be larger.
    bus.publish(slice(200..201, 50_000)).await.unwrap();
    assert_eq!(end.read(10).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_memory_limit_the_hook_that_holds_most_gives_way() {
    let bus = bus(100_000);
    let mut greedy = End::queued(&bus, "greedy", Filter::all(), queue(10_000, Overflow::DropOldest)).await;
    let mut modest = End::queued(&bus, "modest", Filter::types(["test.0"]), queue(10_000, Overflow::DropOldest)).await;
    for number in 0..300 {
        bus.publish(slice(number..number + 1, 800)).await.unwrap();
        assert!(bus.memory_used() <= 100_000, "{} bytes", bus.memory_used());
        if number % 3 == 0 {
            let read = modest.read(1).await;
            modest.settle(&read);
        }
    }
    assert_eq!(modest.ledger.counts().dropped(), 0);
    assert_eq!(modest.ledger.counts().delivered, 100);
    let counts = greedy.ledger.counts();
    assert!(counts.dropped() > 150 && counts.balances(), "{counts}");
    let left = greedy.read(1_000).await;
    assert_eq!(numbers(&left), (300 - left.len()..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn at_the_memory_limit_a_blocking_hook_makes_publishers_wait() {
    let bus = bus(20_000);
    let mut end = End::queued(&bus, "a", Filter::all(), queue(10_000, Overflow::Block)).await;
    bus.publish(slice(0..10, 900)).await.unwrap();
    let more = slice(10..20, 900);
    let mut waiting = Box::pin(bus.publish(more));
    assert!((&mut waiting).now_or_never().is_none());
    let read = end.read(10).await;
    end.settle(&read);
    drop(read);
    waiting.await.unwrap();
    assert_eq!(numbers(&end.read(100).await), (10..20).collect::<Vec<_>>());
    assert_eq!(end.ledger.counts().dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_all_on_their_way_out_turn_new_ones_away() {
    let bus = bus(10_000);
    let mut end = End::queued(&bus, "a", Filter::all(), queue(10_000, Overflow::DropOldest)).await;
    bus.publish(slice(0..8, 900)).await.unwrap();
    let read = end.read(8).await;
    bus.publish(slice(8..16, 900)).await.unwrap();
    assert_eq!(end.ledger.counts().dropped(), 8, "never out of the frozen batch, never above the limit");
    assert!(bus.memory_used() <= 10_000);
    end.settle(&read);
    assert!(end.ledger.counts().balances());
}

#[tokio::test(start_paused = true)]
async fn removing_a_hook_frees_what_it_held_and_whoever_waited() {
    let bus = bus(1 << 30);
    let end = End::queued(&bus, "a", Filter::all(), queue(2, Overflow::Block)).await;
    bus.publish(slice(0..2, 1)).await.unwrap();
    let more = slice(2..4, 1);
    let mut waiting = Box::pin(bus.publish(more));
    assert!((&mut waiting).now_or_never().is_none());
    bus.unsubscribe(&id("a")).await.unwrap();
    waiting.await.unwrap();
    let counts = end.ledger.counts();
    assert_eq!((counts.dropped_for(DropReason::Removed), counts.in_flight, bus.memory_used()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_defined_hook_is_given_what_it_turns_out_to_want_within_its_limits() {
    let bus = bus(1 << 20);
    bus.hooks().define(&id("a"), "{}", Expected::Absent, StartAt::End).await.unwrap();
    bus.publish(events_of(0..10, "wanted")).await.unwrap();
    bus.publish(events_of(10..20, "other")).await.unwrap();
    let mut end = End::queued(&bus, "a", Filter::types(["wanted"]), queue(4, Overflow::DropOldest)).await;
    assert_eq!(numbers(&end.read(100).await), [6, 7, 8, 9]);
    let counts = end.ledger.counts();
    // What it does not want was never its own.
    assert_eq!((counts.taken, counts.dropped_for(DropReason::Overflow)), (10, 6));
}
