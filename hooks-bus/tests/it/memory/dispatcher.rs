//! The bounds on queues and memory, with a dispatcher at work.

use std::time::Duration;

use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::{Bus, ByteSize, DropReason, Filter, Hook, Overflow, sink::FailureClass};
use hooks_test::{Receiver, World, batch, disabled, event, events, id, ids, queue, typed};
use tokio::time::{Instant, timeout};

fn little() -> World<MemoryBus> {
    World::on(MemoryBus::new(&MemoryConfig { max_memory: ByteSize::new(20_000), ..MemoryConfig::default() }))
}

#[tokio::test(start_paused = true)]
async fn a_slice_larger_than_the_memory_waits_for_itself() {
    let world = little();
    let receiver = Receiver::default();
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(10, Overflow::Block))).await;
    timeout(Duration::from_secs(3_600), world.publish(&events(0..1_000))).await.unwrap();
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..1_000));
}

#[tokio::test(start_paused = true)]
async fn publishers_whose_slices_fill_the_memory_wait_for_each_other() {
    let world = little();
    let receiver = Receiver::default();
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(10, Overflow::Block))).await;
    let (one, two) = (events(0..40), events(40..80));
    let both = async { tokio::join!(world.publish(&one), world.publish(&two)) };
    timeout(Duration::from_secs(3_600), both).await.unwrap();
    world.finish().await;
    assert_eq!(receiver.arrived().len(), 80);
}

#[tokio::test(start_paused = true)]
async fn events_that_their_publisher_keeps_use_up_the_memory() {
    let world = little();
    let receiver = Receiver::default();
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(10, Overflow::Block))).await;
    let all = events(0..1_000);
    for slice in all.chunks(10) {
        timeout(Duration::from_secs(3_600), world.publish(slice)).await.unwrap();
    }
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..1_000));
}

#[tokio::test(start_paused = true)]
async fn what_a_disabled_hook_had_in_flight_keeps_publishers_waiting() {
    let world = little();
    let (gone, fine) = (Receiver::default(), Receiver::default());
    gone.fails(FailureClass::Gone, 1);
    let hook = |name, receiver: &Receiver| {
        Hook::new(name, receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(1_000, Overflow::Block))
    };
    world.add(hook("gone", &gone)).await;
    world.add(hook("fine", &fine)).await;
    world.publish(&events(0..5)).await;
    disabled(&world.dispatcher).await;
    // As large as the memory: it needs all of it.
    timeout(Duration::from_secs(3_600), world.publish(&events(5..100))).await.unwrap();
    fine.has(100).await;
    world.finish_leaving_some().await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_hook_keeps_the_memory_that_publishers_wait_for() {
    let world = little();
    let (gone, fine) = (Receiver::default(), Receiver::default());
    gone.hang();
    gone.fails(FailureClass::Gone, 1);
    let hook = |name, receiver: &Receiver| {
        Hook::new(name, receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(1_000, Overflow::Block))
    };
    world.add(hook("gone", &gone)).await;
    world.add(hook("fine", &fine)).await;
    let bus = world.bus.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..500 {
            bus.publish(event(&number.to_string()).into()).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    gone.go_on();
    timeout(Duration::from_secs(3_600), publishing).await.unwrap().unwrap();
    fine.has(500).await;
    world.finish_leaving_some().await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_hook_drops_its_oldest_events_and_blocks_nobody() {
    let (world, receiver) = (World::on(MemoryBus::default()), Receiver::default());
    let mut hook = Hook::new("a", receiver.clone()).unwrap().batch(batch(2, "0s")).queue(queue(4, Overflow::Block));
    hook.enabled = false;
    world.add(hook).await;
    world.publish(&events(0..10)).await;
    assert_eq!((world.status("a").counts.in_flight, world.status("a").counts.dropped()), (4, 6));
    world.dispatcher.enable(&id("a")).await.unwrap();
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(6..10));
}

#[tokio::test(start_paused = true)]
async fn a_slow_hook_drops_its_oldest_events_and_holds_up_no_other() {
    let (world, slow, fast) = (World::on(MemoryBus::default()), Receiver::default(), Receiver::default());
    slow.hang();
    let settings = |receiver: &Receiver, id| Hook::new(id, receiver.clone()).unwrap().batch(batch(10, "0s"));
    world.add(settings(&slow, "slow").queue(queue(1_000, Overflow::DropOldest))).await;
    world.add(settings(&fast, "fast").queue(queue(1_000, Overflow::Block))).await;
    let began = Instant::now();
    for start in (0..10_000).step_by(100) {
        world.publish(&events(start..start + 100)).await;
    }
    fast.has(10_000).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(fast.arrived(), ids(0..10_000));
    let counts = world.status("slow").counts;
    assert_eq!((counts.in_flight, counts.dropped()), (1_000, 9_000));
    // Never out of the frozen batch: the first ten were on their way.
    slow.go_on();
    world.finish().await;
    assert_eq!(slow.arrived(), [ids(0..10), ids(9_010..10_000)].concat());
}

#[tokio::test(start_paused = true)]
async fn events_that_a_changed_filter_or_a_removal_gives_up_are_counted() {
    let (world, receiver) = (World::on(MemoryBus::default()), Receiver::default());
    receiver.hang();
    let hook = || Hook::new("a", receiver.clone()).unwrap().batch(batch(2, "0s"));
    world.add(hook()).await;
    let kind = |number: usize| if number.is_multiple_of(2) { "even" } else { "odd" };
    world.publish(&(0..6).map(|number| typed(&number.to_string(), kind(number), None)).collect::<Vec<_>>()).await;
    receiver.was_tried(1).await;
    // 0 and 1 are frozen; the new filter applies to all others.
    world.dispatcher.replace(hook().filter(Filter::types(["even"]))).await.unwrap();
    assert_eq!(world.status("a").counts.dropped_for(DropReason::Filtered), 2);
    let counts = world.dispatcher.remove(&id("a")).await.unwrap().counts;
    assert!(counts.balances(), "{counts}");
    assert_eq!((counts.dropped_for(DropReason::Removed), counts.in_flight), (4, 0));
}
