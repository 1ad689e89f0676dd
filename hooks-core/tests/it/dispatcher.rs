//! Hooks come, change and go while the dispatcher runs; batches leave when they should.

use std::time::Duration;

use hooks_core::{
    Bus, DispatchError, EndpointState, Filter, Hook, Overflow, RetryPolicy, TestError, sink::FailureClass,
};
use hooks_test::{Answer, Receiver, World, batch, disabled, event, events, id, ids, queue, typed};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn each_hook_receives_what_its_filter_matches() {
    let (world, all, paid, tenant) = (World::new(), Receiver::default(), Receiver::default(), Receiver::default());
    world.add(Hook::new("all", all.clone()).unwrap()).await;
    world.add(Hook::new("paid", paid.clone()).unwrap().filter(Filter::types(["invoice.paid*"]))).await;
    world.add(Hook::new("tenant", tenant.clone()).unwrap().filter(Filter::all().subjects(["t/1"]))).await;
    let slice = [
        typed("1", "invoice.paid.late", Some("t/1")),
        typed("2", "invoice.sent", Some("t/2")),
        typed("3", "never.seen", None),
    ];
    world.publish(&slice).await;
    world.finish().await;
    assert_eq!(all.arrived(), ["1", "2", "3"]);
    assert_eq!(paid.arrived(), ["1"]);
    assert_eq!(tenant.arrived(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_by_count_at_once_and_by_age_otherwise() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(10, "1s"))).await;
    let began = Instant::now();
    world.publish(&events(0..10)).await;
    receiver.has(10).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    world.publish(&events(10..13)).await;
    receiver.has(13).await;
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(receiver.attempts().iter().map(|attempt| attempt.events.len()).collect::<Vec<_>>(), [10, 3]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_at_the_head_with_backoff() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.fails(FailureClass::Retry, 5);
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(2, "0s"))).await;
    world.publish(&events(0..6)).await;
    receiver.was_tried(2).await;
    assert_eq!(world.status("a").state, EndpointState::BackingOff);
    receiver.has(6).await;
    assert_eq!(receiver.arrived(), ids(0..6));
    let attempts = receiver.attempts();
    assert!(attempts[..6].iter().all(|attempt| *attempt == attempts[0]));
    assert_eq!(attempts.len(), 8);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_fault_is_held_for_as_long_as_it_takes() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.fails(FailureClass::Endpoint, 3_000);
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    world.publish(&events(0..3)).await;
    let began = Instant::now();
    receiver.has(3).await;
    assert!(began.elapsed() > Duration::from_secs(4 * 24 * 3600), "{:?}", began.elapsed());
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn on_a_bus_that_ends_with_its_process_retries_end_after_three_days() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.fails(FailureClass::Retry, usize::MAX >> 40);
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(5, "0s"))).await;
    world.publish(&events(0..5)).await;
    let began = Instant::now();
    receiver.was_tried(1).await;
    while world.status("a").counts.in_flight > 0 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(3 * 24 * 3600));
    assert_eq!(world.status("a").counts.dropped_for(hooks_core::DropReason::Expired), 5);
}

#[tokio::test(start_paused = true)]
async fn gone_disables_the_hook_and_keeps_its_events() {
    let (world, receiver, other) = (World::new(), Receiver::default(), Receiver::default());
    receiver.fails(FailureClass::Gone, 1);
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    world.add(Hook::new("b", other.clone()).unwrap()).await;
    world.publish(&events(0..3)).await;
    assert_eq!(disabled(&world.dispatcher).await, id("a"));
    world.publish(&events(3..5)).await;
    other.has(5).await;
    assert_eq!(world.status("a").left_behind().events, 5);
    assert_eq!(receiver.attempts().len(), 1);
    world.dispatcher.enable(&id("a")).await.unwrap();
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..5));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_or_hangs_is_a_failed_attempt() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.answers([Answer::Panic]);
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    world.publish(&events(0..2)).await;
    receiver.has(2).await;
    receiver.hang();
    world.publish(&events(2..4)).await;
    receiver.was_tried(4).await;
    assert!(world.status("a").last_error.unwrap().contains("attempt timeout of 15s"));
    receiver.go_on();
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..4));
}

