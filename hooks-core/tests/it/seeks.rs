//! Hooks that are moved back and ahead in the log, whatever they are doing.

use hooks_core::{
    Bus as _, DispatchError, DropReason, EndpointState, Filter, Hook, StartAt,
    bus::{Seek, SeekError, SeekTo, Sought},
    sink::FailureClass,
};
use hooks_test::model::ModelBus;
use hooks_test::{Receiver, World, batch, events, id, ids};

fn hook(receiver: &Receiver) -> Hook {
    Hook::new("a", receiver.clone()).unwrap().batch(batch(2, "0s"))
}

/// A hook `a` that has delivered the events 0 to 3.
async fn delivered() -> (World, Receiver) {
    let (world, receiver) = (World::on(ModelBus::lasting()), Receiver::default());
    world.add(hook(&receiver)).await;
    world.publish(&events(0..4)).await;
    receiver.has(4).await;
    (world, receiver)
}

fn earliest() -> Seek {
    Seek::to(SeekTo::Start(StartAt::Earliest))
}

fn end() -> Seek {
    Seek::to(SeekTo::Start(StartAt::End))
}

async fn seek(world: &World, seek: Seek) -> Sought {
    world.dispatcher.seek(&id("a"), seek).await.unwrap()
}

fn came(sought: Sought) -> (u64, u64, u64, u64) {
    (sought.before, sought.after, sought.again, sought.skipped)
}

