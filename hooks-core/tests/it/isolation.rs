//! Refused events are isolated; an endpoint that refuses everything is held.

use std::collections::HashSet;
use std::time::Duration;

use hooks_core::{DropReason, EndpointState, Filter, Hook, sink::FailureClass};
use hooks_test::{Answer, Receiver, World, batch, events, ids};
use proptest::prelude::*;
use tokio::time::Instant;

fn hook(receiver: &Receiver, max_events: usize) -> Hook {
    Hook::new("a", receiver.clone()).unwrap().batch(batch(max_events, "0s"))
}

fn refused(world: &World) -> u64 {
    world.status("a").counts.dropped_for(DropReason::Refused)
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_split_left_half_first() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.refuses(["5"]);
    world.add(hook(&receiver, 8)).await;
    world.publish(&events(0..8)).await;
    receiver.has(7).await;
    let tried: Vec<Vec<String>> = receiver.attempts().into_iter().map(|attempt| attempt.events).collect();
    assert_eq!(
        tried,
        [ids(0..8), ids(0..4), ids(4..8), ids(4..6), ids(4..5), ids(5..6), ids(6..7), ids(7..8)].map(|ids| ids)
    );
    let batches: HashSet<String> = receiver.attempts().into_iter().map(|attempt| attempt.batch).collect();
    assert_eq!(batches.len(), 8, "each half has an id of its own");
    assert!(batches.iter().any(|id| id.ends_with("_1_0_1")));
    assert_eq!(refused(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lone_poisoned_event_waits_for_another_to_be_accepted() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.refuses(["0"]);
    world.add(hook(&receiver, 10)).await;
    world.publish(&events(0..1)).await;
    receiver.was_tried(2).await;
    assert_eq!((refused(&world), world.status("a").counts.in_flight), (0, 1));
    let began = Instant::now();
    world.publish(&events(1..2)).await;
    receiver.has(1).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "it holds up nobody");
    assert_eq!(refused(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_everything_is_held_and_loses_nothing_when_it_recovers() {
    let (world, receiver) = (World::new(), Receiver::default());
    let all = ids(0..100);
    receiver.refuses(all.iter().map(String::as_str));
    world.add(hook(&receiver, 10)).await;
    world.publish(&events(0..100)).await;
    receiver.was_tried(25).await;
    assert_eq!(world.status("a").state, EndpointState::Held);
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    let status = world.status("a");
    assert_eq!((status.left_behind().events, status.counts.dropped()), (100, 0));
    let tried: HashSet<String> = receiver.attempts().into_iter().flat_map(|attempt| attempt.events).collect();
    assert!(tried.len() <= 20, "{} events were tried against an endpoint that refuses all", tried.len());
    receiver.refuses_nothing();
    receiver.has(100).await;
    assert_eq!(receiver.arrived(), all);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn suspects_are_given_up_after_reject_hold() {
    let (world, receiver) = (World::new(), Receiver::default());
    let all = ids(0..100);
    receiver.refuses(all.iter().map(String::as_str));
    world.add(hook(&receiver, 10)).await;
    world.publish(&events(0..100)).await;
    receiver.was_tried(1).await;
    tokio::time::sleep(Duration::from_secs(15 * 60 - 1)).await;
    assert_eq!(refused(&world), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(refused(&world), 16);
    tokio::time::sleep(Duration::from_secs(15 * 60)).await;
    assert_eq!(refused(&world), 32);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_suspect_when_nothing_else_is_left_to_do_counts_as_refused() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.refuses(["0", "1", "2"]);
    world.add(hook(&receiver, 10)).await;
    world.publish(&events(0..3)).await;
    let began = Instant::now();
    let report = world.finish().await;
    assert_eq!(report[0].counts.dropped_for(DropReason::Refused), 3);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_teaches_a_limit() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.answers([Answer::Fail(FailureClass::TooLarge)]);
    world.add(hook(&receiver, 16)).await;
    world.publish(&events(0..16)).await;
    receiver.has(16).await;
    world.publish(&events(16..64)).await;
    receiver.has(64).await;
    assert_eq!(receiver.arrived(), ids(0..64));
    let larger = receiver.attempts()[1..].iter().filter(|attempt| attempt.events.len() > 8).count();
    assert_eq!(larger, 0, "no later batch is as large as the one that was refused");
    // The receiver's limit may be another one now.
    world.publish(&events(64..400)).await;
    receiver.has(400).await;
    assert_eq!(receiver.arrived(), ids(0..400));
    assert_eq!(receiver.attempts().iter().rev().nth(1).map(|attempt| attempt.events.len()), Some(16));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_alone_says_nothing_about_batches_of_others() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.is_too_much(["5"]);
    world.add(hook(&receiver, 16)).await;
    world.publish(&events(0..64)).await;
    receiver.has(63).await;
    assert_eq!(receiver.arrived(), [ids(0..5), ids(6..64)].concat());
    assert_eq!(receiver.attempts().last().map(|attempt| attempt.events.len()), Some(16));
    world.finish().await;
}

/// Sixteen are refused, so the hook is held. Then the receiver takes all but the first and the last: when
/// those two are refused again, others have been accepted meanwhile, and neither waits for one behind it.
#[tokio::test(start_paused = true)]
async fn a_suspect_that_is_refused_again_after_an_acceptance_is_refused_at_once() {
    let (world, receiver) = (World::new(), Receiver::default());
    let all = ids(0..16);
    receiver.refuses(all.iter().map(String::as_str));
    world.add(hook(&receiver, 16)).await;
    world.publish(&events(0..16)).await;
    receiver.was_tried(20).await;
    assert_eq!(world.status("a").counts.in_flight, 16);
    receiver.refuses_nothing();
    receiver.refuses(["0", "15"]);
    receiver.has(14).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((refused(&world), world.status("a").counts.in_flight), (2, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// k bad of n: exactly the k are refused, the rest arrives once and in order, and the number of
    /// requests stays within 1 + 2·log2(batch) per bad event above what is needed without any.
    #[test]
    fn exactly_the_bad_ones_are_refused(
        n in 1usize..200,
        max_events in 1usize..64,
        bad in prop::collection::hash_set(0usize..200, 0..12),
        hiccups in prop::collection::vec(prop::sample::select(vec![
            Answer::Fail(FailureClass::Retry), Answer::Fail(FailureClass::Throttle), Answer::Panic,
        ]), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let bad: Vec<String> = bad.into_iter().filter(|bad| *bad < n).map(|bad| bad.to_string()).collect();
        runtime.block_on(async {
            let (world, receiver) = (World::new(), Receiver::default());
            receiver.refuses(bad.iter().map(String::as_str));
            let hiccuped = hiccups.len();
            receiver.answers(hiccups);
            world.add(hook(&receiver, max_events)).await;
            world.publish(&events(0..n)).await;
            let counts = world.finish().await[0].counts;
            let good: Vec<String> = ids(0..n).into_iter().filter(|id| !bad.contains(id)).collect();
            assert_eq!(receiver.arrived(), good);
            assert_eq!(counts.dropped_for(DropReason::Refused), bad.len() as u64);
            let halvings = max_events.next_power_of_two().ilog2() as usize;
            let bound = n.div_ceil(max_events) + hiccuped + bad.len() * (2 + 2 * halvings + 16);
            assert!(receiver.attempts().len() <= bound, "{} requests, bound {bound}", receiver.attempts().len());
        });
    }
}

/// A hook that hears of the other.
fn alerting(receiver: &Receiver) -> Hook {
    let types = EndpointState::ALL.iter().map(|state| format!("hooks.endpoint.{state}")).collect::<Vec<_>>();
    Hook::new("alerts", receiver.clone()).unwrap().filter(Filter::types(types)).batch(batch(1, "0s"))
}

/// What it says and what operators are told to alert on agree, from the first event on.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_everything_is_held_until_it_accepts_something() {
    let (world, receiver, alerts) = (World::new(), Receiver::default(), Receiver::default());
    receiver.refuses(["0", "1"]);
    world.add(hook(&receiver, 4)).await;
    world.add(alerting(&alerts)).await;
    world.publish(&events(0..1)).await;
    alerts.has(1).await;
    // One that is refused may be a bad one.
    assert_eq!(world.status("a").state, EndpointState::BackingOff);
    world.publish(&events(1..2)).await;
    alerts.has(2).await;
    assert_eq!(world.status("a").state, EndpointState::Held);
    // They are tried again in vain, and given up; nothing else was accepted.
    while world.status("a").counts.in_flight > 0 {
        // tidy-allow(test-sleep): the time is paused
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(world.status("a").state, EndpointState::Held);
    world.publish(&events(2..3)).await;
    alerts.has(3).await;
    assert_eq!(world.status("a").state, EndpointState::Healthy);
    let told: Vec<String> = alerts.events().iter().map(|event| event.event_type().to_owned()).collect();
    assert_eq!(told, ["backing_off", "held", "healthy"].map(|state| format!("hooks.endpoint.{state}")), "once each");
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_among_good_ones_makes_no_endpoint_a_bad_one() {
    let (world, receiver, alerts) = (World::new(), Receiver::default(), Receiver::default());
    receiver.refuses(["1", "6"]);
    world.add(hook(&receiver, 4)).await;
    world.add(alerting(&alerts)).await;
    world.publish(&events(0..12)).await;
    receiver.has(10).await;
    let hooks = world.finish().await;
    assert_eq!((hooks[0].state, hooks[1].counts.taken), (EndpointState::Healthy, 0));
}
