//! The bound on memory, with a dispatcher at work.

use std::time::Duration;

use hooks_bus::{MemoryBus, MemoryConfig};
use hooks_core::{Bus, ByteSize, FailureClass, Hook, Overflow};
use tokio::time::timeout;

use crate::receiver::{Receiver, World, batch, event, events, ids, queue};

#[tokio::test(start_paused = true)]
async fn a_slice_larger_than_the_memory_waits_for_itself() {
    let world = World::on(MemoryBus::new(&MemoryConfig { max_memory: ByteSize(20_000) }));
    let receiver = Receiver::default();
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(10, Overflow::Block))).await;
    timeout(Duration::from_secs(3_600), world.publish(&events(0..1_000))).await.unwrap();
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..1_000));
}

#[tokio::test(start_paused = true)]
async fn publishers_whose_slices_fill_the_memory_wait_for_each_other() {
    let world = World::on(MemoryBus::new(&MemoryConfig { max_memory: ByteSize(20_000) }));
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
    let world = World::on(MemoryBus::new(&MemoryConfig { max_memory: ByteSize(20_000) }));
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
    let world = World::on(MemoryBus::new(&MemoryConfig { max_memory: ByteSize(20_000) }));
    let (gone, fine) = (Receiver::default(), Receiver::default());
    gone.fails(FailureClass::Gone, 1);
    let hook = |name, receiver: &Receiver| {
        Hook::new(name, receiver.clone()).unwrap().batch(batch(5, "0s")).queue(queue(1_000, Overflow::Block))
    };
    world.add(hook("gone", &gone)).await;
    world.add(hook("fine", &fine)).await;
    world.publish(&events(0..5)).await;
    world.dispatcher.disabled().await;
    // As large as the memory: it needs all of it.
    timeout(Duration::from_secs(3_600), world.publish(&events(5..100))).await.unwrap();
    fine.has(100).await;
    world.finish_leaving_some().await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_hook_keeps_the_memory_that_publishers_wait_for() {
    let world = World::on(MemoryBus::new(&MemoryConfig { max_memory: ByteSize(20_000) }));
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
