//! The server comes back with less than it had: it lost what it had not synced, or an older copy was restored.

use hooks_bus::NatsBus;
use hooks_core::{Bus, Filter, bus::Instances as _};
use hooks_test::{End, until};

use super::{Server, bus, each_once, events};

/// Where a server keeps the stream of events.
const EVENTS: &str = "jetstream/$G/streams/hooks";

async fn publish(bus: &NatsBus, range: std::ops::Range<usize>) {
    super::publish(bus, events(range, "a")).await;
}

/// Reads no further than to the last number; returns what came, each once.
async fn read_to(hook: &mut End, last: usize) -> Vec<usize> {
    each_once(hook.read_to(last, 1).await)
}

async fn written(bus: &NatsBus, position: u64) {
    let id = hooks_core::HookId::new("hook").unwrap();
    until("the position", || bus.place(&id).is_some_and(|place| place.position == position)).await;
}

#[tokio::test]
async fn hooks_go_on_with_what_is_accepted_next() {
    let Some(mut server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    let mut lagging = End::new(&bus, "lagging", Filter::types(["a"])).await;
    publish(&bus, 0..20).await;
    read_to(&mut hook, 19).await;
    written(&bus, 20).await;
    let kept = server.keep_store().await;
    publish(&bus, 20..60).await;
    read_to(&mut hook, 59).await;
    read_to(&mut lagging, 29).await;
    server.restore(&kept, "").await;
    publish(&bus, 60..90).await;
    assert_eq!(read_to(&mut hook, 89).await, (60..90).collect::<Vec<_>>());
    let read = read_to(&mut lagging, 89).await;
    assert!(read.ends_with(&(60..90).collect::<Vec<_>>()), "{read:?}");
    // The positions are written, although the bucket went back, too.
    written(&bus, 50).await;
    until("the end of it", || bus.monitor().health().trouble().is_none()).await;
}

#[tokio::test]
async fn so_does_who_begins_afterwards() {
    let Some(mut server) = Server::start().await else { return };
    let first = bus(&server).await;
    let mut hook = End::new(&first, "hook", Filter::all()).await;
    publish(&first, 0..20).await;
    read_to(&mut hook, 19).await;
    let kept = server.keep_store().await;
    publish(&first, 20..40).await;
    read_to(&mut hook, 39).await;
    written(&first, 40).await;
    first.finish().await;
    drop((hook, first));
    server.restore(&kept, EVENTS).await;
    let second = bus(&server).await;
    let mut hook = End::new(&second, "hook", Filter::all()).await;
    until("an owner", || second.owned().len() == 1).await;
    publish(&second, 40..50).await;
    assert_eq!(read_to(&mut hook, 49).await, (40..50).collect::<Vec<_>>());
}
