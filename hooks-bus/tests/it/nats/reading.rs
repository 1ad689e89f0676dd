//! One instance: its details of the stream, idle hooks, and messages that are no events.

use hooks_core::{Bus, DropReason, Filter, HookId};
use hooks_test::{End, pause, soon, until};

use super::{Server, bus, events};

#[tokio::test]
async fn details_name_the_stream_and_the_owners_of_hooks() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut all = End::new(&bus, "all", Filter::all()).await;
    bus.publish(events(0..20, "a.x")).await.unwrap();
    let read = all.take(20).await;
    all.settle(&read);
    let details = bus.monitor().details();
    assert_eq!((&details["stream"], &details["connected"]), (&"hooks".into(), &true.into()));
    assert_eq!((&details["hooks"][0]["hook"], &details["hooks"][0]["owner"]), (&"all".into(), &bus.instance().into()));
}

#[tokio::test]
async fn an_idle_hook_moves_along() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut idle = End::new(&bus, "idle", Filter::types(["z"])).await;
    bus.publish(events(0..30_000, "a")).await.unwrap();
    let id = HookId::new("idle").unwrap();
    let reading = async {
        let mut none = Vec::new();
        let _ = idle.reader.next(1, &mut none).await;
    };
    let moved = until("no lag", || bus.monitor().lag(&id).is_some_and(|lag| lag.events == 0 && lag.exact));
    let written = async {
        let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
        let position = async || String::from_utf8(bucket.get("hook.idle").await.unwrap().unwrap().to_vec()).unwrap();
        while !position().await.contains(r#""position":30000"#) {
            pause().await;
        }
    };
    tokio::select! {
        () = reading => panic!("an event"),
        () = async { moved.await; soon("the position", written).await } => {}
    }
}

#[tokio::test]
async fn what_is_no_event_is_counted() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "hook", Filter::all()).await;
    server.client().await.publish("hooks.events.junk", "junk".into()).await.unwrap().await.unwrap();
    bus.publish(events(0..1, "a")).await.unwrap();
    let read = hook.take(1).await;
    hook.settle(&read);
    assert_eq!(hook.ledger.counts().dropped_for(DropReason::Unreadable), 1);
}