#[tokio::test(start_paused = true)]
async fn an_idle_hook_lets_its_sink_go_and_builds_it_again() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s"))).await;
    assert_eq!(receiver.builds(), 0);
    world.publish(&events(0..1)).await;
    receiver.has(1).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!((receiver.builds(), receiver.closes()), (1, 1));
    world.publish(&events(1..2)).await;
    receiver.has(2).await;
    assert_eq!(receiver.builds(), 2);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_and_settings_are_checked() {
    let (world, receiver) = (World::new(), Receiver::default());
    let hook = || Hook::new("a", receiver.clone()).unwrap();
    world.add(hook()).await;
    assert!(matches!(world.dispatcher.add(hook()).await, Err(DispatchError::Duplicate(_))));
    let small = hook().queue(queue(10, Overflow::Block));
    let error = world.dispatcher.replace(small).await.unwrap_err().to_string();
    assert!(error.contains("queue.max_events") && error.contains("at least 100"), "{error}");
    assert!(matches!(world.dispatcher.remove(&id("b")).await, Err(DispatchError::UnknownHook(_))));
    world.finish().await;
    assert!(matches!(world.dispatcher.add(hook()).await, Err(DispatchError::ShutDown)));
    assert!(world.bus.publish(events(0..1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_sink_can_decline_test_events() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.takes_no_tests();
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    assert!(matches!(world.dispatcher.test(&id("a")).await, Err(TestError::TestUnsupported { .. })));
    assert!(matches!(world.dispatcher.test(&id("b")).await, Err(TestError::UnknownHook(_))));
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_up_after_the_grace_and_says_what_is_left() {
    let (world, stuck, fine) = (World::new(), Receiver::default(), Receiver::default());
    stuck.hang();
    world.add(Hook::new("stuck", stuck.clone()).unwrap()).await;
    world.add(Hook::new("fine", fine.clone()).unwrap()).await;
    world.publish(&events(0..100)).await;
    let began = Instant::now();
    let report = world.dispatcher.shutdown(Some(Duration::from_secs(5))).await;
    // A part of it is kept for the end.
    assert!((4.0..5.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    let counts = |hook: usize| {
        (report.hooks[hook].id.as_str(), report.hooks[hook].counts.delivered, report.hooks[hook].left_behind().events)
    };
    assert_eq!((counts(0), counts(1)), (("fine", 100, 0), ("stuck", 0, 100)));
    assert!(!report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_gets_an_unfilled_batch_when_publishers_wait() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(4, "1h")).queue(queue(6, Overflow::Block))).await;
    let began = Instant::now();
    world.publish(&events(0..3)).await;
    receiver.was_tried(0).await;
    world.publish(&events(3..6)).await;
    world.publish(&[event("6"), event("7"), event("8"), event("9"), event("10"), event("11")]).await;
    assert!(began.elapsed() < Duration::from_secs(1), "the publisher waited for the age of a batch");
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..12));
}

#[tokio::test(start_paused = true)]
async fn enabling_a_hook_while_it_is_replaced_brings_its_old_settings_back() {
    let (world, old, new) = (World::new(), Receiver::default(), Receiver::default());
    let hook = |receiver: &Receiver| Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s"));
    world.add(hook(&old)).await;
    world.publish(&[event("0")]).await;
    old.has(1).await;
    let name = id("a");
    let (replaced, enabled) = tokio::join!(world.dispatcher.replace(hook(&new)), world.dispatcher.enable(&name));
    replaced.unwrap();
    enabled.unwrap();
    world.publish(&[event("1")]).await;
    world.finish().await;
    assert_eq!((old.arrived(), new.arrived()), (ids(0..1), ids(1..2)));
}

#[tokio::test(start_paused = true)]
async fn a_hook_replaced_while_a_publisher_waits_lets_it_wait_for_the_age_of_a_batch() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.hang();
    let hook = || Hook::new("a", receiver.clone()).unwrap().batch(batch(4, "1h")).queue(queue(6, Overflow::Block));
    world.add(hook()).await;
    world.publish(&events(0..3)).await;
    let bus = world.bus.clone();
    let waiting = tokio::spawn(async move { bus.publish(events(3..9)).await });
    receiver.was_tried(1).await;
    world.dispatcher.replace(hook()).await.unwrap();
    receiver.go_on();
    let began = Instant::now();
    waiting.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    world.finish().await;
    assert_eq!(receiver.arrived(), ids(0..9));
}

#[tokio::test(start_paused = true)]
async fn time_with_an_endpoint_fault_does_not_count_against_max_elapsed() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.fails(FailureClass::Endpoint, 100);
    receiver.fails(FailureClass::Retry, 1);
    let retry = RetryPolicy::default().max_elapsed("60s".parse().unwrap());
    let hook = Hook::new("a", receiver.clone()).unwrap().batch(batch(3, "0s")).retry(retry);
    world.add(hook).await;
    world.publish(&events(0..3)).await;
    tokio::time::timeout(Duration::from_secs(7 * 24 * 3600), receiver.has(3)).await.unwrap();
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_dispatcher_delivers_nothing_any_more() {
    let (World { bus, dispatcher }, receiver) = (World::new(), Receiver::default());
    dispatcher.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s"))).await.unwrap();
    drop(dispatcher);
    bus.publish(events(0..1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(receiver.attempts().len(), 0);
}

/// What it has on its way goes on.
#[tokio::test(start_paused = true)]
async fn enabling_a_hook_that_is_enabled_changes_nothing() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s"))).await;
    receiver.hang();
    world.publish(&events(0..1)).await;
    receiver.was_tried(1).await;
    world.dispatcher.enable(&id("a")).await.unwrap();
    receiver.go_on();
    receiver.has(1).await;
    world.finish().await;
    assert_eq!(receiver.attempts().len(), 1);
}
