//! Dead letters that are replayed go through the retry queue of the live events: one fence, one split, one limit.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    Bus, DeadLetter, Dispatcher, EndpointState, Hook, Metadata, RateLimit, ReplayReport, RetryPolicy, StartAt,
    bus::{Seek, SeekTo},
    sink::FailureClass,
};
use hooks_test::{Answer, Receiver, batch, disabled, events, id, ids};
use tokio::time::Instant;

use crate::dead_letters::{hook, with_two_dead};
use crate::keeping::Keeping;

type World = (Keeping, Dispatcher, Receiver);

/// With all of these events dead, and a receiver that takes everything from now on.
async fn with_dead(count: usize, max_events: usize) -> World {
    let bus = Keeping::new(100).shared();
    let (dispatcher, receiver) = (Dispatcher::new(Arc::new(bus.clone())), Receiver::default());
    let all = ids(0..count);
    receiver.refuses(all.iter().map(String::as_str));
    let retry = RetryPolicy::default().reject_hold("1s".parse().unwrap());
    dispatcher.add(hook(&receiver).batch(batch(max_events, "0s")).retry(retry)).await.unwrap();
    bus.publish(events(0..count)).await.unwrap();
    bus.has(count).await;
    receiver.refuses_nothing();
    (bus, dispatcher, receiver)
}

async fn replay((_, dispatcher, _): &World) -> ReplayReport {
    dispatcher.replay(&id("a"), |_, _| true).await.unwrap()
}

fn came(report: &ReplayReport) -> (usize, usize, usize) {
    (report.delivered, report.refused, report.untried)
}

