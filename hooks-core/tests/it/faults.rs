//! Faults of earlier systems that must not return. Each test is named for the fault it keeps out.

use std::time::Duration;

use hooks_core::{Bus, Filter, Hook, Overflow, QueueLimits, TestError, sink::FailureClass};
use hooks_test::{Receiver, World, batch, events, id, ids, queue, typed};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn shutdown_flushes_one_batch_and_loses_the_rest() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(100, "1h"))).await;
    world.publish(&events(0..1_050)).await;
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..1_050));
}

#[tokio::test(start_paused = true)]
async fn the_bus_queue_is_not_drained() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.hang();
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(10, "0s"))).await;
    world.publish(&events(0..10)).await;
    receiver.was_tried(1).await;
    world.publish(&events(10..500)).await;
    let (report, ()) = tokio::join!(world.finish(), async { receiver.go_on() });
    assert_eq!(report[0].counts.delivered, 500);
    assert_eq!(receiver.arrived(), ids(0..500));
}

#[tokio::test(start_paused = true)]
async fn after_a_burst_or_an_outage_one_batch_leaves_per_tick_although_more_are_waiting() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(100, "1h"))).await;
    let burst = Instant::now();
    world.publish(&events(0..5_000)).await;
    receiver.has(5_000).await;
    assert_eq!(burst.elapsed(), Duration::ZERO);

    receiver.fails(FailureClass::Retry, 3);
    world.publish(&events(5_000..5_100)).await;
    receiver.was_tried(51).await;
    world.publish(&events(5_100..9_000)).await;
    receiver.was_tried(54).await;
    let recovered = Instant::now();
    receiver.has(9_000).await;
    assert_eq!(recovered.elapsed(), Duration::ZERO);
    assert_eq!(receiver.arrived(), ids(0..9_000));
}

#[tokio::test(start_paused = true)]
async fn a_poison_batch_loops_at_the_front_and_pushes_out_the_rest() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.refuses(["3"]);
    world
        .add(Hook::new("a", receiver.clone()).unwrap().batch(batch(8, "0s")).queue(queue(100, Overflow::DropOldest)))
        .await;
    world.publish(&events(0..100)).await;
    receiver.has(99).await;
    let expected: Vec<String> = ids(0..100).into_iter().filter(|id| id != "3").collect();
    assert_eq!(receiver.arrived(), expected);
    let counts = world.finish().await[0].counts;
    assert_eq!((counts.delivered, counts.dropped_for(hooks_core::DropReason::Refused)), (99, 1));
}

#[tokio::test(start_paused = true)]
async fn a_retried_batch_is_reformed_and_takes_in_newer_events() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.fails(FailureClass::Retry, 4);
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(10, "1s"))).await;
    world.publish(&events(0..3)).await;
    receiver.was_tried(1).await;
    world.publish(&events(3..50)).await;
    receiver.has(50).await;
    let attempts = receiver.attempts();
    assert_eq!(attempts[0].events, ids(0..3));
    assert!(attempts[..5].iter().all(|attempt| *attempt == attempts[0]), "same id and events at every attempt");
    assert_ne!(attempts[5].batch, attempts[0].batch);
}

