//! The stream of state changes.

use futures_util::FutureExt as _;
use hooks_core::sink::FailureClass;
use hooks_core::{Changes, DisabledBy, EndpointState, Hook, HookStatus};
use hooks_test::{Receiver, World, events, id};

/// The name and state of the hook that changed next.
async fn next(changes: &mut Changes) -> (String, EndpointState) {
    let HookStatus { id, state, .. } = changes.next().await.unwrap();
    (id.to_string(), state)
}

fn is_quiet(changes: &mut Changes) -> bool {
    changes.next().now_or_never().is_none()
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_once() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.add(Hook::new("a", receiver.clone()).unwrap()).await;
    let mut changes = world.dispatcher.changes();
    let a = |state| ("a".to_owned(), state);
    assert_eq!(next(&mut changes).await, a(EndpointState::Healthy), "as it was");
    assert!(is_quiet(&mut changes));
    receiver.fails(FailureClass::Retry, 1);
    world.publish(&events(0..1)).await;
    assert_eq!(next(&mut changes).await, a(EndpointState::BackingOff));
    assert_eq!(next(&mut changes).await, a(EndpointState::Healthy));
    receiver.fails(FailureClass::Gone, 1);
    world.publish(&events(1..2)).await;
    let gone = changes.next().await.unwrap();
    assert!(gone.is_disabled_by(DisabledBy::Receiver) && gone.state == EndpointState::Disabled);
    assert!(is_quiet(&mut changes), "it is told once");
    world.dispatcher.enable(&id("a")).await.unwrap();
    assert_eq!(next(&mut changes).await, a(EndpointState::Healthy));
    world.dispatcher.disable(&id("a")).await.unwrap();
    assert!(changes.next().await.unwrap().is_disabled_by(DisabledBy::Operator));
    world.add(Hook::new("b", receiver.clone()).unwrap().enabled(false)).await;
    assert_eq!(next(&mut changes).await, ("b".to_owned(), EndpointState::Disabled));
    world.dispatcher.remove(&id("a")).await.unwrap();
    assert!(is_quiet(&mut changes), "one that was removed is not named");
    drop(world);
    assert!(changes.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_latest_state_of_each_hook() {
    let (world, receiver) = (World::new(), Receiver::default());
    let mut changes = world.dispatcher.changes();
    for name in ["a", "b"] {
        world.add(Hook::new(name, receiver.clone()).unwrap()).await;
    }
    for _ in 0..100 {
        world.dispatcher.disable(&id("a")).await.unwrap();
        world.dispatcher.enable(&id("a")).await.unwrap();
    }
    world.dispatcher.disable(&id("b")).await.unwrap();
    assert_eq!(next(&mut changes).await, ("a".to_owned(), EndpointState::Healthy));
    // One that changes all the time hides no other.
    world.dispatcher.disable(&id("a")).await.unwrap();
    assert_eq!(next(&mut changes).await, ("b".to_owned(), EndpointState::Disabled));
    assert_eq!(next(&mut changes).await, ("a".to_owned(), EndpointState::Disabled));
    assert!(is_quiet(&mut changes));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_takes_no_change_with_it() {
    let (world, receiver) = (World::new(), Receiver::default());
    let mut changes = world.dispatcher.changes();
    for number in 0..50 {
        let name = format!("h{number}");
        // It waits, is woken, and is dropped before it looks.
        let mut waiting = Box::pin(changes.next());
        assert!(waiting.as_mut().now_or_never().is_none());
        world.add(Hook::new(&name, receiver.clone()).unwrap()).await;
        drop(waiting);
        assert_eq!(next(&mut changes).await, (name, EndpointState::Healthy));
    }
}
