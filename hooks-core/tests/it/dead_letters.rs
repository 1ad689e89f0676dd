//! Given-up events are kept before they are settled, and can be delivered again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hooks_core::{
    Bus, DeadLetterId, DeadLetterReason, Dispatcher, DropReason, EndpointState, Hook, ReplayError, RetryPolicy,
    bus::DeadLetters,
    sink::{FailureClass, Unread},
};
use hooks_test::{Answer, Receiver, batch, events, id, ids};

use crate::keeping::Keeping;

pub(crate) fn hook(receiver: &Receiver) -> Hook {
    Hook::new("a", receiver.clone()).unwrap().batch(batch(4, "0s"))
}

async fn world(room: usize) -> (Keeping, Dispatcher, Receiver) {
    let bus = Keeping::new(room);
    (bus.clone(), Dispatcher::new(Arc::new(bus)), Receiver::default())
}

fn counts(dispatcher: &Dispatcher) -> hooks_core::Counts {
    let counts = dispatcher.status()[0].counts;
    assert!(counts.balances(), "{counts}");
    counts
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_kept_with_the_reason() {
    let (bus, dispatcher, receiver) = world(100).await;
    receiver.refuses(["5"]);
    dispatcher.add(hook(&receiver)).await.unwrap();
    bus.publish(events(0..12)).await.unwrap();
    bus.has(1).await;
    receiver.has(11).await;
    let report = dispatcher.shutdown(None).await;
    assert_eq!(report.hooks[0].dead_letters, Some(1));
    let counts = report.hooks[0].counts;
    assert_eq!((counts.delivered, counts.dead_lettered, counts.dropped()), (11, 1, 0));
    assert_eq!(counts.dead_lettered_for(DeadLetterReason::Refused), 1);
    let dead_letter = bus.kept().remove(0);
    assert_eq!(
        (dead_letter.envelope.id(), dead_letter.reason, dead_letter.attempts),
        ("5", DeadLetterReason::Refused, 3)
    );
    assert!(
        dead_letter.detail.contains("poisoned") && dead_letter.first_attempt <= dead_letter.last_attempt,
        "{dead_letter:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_runs_out_of_retries_is_kept() {
    let (bus, dispatcher, receiver) = world(100).await;
    receiver.fails(FailureClass::Retry, 1_000);
    let retry = RetryPolicy::default().max_elapsed("10s".parse().unwrap());
    dispatcher.add(hook(&receiver).retry(retry)).await.unwrap();
    bus.publish(events(0..3)).await.unwrap();
    bus.has(3).await;
    assert_eq!(bus.ids(), ids(0..3));
    assert!(
        bus.kept()
            .iter()
            .all(|dead_letter| dead_letter.reason == DeadLetterReason::Expired && dead_letter.attempts > 1)
    );
}

/// There may never be room for as many as a batch has.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_together_is_kept_in_parts_where_it_has_to_be() {
    let (bus, dispatcher, receiver) = world(3).await;
    receiver.fails(FailureClass::Retry, 1_000);
    let retry = RetryPolicy::default().max_elapsed("10s".parse().unwrap());
    dispatcher.add(hook(&receiver).batch(batch(8, "1s")).retry(retry)).await.unwrap();
    bus.publish(events(0..8)).await.unwrap();
    bus.has(3).await;
    bus.was_full(6).await;
    assert_eq!((bus.ids(), counts(&dispatcher).dead_lettered), (ids(0..3), 3));
    // What was kept and dropped does not come again.
    bus.dead_letters
        .remove(&[0, 1, 2].map(|number| bus.kept()[number].position.get()).map(DeadLetterId::new))
        .await
        .unwrap();
    bus.has(3).await;
    assert_eq!((bus.ids(), counts(&dispatcher).dead_lettered), (ids(3..6), 6));
    dispatcher.shutdown(Some(Duration::ZERO)).await;
    assert_eq!((counts(&dispatcher).dead_lettered, counts(&dispatcher).in_flight), (6, 2));
}

/// It can never be kept, and the others must not wait for it.
#[tokio::test(start_paused = true)]
async fn what_is_too_long_for_a_dead_letter_is_dropped_alone() {
    let (bus, dispatcher, receiver) = world(100).await;
    bus.dead_letters.too_long.lock().push("2");
    receiver.fails(FailureClass::Retry, 1_000);
    let retry = RetryPolicy::default().max_elapsed("10s".parse().unwrap());
    dispatcher.add(hook(&receiver).batch(batch(8, "1s")).retry(retry)).await.unwrap();
    bus.publish(events(0..8)).await.unwrap();
    bus.has(7).await;
    dispatcher.shutdown(Some(Duration::ZERO)).await;
    let counts = counts(&dispatcher);
    assert_eq!((counts.dead_lettered, counts.dropped_for(DropReason::Expired), counts.in_flight), (7, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_store_holds_the_hook_and_loses_nothing() {
    let (bus, dispatcher, receiver) = world(1).await;
    receiver.refuses(["0", "2"]);
    dispatcher.add(hook(&receiver).batch(batch(1, "0s"))).await.unwrap();
    bus.publish(events(0..6)).await.unwrap();
    bus.was_full(3).await;
    let status = dispatcher.status().remove(0);
    assert_eq!(status.state, EndpointState::Held);
    assert!(status.last_error.unwrap().contains("no room for dead letters"));
    assert_eq!((status.counts.dead_lettered, bus.ids()), (1, ids(0..1)));
    bus.dead_letters.room.store(2, Ordering::Relaxed);
    receiver.has(4).await;
    bus.has(2).await;
    dispatcher.shutdown(None).await;
    assert_eq!(
        (receiver.arrived(), bus.ids()),
        (["1", "3", "4", "5"].map(str::to_owned).to_vec(), vec!["0".into(), "2".into()])
    );
    assert_eq!(counts(&dispatcher).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_with_a_full_store_leaves_the_event_behind() {
    let (bus, dispatcher, receiver) = world(0).await;
    receiver.refuses(["0"]);
    dispatcher.add(hook(&receiver)).await.unwrap();
    bus.publish(events(0..3)).await.unwrap();
    bus.was_full(1).await;
    let report = dispatcher.shutdown(None).await;
    assert_eq!((report.hooks[0].counts.delivered, report.hooks[0].counts.in_flight), (1, 2));
    assert!(bus.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_held_hook_can_be_changed_and_keeps_what_it_could_not_keep() {
    let (bus, dispatcher, receiver) = world(0).await;
    receiver.refuses(["1"]);
    dispatcher.add(hook(&receiver)).await.unwrap();
    bus.publish(events(0..4)).await.unwrap();
    bus.was_full(1).await;
    receiver.refuses_nothing();
    dispatcher.replace(hook(&receiver)).await.unwrap();
    receiver.has(4).await;
    assert_eq!(receiver.arrived(), ["0", "2", "1", "3"]);
    dispatcher.shutdown(None).await;
    assert_eq!((counts(&dispatcher).delivered, bus.ids().len()), (4, 0));
}

/// With dead letters `2` and `7`, and everything else delivered.
pub(crate) async fn with_two_dead() -> (Keeping, Dispatcher, Receiver) {
    let (bus, dispatcher, receiver) = world(100).await;
    receiver.refuses(["2", "7"]);
    dispatcher.add(hook(&receiver)).await.unwrap();
    bus.publish(events(0..10)).await.unwrap();
    bus.has(2).await;
    receiver.has(8).await;
    (bus, dispatcher, receiver)
}

#[tokio::test(start_paused = true)]
async fn a_replay_delivers_and_forgets() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    // Long after, when the worker sleeps.
    tokio::time::sleep(Duration::from_secs(600)).await;
    receiver.refuses_nothing();
    let report = dispatcher.replay(&id("a"), |_, dead_letter| dead_letter.envelope.id() == "7").await.unwrap();
    assert_eq!((report.delivered, report.refused, report.untried, report.error), (1, 0, 0, None));
    assert_eq!((bus.ids(), receiver.arrived().last().unwrap().as_str()), (ids(2..3), "7"));
    assert_eq!(counts(&dispatcher).delivered, 8, "replays are no deliveries of the ledger");
    bus.publish(events(10..12)).await.unwrap();
    receiver.has(11).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_again_stays() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.refuses(["7"]);
    let report = dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
    assert_eq!((report.delivered, report.refused, report.untried), (1, 1, 0));
    assert!(report.error.unwrap().contains("poisoned"));
    assert_eq!(bus.ids(), ids(7..8));
}

/// Its dead letters went out with each replay and never left.
#[tokio::test(start_paused = true)]
async fn a_receiver_whose_answers_are_always_odd_gets_its_dead_letters_all_the_same() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    let before = receiver.attempts().len();
    receiver.answers(std::iter::repeat_n(Answer::Odd(Unread::Refusals), 4));
    let report = dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
    assert_eq!((report.delivered, report.untried, report.error), (2, 0, None));
    assert_eq!((receiver.attempts().len() - before, bus.ids().len()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_ends_the_replay() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.fails(FailureClass::Retry, 1);
    let report = dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
    assert_eq!((report.delivered, report.refused, report.untried), (0, 0, 2));
    assert_eq!((bus.ids().len(), dispatcher.status()[0].state), (2, EndpointState::BackingOff));
}

#[tokio::test(start_paused = true)]
async fn a_replay_does_not_wait_for_a_receiver_that_is_down() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.fails(FailureClass::Retry, 3);
    for _ in 0..3 {
        let report = dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
        assert_eq!((report.delivered, report.untried), (0, 2));
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(dispatcher.replay(&id("a"), |_, _| true).await.unwrap().delivered, 2);
    assert!(bus.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_replays_at_once() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.hang();
    let hook = id("a");
    let all = async {
        tokio::join!(
            dispatcher.replay(&hook, |_, _| true),
            dispatcher.replay(&hook, |_, _| true),
            dispatcher.replay(&hook, |_, _| true)
        )
    };
    let go_on = async {
        receiver.was_tried(receiver.attempts().len() + 1).await;
        receiver.go_on();
    };
    let ((one, two, three), ()) = tokio::join!(all, go_on);
    let delivered: usize = [one, two, three].into_iter().map(|report| report.unwrap().delivered).sum();
    assert_eq!((delivered, bus.ids().len()), (2, 0));
    let arrived = receiver.arrived();
    assert_eq!(arrived.iter().filter(|id| ["2", "7"].contains(&id.as_str())).count(), 2, "{arrived:?}");
}

/// Polls a call once and drops it.
async fn begun<T>(call: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = call => {}
        () = std::future::ready(()) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_replay_has_on_its_way_is_not_dropped() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.refuses(["7"]);
    receiver.hang();
    let hook = id("a");
    let go_on = async {
        receiver.was_tried(receiver.attempts().len() + 1).await;
        let drop = dispatcher.drop_dead_letters(&hook, |_, _| true);
        tokio::pin!(drop);
        begun(&mut drop).await;
        assert_eq!(bus.ids(), ["2", "7"], "it waits");
        receiver.go_on();
        drop.await.unwrap()
    };
    let (report, dropped) = tokio::join!(dispatcher.replay(&hook, |_, _| true), go_on);
    let report = report.unwrap();
    assert_eq!((report.delivered, report.refused, dropped, bus.ids().len()), (1, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_dropped_forgets_what_it_had_on_its_way() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.hang();
    let hook = id("a");
    let tried = receiver.attempts().len() + 1;
    tokio::select! {
        report = dispatcher.replay(&hook, |_, _| true) => panic!("{report:?}"),
        () = receiver.was_tried(tried) => {}
    }
    receiver.go_on();
    // It waits for the other's end.
    assert_eq!(dispatcher.replay(&hook, |_, _| true).await.unwrap().delivered, 0);
    assert_eq!((receiver.arrived().len(), bus.ids().len()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_cut_off_says_how_far_it_came() {
    let (bus, dispatcher, receiver) = world(100).await;
    let all = ids(0..6);
    receiver.refuses(all.iter().map(String::as_str));
    let retry = RetryPolicy::default().reject_hold("1s".parse().unwrap());
    let hook = || hook(&receiver).batch(batch(2, "0s")).retry(retry.clone());
    dispatcher.add(hook()).await.unwrap();
    bus.publish(events(0..6)).await.unwrap();
    bus.has(6).await;
    receiver.refuses_nothing();
    receiver.hangs_with(["2"]);
    let name = id("a");
    let cut = async {
        receiver.was_tried(receiver.attempts().len() + 2).await;
        dispatcher.replace(hook()).await.unwrap();
    };
    let (report, ()) = tokio::join!(dispatcher.replay(&name, |_, _| true), cut);
    let report = report.unwrap();
    assert_eq!((report.delivered, report.refused, report.untried), (2, 0, 4));
    assert!(report.error.unwrap().contains("changed or stopped meanwhile"));
    assert_eq!(bus.ids(), ids(2..6), "what was delivered is no dead letter any more");
    receiver.hangs_with([]);
    assert_eq!(dispatcher.replay(&name, |_, _| true).await.unwrap().delivered, 4);
}

/// A dead letter that was replayed has arrived.
#[tokio::test(start_paused = true)]
async fn a_report_is_complete_once_the_dead_letters_are_replayed() {
    let (_bus, dispatcher, receiver) = with_two_dead().await;
    let status = || dispatcher.hook_status(&id("a")).unwrap();
    assert!(status().is_drained() && !status().is_complete());
    receiver.refuses_nothing();
    dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
    let report = dispatcher.shutdown(None).await;
    assert!(report.is_drained() && report.is_complete(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_while_live_events_wait_for_their_receiver() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.fails(FailureClass::Retry, 1);
    bus.publish(events(10..12)).await.unwrap();
    receiver.was_tried(receiver.attempts().len() + 1).await;
    assert_eq!(dispatcher.replay(&id("a"), |_, _| true).await.unwrap().delivered, 2);
    receiver.has(12).await;
}

#[tokio::test(start_paused = true)]
async fn live_events_go_on_during_a_replay() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    receiver.hang();
    bus.publish(events(10..30)).await.unwrap();
    receiver.was_tried(receiver.attempts().len() + 1).await;
    let replay = async { dispatcher.replay(&id("a"), |_, _| true).await.unwrap() };
    let go_on = async { receiver.go_on() };
    let (report, ()) = tokio::join!(replay, go_on);
    receiver.has(30).await;
    assert_eq!((report.delivered, bus.ids().len()), (2, 0));
    let live: Vec<String> = receiver.arrived().into_iter().filter(|id| id != "2" && id != "7").collect();
    assert!(live.is_sorted_by_key(|id| id.parse::<usize>().unwrap()), "{live:?}");
}

#[tokio::test(start_paused = true)]
async fn replays_of_a_hook_with_lanes() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    receiver.refuses_nothing();
    dispatcher.replace(hook(&receiver).lanes(3.try_into().unwrap())).await.unwrap();
    let report = dispatcher.replay(&id("a"), |_, _| true).await.unwrap();
    assert_eq!((report.delivered, bus.ids().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_cannot_be() {
    let (bus, dispatcher, receiver) = with_two_dead().await;
    assert!(matches!(dispatcher.replay(&id("b"), |_, _| true).await, Err(ReplayError::UnknownHook(_))));
    dispatcher.disable(&id("a")).await.unwrap();
    assert!(matches!(dispatcher.replay(&id("a"), |_, _| true).await, Err(ReplayError::Disabled(_))));
    dispatcher.enable(&id("a")).await.unwrap();
    receiver.hang();
    let hook_id = id("a");
    let replay = dispatcher.replay(&hook_id, |id, _| id == DeadLetterId::new(2));
    let change = async {
        receiver.was_tried(receiver.attempts().len() + 1).await;
        dispatcher.replace(hook(&receiver)).await.unwrap();
    };
    let (replay, ()) = tokio::join!(replay, change);
    assert_eq!(replay.unwrap().untried, 1);
    assert_eq!(bus.ids().len(), 2);
    let plain = Dispatcher::new(Arc::new(hooks_test::model::ModelBus::alone()));
    plain.add(hook(&receiver)).await.unwrap();
    assert!(matches!(plain.replay(&id("a"), |_, _| true).await, Err(ReplayError::Unsupported(_))));
}
