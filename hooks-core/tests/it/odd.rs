//! Answers that say "delivered" and are odd otherwise: what the receiver says counts, and comes again only where a
//! refused event may be hidden in it, and not without end.

use std::time::Duration;

use hooks_core::{
    EndpointState, Hook, HumanDuration, RetryPolicy,
    sink::{FailureClass, Unread},
};
use hooks_test::{Answer, Receiver, World, batch, events, ids};
use tokio::time::Instant;

/// A hook whose receiver answers with these, and then well.
async fn world(answers: impl IntoIterator<Item = Answer>) -> (World, Receiver) {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.answers(answers);
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(3, "0s"))).await;
    (world, receiver)
}

/// How many attempts were made of the first batch, before the second arrived.
async fn tried(world: &World, receiver: &Receiver, first: std::ops::Range<usize>) -> usize {
    let before = receiver.attempts().len();
    world.publish(&events(first.clone())).await;
    world.publish(&events(first.end..first.end + 1)).await;
    receiver.has(1).await;
    let attempts = receiver.attempts();
    attempts[before..].iter().filter(|attempt| attempt.events == ids(first.clone())).count()
}

#[tokio::test(start_paused = true)]
async fn an_odd_answer_counts_at_once() {
    for unread in [Unread::Nothing, Unread::RefusalsIfBefore] {
        let (world, receiver) = world([Answer::Odd(unread)]).await;
        assert_eq!(tried(&world, &receiver, 0..3).await, 1, "{unread:?}");
        let status = world.status("a");
        assert_eq!((status.counts.delivered, status.state), (4, EndpointState::Healthy), "{unread:?}");
        assert_eq!(status.stats.unwrap().odd_answers, 1, "{unread:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_refused_events_may_be_hidden_it_counts_after_three_more() {
    let (world, receiver) = world(std::iter::repeat_n(Answer::Odd(Unread::Refusals), 4)).await;
    assert_eq!(tried(&world, &receiver, 0..3).await, 4);
    let status = world.status("a");
    assert_eq!((status.counts.delivered, status.attempts), (4, 5));
    assert_eq!(status.stats.unwrap().odd_answers, 4);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_has_named_refused_events_may_hide_some() {
    let odd = std::iter::repeat_n(Answer::Odd(Unread::RefusalsIfBefore), 4);
    let (world, receiver) = world([Answer::Names(1)].into_iter().chain(odd)).await;
    world.publish(&events(0..3)).await;
    receiver.was_tried(1).await;
    assert_eq!(tried(&world, &receiver, 3..6).await, 4);
    let counts = world.finish().await[0].counts;
    assert_eq!((counts.delivered, counts.dropped()), (6, 1));
}

/// The receiver said "delivered" each time: whatever is in doubt, the batch is not given up.
#[tokio::test(start_paused = true)]
async fn a_doubt_ends_with_the_time_of_the_batch() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.answers(std::iter::repeat_n(Answer::Odd(Unread::Refusals), 2));
    let retry = RetryPolicy::default().max_elapsed(HumanDuration::new(Duration::from_nanos(1)));
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(3, "0s")).retry(retry)).await;
    assert_eq!(tried(&world, &receiver, 0..3).await, 2);
    let counts = world.finish().await[0].counts;
    assert_eq!((counts.delivered, counts.dropped()), (4, 0));
}

/// What a better answer says counts, and a batch of its own is counted for itself.
#[tokio::test(start_paused = true)]
async fn a_better_answer_ends_the_doubt() {
    let odd = || std::iter::repeat_n(Answer::Odd(Unread::Refusals), 3);
    let (world, receiver) = world(odd().chain([Answer::Names(0)]).chain(odd())).await;
    world.publish(&events(0..3)).await;
    receiver.was_tried(4).await;
    assert_eq!(tried(&world, &receiver, 3..6).await, 4);
    let counts = world.finish().await[0].counts;
    assert_eq!((counts.delivered, counts.dropped()), (6, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_counts_when_the_attempt_does() {
    let (world, receiver) = world([Answer::Endless]).await;
    let began = Instant::now();
    assert_eq!(tried(&world, &receiver, 0..3).await, 1);
    assert_eq!(began.elapsed(), Duration::from_secs(15), "the attempt's time");
    let status = world.status("a");
    assert_eq!((status.counts.delivered, status.state), (4, EndpointState::Healthy));
}

/// A request that the receiver did nothing with goes out again at once; only if that goes on is it a failure.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_processed_is_sent_again_at_once() {
    let unprocessed = |times| std::iter::repeat_n(Answer::Fail(FailureClass::Unprocessed), times);
    let (world, receiver) = world(unprocessed(3)).await;
    let began = Instant::now();
    assert_eq!(tried(&world, &receiver, 0..3).await, 4);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(world.status("a").state, EndpointState::Healthy);
    receiver.answers(unprocessed(6));
    let before = receiver.attempts().len();
    world.publish(&events(4..5)).await;
    receiver.was_tried(before + 5).await;
    assert_eq!(world.status("a").state, EndpointState::BackingOff, "the fourth in a row is a failure");
    receiver.has(2).await;
    assert_eq!(world.finish().await[0].counts.delivered, 5);
}
