//! One instance: what is published is read, in order, by position.

use hooks_core::{Bus, BusError, DeadLetter, DeadLetterReason, DropReason, Filter, HookId, Read, StartAt};

use super::{Server, bus, config, end, end_from, events, soon, until};
use crate::numbers;
use hooks_bus::NatsBus;

#[tokio::test]
async fn what_is_published_is_read_in_order() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut all = end(&bus, "all", Filter::all()).await;
    let mut some = end(&bus, "some", Filter::types(["b.*", "a.x"])).await;
    bus.publish(&events(0..5_000, "a.x")).await.unwrap();
    bus.publish(&events(5_000..5_010, "b.y")).await.unwrap();
    bus.publish(&events(5_010..5_020, "c")).await.unwrap();
    let read = all.take(5_020).await;
    assert_eq!(numbers(&read), (0..5_020).collect::<Vec<_>>());
    assert_eq!(read[0].envelope.json(), events(0..1, "a.x")[0].json());
    assert!(read.is_sorted_by_key(|delivery| delivery.position));
    assert_eq!(numbers(&some.take(5_010).await), (0..5_010).collect::<Vec<_>>());
    assert_eq!(bus.lag(&HookId::new("all").unwrap()).map(|lag| (lag.events, lag.exact)), Some((5_020, true)));
    all.done(&read);
    assert_eq!(bus.lag(&HookId::new("all").unwrap()).map(|lag| lag.events), Some(0));
    assert_eq!(bus.stats().accepted, 5_020);
    let details = bus.details();
    assert_eq!((&details["stream"], &details["connected"]), (&"hooks".into(), &true.into()));
    assert_eq!((&details["hooks"][0]["hook"], &details["hooks"][0]["owner"]), (&"all".into(), &bus.instance().into()));
}

#[tokio::test]
async fn a_restart_goes_on_at_the_position() {
    let Some(server) = Server::start().await else { return };
    let first = bus(&server).await;
    let mut before = end(&first, "a", Filter::all()).await;
    first.publish(&events(0..100, "a")).await.unwrap();
    let read = before.take(50).await;
    before.done(&read[..40]);
    before.done(&read[45..]);
    first.finish().await;
    drop(first);
    let second = bus(&server).await;
    let mut after = end(&second, "a", Filter::all()).await;
    let expected: Vec<_> = (40..45).chain(50..100).collect();
    assert_eq!(numbers(&after.take(55).await), expected);
    assert_eq!(second.known_hooks(), [HookId::new("a").unwrap()]);
}

#[tokio::test]
async fn where_a_new_hook_begins() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    bus.publish(&events(0..3, "a")).await.unwrap();
    let mut late = end(&bus, "late", Filter::all()).await;
    let mut early = end_from(&bus, "early", Filter::all(), StartAt::Earliest).await;
    bus.publish(&events(3..5, "a")).await.unwrap();
    assert_eq!(numbers(&late.take(2).await), [3, 4]);
    assert_eq!(numbers(&early.take(5).await), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_closed_bus_is_read_to_its_end() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut all = end(&bus, "all", Filter::all()).await;
    let mut some = end(&bus, "some", Filter::types(["a"])).await;
    let mut none = end(&bus, "none", Filter::types(["z"])).await;
    let mut picky = end(&bus, "picky", Filter::all().subjects(["nobody"])).await;
    bus.publish(&events(0..700, "a")).await.unwrap();
    bus.publish(&events(700..800, "b")).await.unwrap();
    bus.close().await;
    assert!(matches!(bus.publish(&events(0..1, "a")).await, Err(BusError::Closed)));
    for (end, count) in [(&mut all, 800), (&mut some, 700), (&mut none, 0), (&mut picky, 0)] {
        let read = end.take(count).await;
        end.done(&read);
        let mut more = Vec::new();
        assert_eq!(soon("the end", end.reader.next(10, &mut more)).await.unwrap(), Read::Dry);
        assert!(more.is_empty());
    }
}

#[tokio::test]
async fn published_twice_is_taken_once() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut all = end(&bus, "all", Filter::all()).await;
    bus.publish(&events(0..10, "a")).await.unwrap();
    bus.publish(&events(5..15, "a")).await.unwrap();
    assert_eq!(numbers(&all.take(15).await), (0..15).collect::<Vec<_>>());
    assert_eq!((bus.stats().accepted, bus.stats().duplicates), (20, Some(5)));
}

