//! A hook is delivered to no faster than its limit.

use std::time::Duration;

use hooks_core::{Bus as _, Hook, RateLimit};
use hooks_test::{Receiver, World, batch, events};
use tokio::time::Instant;

fn limit(requests: Option<&str>, events: Option<&str>, burst: u32) -> RateLimit {
    let rate = |text: &str| text.parse().unwrap();
    let mut limit = RateLimit::default();
    (limit.requests, limit.events, limit.burst) = (requests.map(rate), events.map(rate), burst.try_into().ok());
    limit
}

async fn time_for(events_in_all: usize, limit: RateLimit, lanes: usize) -> Duration {
    let (world, receiver) = (World::new(), Receiver::default());
    let hook = Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s")).rate_limit(limit);
    world.add(hook.lanes(lanes.try_into().unwrap())).await;
    let begin = Instant::now();
    world.publish(&events(0..events_in_all)).await;
    receiver.has(events_in_all).await;
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn requests() {
    let took = time_for(31, limit(Some("10/s"), None, 1), 1).await;
    assert!((3_000..3_100).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn events_of_all_lanes_together() {
    let took = time_for(40, limit(None, Some("600/m"), 10), 4).await;
    assert!((3_000..3_100).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_hook_gives_no_second_burst() {
    let (world, receiver) = (World::new(), Receiver::default());
    let hook =
        || Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s")).rate_limit(limit(Some("1/s"), None, 5));
    world.add(hook()).await;
    let begin = Instant::now();
    world.publish(&events(0..10)).await;
    receiver.has(5).await;
    world.dispatcher.replace(hook()).await.unwrap();
    receiver.has(10).await;
    assert!(begin.elapsed() >= Duration::from_millis(4_900), "{:?}", begin.elapsed());
}

#[test]
fn a_limit_that_limits_nothing_is_refused() {
    let hook = Hook::new("a", Receiver::default()).unwrap().rate_limit(RateLimit::default());
    assert_eq!(hook.problems()[0].path, "rate_limit");
}

/// What the receiver says counts after the first attempt, for all lanes together, and no burst is added to it.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_allows_60_a_minute_gets_one_a_second() {
    for lanes in [1, 4] {
        let (world, receiver) = (World::new(), Receiver::default());
        receiver.allows("60/m");
        let hook = Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s"));
        world.add(hook.lanes(lanes.try_into().unwrap())).await;
        world.publish(&events(0..1)).await;
        receiver.has(1).await;
        let begin = Instant::now();
        world.publish(&events(1..31)).await;
        receiver.has(31).await;
        let took = begin.elapsed();
        assert!((29_900..30_100).contains(&took.as_millis()), "{lanes} lanes: {took:?}");
    }
}

/// Publishers that each have one event do not each get a batch.
#[tokio::test]
async fn what_is_published_at_the_same_time_one_by_one_shares_a_batch() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap().batch(batch(100, "0s"))).await;
    world.publish(&events(0..1)).await;
    receiver.has(1).await;
    let bus = world.bus.clone();
    let publishing = tokio::spawn(async move {
        for number in 1..21 {
            bus.publish(events(number..number + 1)).await.unwrap();
            // The hook was woken: its turn comes before that of this task.
            tokio::spawn(async {}).await.unwrap();
        }
    });
    publishing.await.unwrap();
    receiver.has(21).await;
    let attempts = receiver.attempts().len();
    assert!(attempts <= 5, "{attempts} batches of 21 events");
}
