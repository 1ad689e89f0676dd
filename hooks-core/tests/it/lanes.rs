//! Several lanes: order per key, and no key waits for another.

use std::num::NonZeroUsize;
use std::time::Duration;

use hooks_core::{Envelope, Filter, Hook, Overflow, sink::FailureClass};
use hooks_test::{Answer, Receiver, World, batch, disabled, id, queue, typed};
use proptest::prelude::*;
use tokio::time::Instant;

fn keyed(count: usize, keys: usize) -> Vec<hooks_core::Envelope> {
    (0..count).map(|n| typed(&n.to_string(), "t", Some(&format!("key-{}", n % keys)))).collect()
}

fn lanes(receiver: &Receiver, lanes: usize) -> Hook {
    Hook::new("a", receiver.clone()).unwrap().batch(batch(7, "0s")).lanes(NonZeroUsize::new(lanes).unwrap())
}

/// For each key, the events arrived in the order they were published.
fn in_order_per_key(arrived: &[String], keys: usize) -> bool {
    let numbers: Vec<usize> = arrived.iter().map(|id| id.parse().unwrap()).collect();
    (0..keys).all(|key| numbers.iter().filter(|n| **n % keys == key).is_sorted())
}

#[tokio::test(start_paused = true)]
async fn two_workers_swap_events_of_one_stream() {
    for count in [1, 2, 5, 64] {
        let (world, receiver) = (World::new(), Receiver::default());
        let hiccup = [Answer::Fail(FailureClass::Retry), Answer::Panic, Answer::Fail(FailureClass::Throttle)];
        receiver.answers(hiccup.into_iter().cycle().take(30));
        world.add(lanes(&receiver, count)).await;
        world.publish(&keyed(3_000, 11)).await;
        world.finish().await;
        let arrived = receiver.arrived();
        assert_eq!(arrived.len(), 3_000);
        assert!(in_order_per_key(&arrived, 11), "{count} lanes");
    }
}

/// Whichever JSON type its publisher gave the key, and whatever it happened to.
#[tokio::test(start_paused = true)]
async fn keys_that_are_no_strings_keep_order() {
    let event = |number: usize| {
        let key = [format!("{}", number % 5), format!("\"{}\"", number % 5), format!("{}.0", number % 5)];
        let key = &key[number % 3];
        let json = format!(r#"{{"id":"{number}","type":"t","subject":"s/{number}","partitionkey":{key}}}"#);
        Envelope::from_json(json.as_bytes()).unwrap()
    };
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.answers([Answer::Fail(FailureClass::Retry), Answer::Panic].into_iter().cycle().take(30));
    world.add(lanes(&receiver, 8)).await;
    world.publish(&(0..2_000).map(event).collect::<Vec<_>>()).await;
    world.finish().await;
    let arrived = receiver.arrived();
    assert_eq!(arrived.len(), 2_000);
    assert!(in_order_per_key(&arrived, 5));
}

#[tokio::test(start_paused = true)]
async fn one_sink_per_lane_and_a_hook_that_rests_when_all_lanes_do() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(lanes(&receiver, 4)).await;
    world.publish(&keyed(1_000, 50)).await;
    receiver.has(1_000).await;
    assert_eq!(receiver.builds(), 4);
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(receiver.closes(), 4);
    world.publish(&keyed(100, 50)).await;
    world.finish().await;
    assert_eq!(receiver.arrived().len(), 1_100);
}

#[tokio::test(start_paused = true)]
async fn lanes_can_be_changed_and_disabled_under_way() {
    let (world, receiver) = (World::new(), Receiver::default());
    receiver.hang();
    world.add(lanes(&receiver, 4)).await;
    world.publish(&keyed(500, 20)).await;
    receiver.was_tried(4).await;
    world.dispatcher.replace(lanes(&receiver, 9)).await.unwrap();
    receiver.answers([Answer::Fail(FailureClass::Gone)]);
    receiver.go_on();
    assert_eq!(disabled(&world.dispatcher).await, id("a"));
    world.dispatcher.replace(lanes(&receiver, 2).filter(Filter::all())).await.unwrap();
    world.finish().await;
    let mut numbers: Vec<usize> = receiver.arrived().iter().map(|id| id.parse().unwrap()).collect();
    assert!(numbers.len() >= 500);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 500);
}

/// An event of one of two keys, `a` and `b`, which two lanes share out.
fn one(number: usize, key: &str) -> hooks_core::Envelope {
    typed(&number.to_string(), "t", Some(key))
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_rests_while_another_works_is_never_fed_again() {
    let (world, receiver) = (World::new(), Receiver::default());
    world
        .add(Hook::new("a", receiver.clone()).unwrap().batch(batch(1, "0s")).lanes(NonZeroUsize::new(2).unwrap()))
        .await;
    // `a` and `b` go to different lanes; `b` is silent for longer than an idle lane lingers.
    for number in 0..20 {
        world.publish(&[one(number, "a")]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    for number in 20..30 {
        world.publish(&[one(number, "a")]).await;
        world.publish(&[one(100 + number, "b")]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(receiver.arrived().len(), 40);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_window_waits_for_the_age_of_a_batch() {
    let (world, receiver) = (World::new(), Receiver::default());
    let hook = Hook::new("a", receiver.clone()).unwrap().batch(batch(100, "10h")).lanes(NonZeroUsize::new(2).unwrap());
    world.add(hook.queue(queue(10_000, Overflow::Block))).await;
    let began = Instant::now();
    world.publish(&[one(0, "b")]).await;
    for _ in 0..70 {
        let slice: Vec<_> = (0..1_000).map(|number| one(number, "a")).collect();
        world.publish(&slice).await;
    }
    receiver.has(69_900).await;
    assert!(began.elapsed() < Duration::from_secs(3_600), "{:?}", began.elapsed());
    world.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever fails, with however many lanes: everything arrives, in order per key, and the ledger balances.
    #[test]
    fn everything_arrives_in_order_per_key(
        count in 1usize..9,
        keys in 1usize..9,
        slices in prop::collection::vec(1usize..60, 1..8),
        answers in prop::collection::vec(prop::sample::select(vec![
            Answer::Fail(FailureClass::Retry), Answer::Fail(FailureClass::Endpoint), Answer::Fail(FailureClass::Throttle), Answer::Panic,
        ]), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (world, receiver) = (World::new(), Receiver::default());
            receiver.answers(answers);
            world.add(lanes(&receiver, count)).await;
            let all = keyed(slices.iter().sum(), keys);
            let mut rest = &all[..];
            for slice in slices {
                let (now, later) = rest.split_at(slice);
                world.publish(now).await;
                tokio::time::sleep(Duration::from_millis(700)).await;
                rest = later;
            }
            world.finish().await;
            assert_eq!(receiver.arrived().len(), all.len());
            assert!(in_order_per_key(&receiver.arrived(), keys));
        });
    }
}