#[tokio::test]
async fn a_new_filter_holds_for_what_was_not_read() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = end(&bus, "hook", Filter::types(["a"])).await;
    bus.publish(&events(0..10, "a")).await.unwrap();
    bus.publish(&events(10..20, "b")).await.unwrap();
    assert_eq!(hook.take(4).await.len(), 4);
    let subscription = crate::subscription("hook", Filter::types(["b"]), Default::default(), &hook.ledger);
    hook.reader.reconfigure(subscription);
    assert_eq!(numbers(&hook.take(10).await), (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_idle_hook_moves_along() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut idle = end(&bus, "idle", Filter::types(["z"])).await;
    bus.publish(&events(0..30_000, "a")).await.unwrap();
    let id = HookId::new("idle").unwrap();
    let reading = async {
        let mut none = Vec::new();
        let _ = idle.reader.next(1, &mut none).await;
    };
    let moved = until("no lag", || bus.lag(&id).is_some_and(|lag| lag.events == 0 && lag.exact));
    let written = async {
        let bucket = server.client().await.get_key_value("hooks-hooks").await.unwrap();
        let position = async || String::from_utf8(bucket.get("hook.idle").await.unwrap().unwrap().to_vec()).unwrap();
        while !position().await.contains(r#""position":30000"#) {
            super::server::pause().await;
        }
    };
    tokio::select! {
        () = reading => panic!("an event"),
        () = async { moved.await; soon("the position", written).await } => {}
    }
}

fn letter(at: usize) -> DeadLetter {
    DeadLetter {
        position: hooks_core::Position(at as u64),
        envelope: events(at..at + 1, "a").remove(0),
        reason: DeadLetterReason::Refused,
        detail: "no\r\n\"é\"".to_owned(),
        attempts: 3,
        first_attempt: std::time::SystemTime::UNIX_EPOCH,
        last_attempt: std::time::SystemTime::now(),
    }
}

#[tokio::test]
async fn dead_letters() {
    let Some(server) = Server::start().await else { return };
    let mut config = config(&[&server]);
    config.max_dead_letters = 10;
    let bus = NatsBus::connect(config).await.unwrap();
    let (a, b) = (HookId::new("a.b").unwrap(), HookId::new("a").unwrap());
    let (mine, others) = (bus.dead_letters(&a).unwrap(), bus.dead_letters(&b).unwrap());
    mine.keep((1..=8).map(letter).collect()).await.unwrap();
    others.keep(vec![letter(1)]).await.unwrap();
    mine.keep(vec![letter(3)]).await.unwrap();
    let listed = mine.list(None, 100).await.unwrap();
    let numbers: Vec<_> = listed.iter().map(|(_, letter)| letter.position.0).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 6, 7, 8, 3]);
    let (kept, expected) = (&listed[0].1, letter(1));
    assert_eq!((&kept.detail, kept.attempts, kept.first_attempt), (&expected.detail, 3, expected.first_attempt));
    assert_eq!(kept.envelope.json(), expected.envelope.json());
    let rest = mine.list(Some(listed[5].0), 1).await.unwrap();
    assert_eq!(rest.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [listed[6].0]);
    assert!(matches!(mine.keep((20..23).map(letter).collect()).await, Err(BusError::Full(_))));
    let of_another = others.list(None, 1).await.unwrap()[0].0;
    assert_eq!(mine.remove(&[listed[0].0, listed[1].0, listed[0].0, of_another]).await.unwrap(), 2);
    assert_eq!((mine.count(), others.count()), (6, 1));
    mine.keep((20..23).map(letter).collect()).await.unwrap();
    assert_eq!(mine.count(), 9);
    assert!(bus.forget(&a).await.unwrap());
    assert_eq!((mine.list(None, 9).await.unwrap().len(), others.count()), (0, 1));
}

#[tokio::test]
async fn notes_last() {
    let Some(server) = Server::start().await else { return };
    let id = HookId::new("a.b").unwrap();
    let first = bus(&server).await;
    first.note(&id, Some("disabled".into())).await.unwrap();
    assert_eq!(first.noted(&id).as_deref(), Some("disabled"));
    let second = bus(&server).await;
    until("the note", || second.noted(&id).is_some()).await;
    second.note(&id, None).await.unwrap();
    until("no note", || first.noted(&id).is_none()).await;
}

#[tokio::test]
async fn what_is_no_event_is_counted() {
    let Some(server) = Server::start().await else { return };
    let bus = bus(&server).await;
    let mut hook = end(&bus, "hook", Filter::all()).await;
    server.client().await.publish("hooks.events.junk", "junk".into()).await.unwrap().await.unwrap();
    bus.publish(&events(0..1, "a")).await.unwrap();
    let read = hook.take(1).await;
    hook.done(&read);
    assert_eq!(hook.ledger.counts().dropped_for(DropReason::Unreadable), 1);
}