/// Ids of these numbers, one range after the other.
fn all(ranges: impl IntoIterator<Item = std::ops::Range<usize>>) -> Vec<String> {
    ranges.into_iter().flat_map(ids).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_goes_back_is_delivered_everything_from_there_on_again() {
    let (world, receiver) = delivered().await;
    let would = seek(&world, earliest().dry_run(true)).await;
    assert_eq!((came(would), receiver.arrived().len()), ((4, 0, 4, 0), 4));
    assert_eq!(seek(&world, earliest()).await, would);
    world.publish(&events(4..6)).await;
    receiver.has(10).await;
    assert_eq!(receiver.arrived(), all([0..4, 0..6]));
    let counts = world.status("a").counts;
    assert_eq!((counts.taken, counts.delivered, counts.dropped()), (10, 10, 0));
    let status = &world.finish().await[0];
    assert!(status.is_complete(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_goes_ahead_only_where_that_is_asked_for() {
    let (world, receiver) = delivered().await;
    receiver.hang();
    world.publish(&events(4..10)).await;
    receiver.was_tried(3).await;
    let attempts = receiver.attempts().len();
    let refused = world.dispatcher.seek(&id("a"), end()).await;
    let is_ahead = |error: &DispatchError| {
        matches!(error, DispatchError::NotMoved { error: SeekError::Ahead { before: 4, after: 10 }, .. })
    };
    assert!(refused.as_ref().is_err_and(is_ahead), "{refused:?}");
    assert_eq!(receiver.attempts().len(), attempts, "the attempt under way goes on");
    assert_eq!(came(seek(&world, end().dry_run(true)).await), (4, 10, 0, 6));
    // Its receiver hangs still.
    assert_eq!(came(seek(&world, end().skip(true)).await), (4, 10, 0, 6));
    receiver.go_on();
    world.publish(&events(10..12)).await;
    receiver.has(6).await;
    assert_eq!(receiver.arrived(), all([0..4, 10..12]));
    let counts = world.status("a").counts;
    assert_eq!((counts.delivered, counts.dropped_for(DropReason::Skipped), counts.dropped()), (6, 6, 6));
    assert!(!world.finish().await[0].is_complete(), "what was skipped did not arrive");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_comes_again_where_a_hook_already_is() {
    let (world, receiver) = delivered().await;
    let here = || Seek::to(SeekTo::Position(hooks_core::Position::new(4))).skip(true);
    assert_eq!(came(seek(&world, here()).await), (4, 4, 0, 0));
    receiver.hang();
    world.publish(&events(4..6)).await;
    receiver.was_tried(3).await;
    assert_eq!(came(seek(&world, here()).await), (4, 4, 0, 0));
    receiver.was_tried(4).await;
    receiver.go_on();
    receiver.has(6).await;
    assert_eq!((receiver.arrived(), receiver.attempts().len()), (ids(0..6), 4));
}

#[tokio::test(start_paused = true)]
async fn only_events_of_the_hooks_filter_count() {
    let (world, receiver) = (World::on(ModelBus::lasting()), Receiver::default());
    world.add(hook(&receiver).filter(Filter::types(["test.1"]))).await;
    world.bus.publish(hooks_test::thirds(0..30, |_| 0)).await.unwrap();
    receiver.has(10).await;
    let sought = seek(&world, earliest()).await;
    assert_eq!((sought.again, sought.exact), (10, true));
    receiver.has(20).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disabled_hook_goes_on_from_there_once_it_is_enabled() {
    let (world, receiver) = delivered().await;
    world.dispatcher.disable(&id("a")).await.unwrap();
    assert_eq!(came(seek(&world, earliest()).await), (4, 0, 4, 0));
    let status = world.status("a");
    assert_eq!((status.state, status.disabled.is_some()), (EndpointState::Disabled, true));
    assert_eq!(world.bus.monitor().lag(&id("a")).unwrap().events, 4);
    world.dispatcher.enable(&id("a")).await.unwrap();
    receiver.has(8).await;
    assert_eq!(receiver.arrived(), all([0..4, 0..4]));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_with_lanes_goes_back_and_ahead() {
    let (world, receiver) = (World::on(ModelBus::lasting()), Receiver::default());
    world.add(hook(&receiver).lanes(4.try_into().unwrap())).await;
    world.publish(&events(0..20)).await;
    receiver.has(20).await;
    receiver.hang();
    assert_eq!(came(seek(&world, earliest()).await), (20, 0, 20, 0));
    receiver.was_tried(receiver.attempts().len() + 1).await;
    assert_eq!(came(seek(&world, end().skip(true)).await), (0, 20, 0, 20));
    receiver.go_on();
    world.publish(&events(20..22)).await;
    receiver.has(22).await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_is_left_behind_with_its_backlog() {
    let (world, receiver) = delivered().await;
    receiver.fails(FailureClass::Retry, 3);
    world.publish(&events(4..8)).await;
    receiver.was_tried(3).await;
    assert_eq!(came(seek(&world, end().skip(true)).await), (4, 8, 0, 4));
    world.publish(&events(8..10)).await;
    receiver.has(6).await;
    assert_eq!(receiver.arrived(), all([0..4, 8..10]));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn two_moves_at_once_come_one_after_the_other() {
    let (world, receiver) = delivered().await;
    let (back, ahead) = tokio::join!(seek(&world, earliest()), seek(&world, end().skip(true)));
    assert_eq!(came(back), (4, 0, 4, 0));
    assert_eq!((ahead.after, ahead.before, ahead.skipped), (4, 4 - ahead.skipped, ahead.skipped));
    world.publish(&events(4..5)).await;
    receiver.has(5).await;
    let counts = world.status("a").counts;
    assert_eq!(counts.dropped_for(DropReason::Skipped), ahead.skipped);
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_moves_the_hook_all_the_same() {
    let (world, receiver) = delivered().await;
    receiver.hangs_at_close();
    let name = id("a");
    tokio::select! {
        biased;
        _ = world.dispatcher.seek(&name, earliest()) => panic!("it waits for nothing"),
        () = std::future::ready(()) => {}
    }
    receiver.has(8).await;
    assert_eq!(receiver.arrived(), all([0..4, 0..4]));
}

#[tokio::test(start_paused = true)]
async fn a_move_during_a_shutdown_is_refused_and_one_before_it_is_whole() {
    let (world, receiver) = delivered().await;
    receiver.hangs_at_close();
    let name = id("a");
    let (moved, report) = tokio::join!(world.dispatcher.seek(&name, earliest()), async {
        tokio::task::yield_now().await;
        world.dispatcher.shutdown(None).await
    });
    assert_eq!((came(moved.unwrap()), report.is_complete()), ((4, 0, 4, 0), true));
    assert_eq!(receiver.arrived(), all([0..4, 0..4]));
    let late = world.dispatcher.seek(&id("a"), earliest()).await;
    assert!(matches!(late, Err(DispatchError::ShutDown)), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_the_dispatcher_does_not_have_is_moved_on_the_bus() {
    let (world, receiver) = delivered().await;
    world.dispatcher.remove(&id("a")).await.unwrap();
    let sought = seek(&world, earliest()).await;
    assert_eq!((came(sought), sought.exact), ((4, 0, 4, 0), false), "its filter is not known");
    world.add(hook(&receiver)).await;
    receiver.has(8).await;
    let unknown = world.dispatcher.seek(&id("b"), earliest()).await;
    let is_unknown =
        |error: &DispatchError| matches!(error, DispatchError::NotMoved { error: SeekError::Unknown(_), .. });
    assert!(unknown.as_ref().is_err_and(is_unknown), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_keeps_nothing_says_so() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(hook(&receiver)).await;
    let refused = world.dispatcher.seek(&id("a"), earliest()).await;
    let is_so = |error: &DispatchError| matches!(error, DispatchError::NotMoved { error: SeekError::Unsupported, .. });
    assert!(refused.as_ref().is_err_and(is_so), "{refused:?}");
    world.publish(&events(0..2)).await;
    receiver.has(2).await;
    world.finish().await;
}
