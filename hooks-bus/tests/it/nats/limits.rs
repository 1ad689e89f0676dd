//! Full streams, large events, purges, deleted consumers and outages.

use std::time::Duration;

use futures_util::StreamExt as _;
use hooks_bus::NatsBus;
use hooks_core::{Bus, BusError, ByteSize, DropReason, Filter, HumanDuration};
use hooks_test::{End, numbers, pause, soon, until};

use super::{Server, bus, config, events, publish};

#[tokio::test]
async fn a_full_stream_refuses() {
    let Some(server) = Server::start().await else { return };
    let mut config = config(&[&server]);
    config.max_bytes = Some(ByteSize::new(20_000));
    let bus = NatsBus::connect(config).await.unwrap();
    let mut number = 0;
    let error = loop {
        match bus.publish(events(number..number + 5, "a")).await {
            Ok(_) => number += 5,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BusError::Full(_)), "{error}");
    // Accepted events are there.
    let accepted = bus.monitor().stats().accepted as usize;
    let mut hook = End::earliest(&bus, "hook").await;
    assert!(accepted > 10);
    assert_eq!(hook.take(accepted).await.len(), accepted);
}

#[tokio::test]
async fn a_large_event_is_read_and_a_larger_refused() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    let large = |bytes| crate::slice(0..1, bytes)[0].clone();
    let small = events(1..3, "a");
    bus.publish(hooks_test::together(&[small[0].clone(), large(900_000), small[1].clone()])).await.unwrap();
    assert_eq!(numbers(&hook.take(3).await), [1, 0, 2]);
    let error = bus.publish(large((1 << 20) - 120).into()).await.unwrap_err();
    assert!(matches!(error, BusError::TooLarge(_)), "{error}");
}

#[tokio::test]
async fn a_deleted_consumer_is_made_again() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    bus.publish(events(0..5, "a")).await.unwrap();
    assert_eq!(hook.take(5).await.len(), 5);
    let stream = server.client().await.get_stream("hooks").await.unwrap();
    let mut names = stream.consumer_names();
    while let Some(name) = names.next().await {
        stream.delete_consumer(&name.unwrap()).await.unwrap();
    }
    bus.publish(events(5..10, "a")).await.unwrap();
    assert_eq!(numbers(&hook.take(5).await), [5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn what_was_purged_is_counted() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut all = End::new(&bus, "all", Filter::all()).await;
    let mut some = End::new(&bus, "some", Filter::types(["a"])).await;
    bus.publish(events(0..20, "a")).await.unwrap();
    bus.publish(events(20..40, "b")).await.unwrap();
    for hook in [&mut all, &mut some] {
        let read = hook.take(5).await;
        hook.settle(&read);
    }
    let stream = server.client().await.get_stream("hooks").await.unwrap();
    // What a request brought already is not gone, so the readers open new feeds.
    bus.finish().await;
    drop(bus);
    stream.purge().sequence(31).await.unwrap();
    let bus = super::bus(&server).await;
    let mut all = End::new(&bus, "all", Filter::all()).await;
    let mut some = End::new(&bus, "some", Filter::types(["a"])).await;
    bus.publish(events(40..45, "a")).await.unwrap();
    let read = all.take(15).await;
    assert_eq!(numbers(&read), (30..45).collect::<Vec<_>>());
    all.settle(&read);
    assert_eq!(all.ledger.counts().dropped_for(DropReason::Gone), 25);
    let read = some.take(5).await;
    some.settle(&read);
    // At most as many as there were, matching or not.
    assert_eq!(some.ledger.counts().dropped_for(DropReason::Gone), 25);
}

#[tokio::test]
async fn an_outage_refuses_at_once_and_ends() {
    let Some(mut server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    bus.publish(events(0..5, "a")).await.unwrap();
    let read = hook.take(5).await;
    hook.settle(&read[..3]);
    server.kill();
    let mut error = None;
    until("the outage", || {
        // The client notices within a moment; until then events are on their way.
        futures_util::FutureExt::now_or_never(bus.publish(events(5..6, "a"))).is_some_and(|result| {
            error = result.err();
            error.is_some()
        })
    })
    .await;
    assert!(matches!(&error, Some(BusError::Unavailable(text)) if text.contains("not connected")), "{error:?}");
    server.run();
    server.ready().await;
    publish(&bus, events(5..10, "a")).await;
    // The lease may have run out; then events in flight come again.
    let mut read = Vec::new();
    soon("events", async {
        while read.len() < 5 || *numbers(&read).last().unwrap() < 9 {
            match hook.reader.next(10, &mut read).await {
                Ok(hooks_core::bus::Read::Lost) => hook.ledger.hand_over(hook.ledger.counts().in_flight as usize),
                Ok(_) => {}
                Err(_) => pause().await,
            }
        }
    })
    .await;
    let numbers = numbers(&read);
    assert!(numbers == [5, 6, 7, 8, 9] || numbers == [3, 4, 5, 6, 7, 8, 9], "{numbers:?}");
}

#[tokio::test]
async fn what_is_there_is_checked_and_not_changed() {
    let Some(server) = Server::start().await else { return };
    drop(bus(&server).await);
    let mut other = config(&[&server]);
    other.max_bytes = Some(ByteSize::new(1 << 20));
    other.max_age = Some(HumanDuration::new(Duration::from_secs(3600)));
    let error = NatsBus::connect(other).await.unwrap_err().to_string();
    assert!(error.contains("max_bytes is 67108864, set is 1048576") && error.contains("max_age"), "{error}");
    let stream = server.client().await.get_stream("hooks").await.unwrap();
    assert_eq!(stream.cached_info().config.max_bytes, 64 << 20);
    let mut strange = config(&[&server]);
    strange.name = "mine".into();
    strange.create = false;
    let error = NatsBus::connect(strange).await.unwrap_err().to_string();
    assert!(error.contains("no stream `mine`"), "{error}");
}

#[tokio::test]
async fn more_than_the_server_has_is_explained() {
    let Some(server) = Server::start().await else { return };
    let mut config = config(&[&server]);
    config.max_bytes = Some(ByteSize::new(1 << 60));
    let error = NatsBus::connect(config).await.unwrap_err().to_string();
    assert!(error.contains("reserves `max_bytes`"), "{error}");
}