/// The events of each attempt since there were so many.
fn tried(receiver: &Receiver, since: usize) -> Vec<Vec<String>> {
    receiver.attempts()[since..].iter().map(|attempt| attempt.events.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_another_instances_replays_nothing() {
    let world = with_dead(2, 4).await;
    let (bus, _, receiver) = &world;
    let before = receiver.attempts().len();
    bus.is_lost(true);
    let report = replay(&world).await;
    assert_eq!((came(&report), receiver.attempts().len() - before, bus.ids()), ((0, 0, 2), 0, ids(0..2)));
    assert!(report.error.unwrap().contains("another instance has the hook now"));
    bus.is_lost(false);
    assert_eq!(came(&replay(&world).await), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_where_the_hook_becomes_another_instances() {
    let world = with_dead(3, 1).await;
    let (bus, _, receiver) = &world;
    receiver.hang();
    let before = receiver.attempts().len();
    let lose = async {
        receiver.was_tried(before + 1).await;
        bus.is_lost(true);
        receiver.go_on();
    };
    let (report, ()) = tokio::join!(replay(&world), lose);
    assert_eq!((came(&report), tried(receiver, before), bus.ids()), ((1, 0, 2), vec![ids(0..1)], ids(1..3)));
    assert!(report.error.unwrap().contains("another instance has the hook now"));
}

#[tokio::test(start_paused = true)]
async fn a_replay_ends_where_the_hook_is_moved_and_its_dead_letters_stay() {
    let world = with_dead(3, 1).await;
    let (bus, dispatcher, receiver) = &world;
    receiver.hang();
    let before = receiver.attempts().len();
    let moves = async {
        receiver.was_tried(before + 1).await;
        let sought = dispatcher.seek(&id("a"), Seek::to(SeekTo::Start(StartAt::Earliest))).await.unwrap();
        receiver.go_on();
        sought
    };
    let (report, sought) = tokio::join!(replay(&world), moves);
    assert_eq!((came(&report), sought.again), ((0, 0, 3), 3));
    assert!(report.error.unwrap().contains("changed or stopped meanwhile"));
    receiver.has(3).await;
    assert_eq!((receiver.arrived(), bus.ids()), (ids(0..3), ids(0..3)));
    assert_eq!(came(&replay(&world).await), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn that_a_replay_is_too_large_is_learned_for_live_batches() {
    let world = with_dead(4, 4).await;
    let (bus, _, receiver) = &world;
    receiver.fails(FailureClass::TooLarge, 1);
    let before = receiver.attempts().len();
    assert_eq!(came(&replay(&world).await), (4, 0, 0));
    assert_eq!(tried(receiver, before), [ids(0..4), ids(0..2), ids(2..4)]);
    bus.publish(events(10..14)).await.unwrap();
    receiver.has(8).await;
    assert!(tried(receiver, before + 3).iter().all(|events| events.len() <= 2), "{:?}", tried(receiver, before));
}

#[tokio::test(start_paused = true)]
async fn what_live_batches_taught_holds_for_a_replay() {
    let world = with_dead(4, 4).await;
    let (bus, _, receiver) = &world;
    receiver.fails(FailureClass::TooLarge, 1);
    bus.publish(events(10..14)).await.unwrap();
    receiver.has(4).await;
    let before = receiver.attempts().len();
    assert_eq!(came(&replay(&world).await), (4, 0, 0));
    assert!(tried(receiver, before).iter().all(|events| events.len() <= 2), "{:?}", tried(receiver, before));
}

#[tokio::test(start_paused = true)]
async fn live_batches_go_between_the_parts_of_a_replay() {
    let world = with_dead(4, 4).await;
    let (bus, _, receiver) = &world;
    let all = ids(0..4);
    receiver.refuses(all.iter().map(String::as_str));
    receiver.hang();
    let before = receiver.attempts().len();
    let go_on = async {
        receiver.was_tried(before + 1).await;
        bus.publish(events(10..26)).await.unwrap();
        receiver.go_on();
    };
    let (report, ()) = tokio::join!(replay(&world), go_on);
    assert_eq!(came(&report), (0, 4, 0));
    receiver.has(16).await;
    let is_live: Vec<bool> = tried(receiver, before).iter().map(|events| events[0].len() == 2).collect();
    assert_eq!(is_live[..8], [false, true, false, true, false, true, false, true], "{:?}", tried(receiver, before));
}

/// The dead letters are kept, so nobody waits for them.
#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_replay_that_waits() {
    let world = with_dead(3, 1).await;
    let (bus, dispatcher, receiver) = &world;
    let limit = RateLimit::default().requests("1/m".parse().unwrap()).burst(NonZeroU32::MIN);
    dispatcher.replace(hook(receiver).batch(batch(1, "0s")).rate_limit(limit)).await.unwrap();
    let began = Instant::now();
    let end = async {
        receiver.has(1).await;
        dispatcher.shutdown(None).await
    };
    let (report, ended) = tokio::join!(replay(&world), end);
    assert_eq!((came(&report), bus.ids(), began.elapsed()), ((1, 0, 2), ids(1..3), Duration::ZERO));
    assert!(report.error.unwrap().contains("changed or stopped meanwhile"));
    assert!(ended.is_drained());
}

fn said(dead_letter: &DeadLetter) -> (String, &str, u32) {
    (dead_letter.envelope.id().to_owned(), &dead_letter.detail, dead_letter.attempts)
}

/// It takes the place of the one before, also where there is no room for one more.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_refused_again_says_why_now() {
    let world = with_two_dead().await;
    let (bus, dispatcher, receiver) = &world;
    let before = bus.kept();
    assert!(before[1].detail.contains("poisoned"), "{before:?}");
    receiver.refuses_nothing();
    receiver.answers([Answer::Names(1)]);
    bus.dead_letters.room.store(2, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(came(&replay(&world).await), (1, 1, 0));
    let kept = bus.kept();
    assert_eq!(kept.iter().map(said).collect::<Vec<_>>(), [("7".to_owned(), "named", before[1].attempts + 1)]);
    assert_eq!(kept[0].first_attempt, before[1].first_attempt);
    let counts = dispatcher.status()[0].counts;
    assert_eq!((counts.delivered, counts.dead_lettered, counts.balances()), (8, 2, true), "it became one before");
}

/// With what the hook adds to each event, and by the sink's own batcher.
#[tokio::test(start_paused = true)]
async fn the_batches_of_a_replay_are_made_as_live_ones() {
    let world = with_dead(2, 4).await;
    let (bus, dispatcher, receiver) = &world;
    let bytes: usize = bus.kept().iter().map(|dead_letter| dead_letter.envelope.len() + 1).sum();
    let mut limits = batch(4, "0s");
    limits.max_bytes = hooks_core::ByteSize::new(bytes as u64 + 10);
    let hook = hook(receiver).batch(limits).metadata(Metadata::new([("zone", "north-west".into())]).unwrap());
    dispatcher.replace(hook).await.unwrap();
    let before = receiver.attempts().len();
    assert_eq!(came(&replay(&world).await), (2, 0, 0));
    assert_eq!(tried(receiver, before), [ids(0..1), ids(1..2)]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_wants_nothing_more_ends_the_replay_and_disables_the_hook() {
    let world = with_dead(2, 1).await;
    let (bus, dispatcher, receiver) = &world;
    receiver.fails(FailureClass::Gone, 1);
    let report = replay(&world).await;
    assert_eq!((came(&report), bus.ids()), ((0, 0, 2), ids(0..2)));
    assert!(report.error.unwrap().contains("scripted"));
    assert_eq!(disabled(dispatcher).await, id("a"));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_disabled_ends_its_replay() {
    let world = with_dead(2, 1).await;
    let (bus, dispatcher, receiver) = &world;
    receiver.hangs_with(["1"]);
    let before = receiver.attempts().len();
    let disable = async {
        receiver.was_tried(before + 2).await;
        dispatcher.disable(&id("a")).await.unwrap();
    };
    let (report, ()) = tokio::join!(replay(&world), disable);
    assert_eq!(
        (came(&report), bus.ids(), dispatcher.status()[0].state),
        ((1, 0, 1), ids(1..2), EndpointState::Disabled)
    );
    assert!(report.error.unwrap().contains("changed or stopped meanwhile"));
}

/// Which is what makes room.
#[tokio::test(start_paused = true)]
async fn a_hook_that_is_held_because_its_dead_letters_are_full_replays() {
    let world = with_two_dead().await;
    let (bus, dispatcher, receiver) = &world;
    bus.dead_letters.room.store(2, std::sync::atomic::Ordering::Relaxed);
    receiver.refuses(["10"]);
    bus.publish(events(10..12)).await.unwrap();
    bus.was_full(1).await;
    assert_eq!(dispatcher.status()[0].state, EndpointState::Held);
    receiver.refuses_nothing();
    assert_eq!(came(&replay(&world).await), (2, 0, 0));
    bus.has(1).await;
    assert_eq!(bus.ids(), ["10"]);
}

/// A worker whose hook has no events ends its lanes after a while.
#[tokio::test(start_paused = true)]
async fn a_replay_of_a_hook_with_lanes_takes_the_time_it_needs() {
    let world = with_dead(3, 1).await;
    let (_, dispatcher, receiver) = &world;
    let limit = RateLimit::default().requests("1/m".parse().unwrap()).burst(NonZeroU32::MIN);
    let hook = hook(receiver).batch(batch(1, "0s")).rate_limit(limit).lanes(3.try_into().unwrap());
    dispatcher.replace(hook).await.unwrap();
    let began = Instant::now();
    assert_eq!(came(&replay(&world).await), (3, 0, 0));
    assert_eq!(began.elapsed(), Duration::from_secs(2 * 60));
}

#[tokio::test(start_paused = true)]
async fn a_replay_does_not_wait_while_its_hook_backs_off() {
    let world = with_dead(2, 4).await;
    let (bus, _, receiver) = &world;
    receiver.fails(FailureClass::Retry, 8);
    bus.publish(events(10..11)).await.unwrap();
    receiver.was_tried(receiver.attempts().len() + 8).await;
    let began = Instant::now();
    assert_eq!((came(&replay(&world).await), began.elapsed()), ((2, 0, 0), Duration::ZERO));
}

/// A request that the receiver did nothing with is one more request.
#[tokio::test(start_paused = true)]
async fn each_request_of_a_replay_counts_for_the_rate_limit() {
    let world = with_dead(1, 1).await;
    let (_, dispatcher, receiver) = &world;
    let limit = RateLimit::default().requests("1/m".parse().unwrap()).burst(NonZeroU32::MIN);
    dispatcher.replace(Hook::new("a", receiver.clone()).unwrap().rate_limit(limit)).await.unwrap();
    receiver.fails(FailureClass::Unprocessed, 1);
    let began = Instant::now();
    assert_eq!((came(&replay(&world).await), began.elapsed()), ((1, 0, 0), Duration::from_secs(60)));
}