#[tokio::test(start_paused = true)]
async fn editing_or_deleting_a_hook_does_not_reach_the_running_one() {
    let (world, old, new) = (World::new(), Receiver::default(), Receiver::default());
    old.hang();
    let hook = |receiver: &Receiver| Hook::new("a", receiver.clone()).unwrap().batch(batch(2, "0s"));
    world.add(hook(&old)).await;
    let slice: Vec<_> = (0..6).map(|n| typed(&n.to_string(), if n % 2 == 0 { "even" } else { "odd" }, None)).collect();
    world.publish(&slice).await;
    old.was_tried(1).await;
    // 0 and 1 are frozen; the new filter applies to all others.
    world.dispatcher.replace(hook(&new).filter(Filter::types(["even"]))).await.unwrap();
    old.go_on();
    world.publish(&[typed("6", "even", None), typed("7", "odd", None)]).await;
    new.has(5).await;
    assert_eq!(
        (old.arrived(), new.arrived()),
        (vec![], vec!["0".into(), "1".into(), "2".into(), "4".into(), "6".into()])
    );

    new.hang();
    world.publish(&[typed("8", "even", None)]).await;
    new.was_tried(new.attempts().len() + 1).await;
    let counts = world.dispatcher.remove(&id("a")).await.unwrap().counts;
    assert_eq!((counts.handed_over, counts.in_flight, counts.balances()), (1, 0, true));
    new.go_on();
    world.publish(&[typed("10", "even", None)]).await;
    world.finish().await;
    assert_eq!(new.arrived().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_test_delivery_says_delivered_after_only_queueing() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    receiver.fails(FailureClass::Retry, 1);
    let failed = world.dispatcher.test(&id("a")).await;
    assert!(matches!(failed, Err(TestError::Failed { .. })), "{failed:?}");
    assert_eq!(receiver.arrived().len(), 0);
    receiver.hang();
    let never_answered = world.dispatcher.test(&id("a")).await.unwrap_err();
    assert!(matches!(never_answered, TestError::Failed { took, .. } if took.as_secs() == 15));
    receiver.go_on();
    // It overtakes whatever is queued, and says so only once it has arrived.
    world.publish(&events(0..50)).await;
    world.dispatcher.test(&id("a")).await.unwrap();
    assert_eq!(receiver.arrived().len(), 1);
    assert_eq!(world.finish().await[0].counts.delivered, 50);
}

#[tokio::test(start_paused = true)]
async fn every_event_rereads_the_hook_store() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    world.publish(&events(0..100)).await;
    receiver.has(100).await;
    let asked = receiver.asked();
    for number in 0..100 {
        world.publish(&events(number * 100..number * 100 + 100)).await;
        receiver.has(100 * (number + 2)).await;
    }
    assert_eq!(receiver.asked(), asked, "delivering asks the hook's settings for nothing");
}

#[test]
fn a_limit_of_0_silently_becomes_the_default() {
    for limits in [r#"{"max_events":0}"#, r#"{"max_bytes":0}"#] {
        let batch = serde_json::from_str(limits);
        let hook = |batch| Hook::new("a", Receiver::default()).unwrap().batch(batch);
        assert!(batch.is_err() || !hook(batch.unwrap()).problems().is_empty(), "batch {limits}");
        let queue = serde_json::from_str::<QueueLimits>(limits);
        let hook = |queue| Hook::new("a", Receiver::default()).unwrap().queue(queue);
        assert!(queue.is_err() || !hook(queue.unwrap()).problems().is_empty(), "queue {limits}");
    }
    let age = batch(10, "0s");
    assert!(age.max_age.get().is_zero(), "0 means at once, not the default");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_future_counts_as_delivered() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.hang();
    let hook = || Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s"));
    world.add(hook()).await;
    world.publish(&events(0..5)).await;
    receiver.was_tried(1).await;
    world.dispatcher.replace(hook()).await.unwrap();
    assert_eq!(world.status("a").counts.delivered, 0);
    receiver.go_on();
    receiver.has(5).await;
    assert_eq!(receiver.arrived(), ids(0..5));
    let attempts = receiver.attempts();
    assert_eq!(attempts[0].batch, attempts[1].batch);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_100_000_events_at_once_loses_most_of_them() {
    let (world, receiver) = (World::new(), Receiver::default());
    let queue = QueueLimits::default().overflow(Overflow::Block);
    world.add(Hook::new("a", receiver.clone()).unwrap().queue(queue)).await;
    world.publish(&events(0..100_000)).await;
    let counts = world.finish().await[0].counts;
    assert_eq!((counts.delivered, counts.dropped()), (100_000, 0));
    assert_eq!(receiver.arrived(), ids(0..100_000));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_waits_is_told_when_the_bus_closes() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.hang();
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(2, "0s")).queue(queue(2, Overflow::Block))).await;
    world.publish(&events(0..2)).await;
    receiver.was_tried(1).await;
    let waiting = {
        let bus = world.bus.clone();
        tokio::spawn(async move { bus.publish(events(2..4)).await })
    };
    tokio::task::yield_now().await;
    world.bus.close().await;
    assert!(waiting.await.unwrap().is_err());
    receiver.go_on();
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..2));
}
