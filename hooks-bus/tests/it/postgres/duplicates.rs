//! Events that are published again.

use std::time::Duration;

use hooks_bus::PostgresConfig;
use hooks_core::{Bus as _, Envelope, Filter, SliceBuilder, bus::Published};
use hooks_test::{End, events, soon, until};

use super::{Server, bus, client, config, publish};

fn published(events: usize, duplicates: usize) -> Published {
    Published::new(events).duplicates(duplicates)
}

/// The outbox has been emptied.
async fn moved(server: &Server) {
    until("all have been looked at", || server.psql("postgres", "SELECT count(*) FROM hooks.outbox") == "0").await;
}

#[tokio::test]
async fn an_event_is_taken_once_whoever_publishes_it_and_how() {
    let Some(server) = Server::start() else { return };
    let (one, other) = (bus(&server).await, bus(&server).await);
    let mut hook = End::new(&one, "a", Filter::all()).await;
    let mut client = client(&server).await;
    assert_eq!(one.publish(events(0..5)).await.unwrap(), published(5, 0));
    assert_eq!(other.publish(events(0..6)).await.unwrap(), published(6, 5));
    let transaction = client.transaction().await.unwrap();
    hooks_bus::postgres::outbox::publish(&transaction, &events(4..8)).await.unwrap();
    transaction.commit().await.unwrap();
    moved(&server).await;
    assert_eq!(one.publish(events(7..9)).await.unwrap(), published(2, 1));
    // The same event, as a row that nobody has checked.
    let row = "INSERT INTO hooks.outbox (event) SELECT json_build_object('type', 'test.event', 'source', event->>'source', 'id', n::text) \
         FROM hooks.log, generate_series(8, 9) AS n WHERE position = 1";
    client.batch_execute(row).await.unwrap();
    client.batch_execute(row).await.unwrap();
    moved(&server).await;
    one.publish(events(10..11)).await.unwrap();
    assert_eq!(hook.read_to(10, 99).await, (0..11).collect::<Vec<_>>());
    let counts = |bus: &hooks_bus::PostgresBus| (bus.monitor().stats().accepted, bus.monitor().stats().duplicates);
    assert_eq!((counts(&one), counts(&other)), ((8, Some(1)), (6, Some(5))));
    // 4 and 5 of the transaction; 8, and of the second call 8 and 9.
    until("they are counted", || other.monitor().details()["repeated_events"] == 5).await;
    drop((one, other, hook));
    let later = bus(&server).await;
    assert_eq!(later.publish(events(0..12)).await.unwrap(), published(12, 11), "also after a restart");
}

#[tokio::test]
async fn what_was_rolled_back_or_has_no_id_of_its_own_is_new() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    client.batch_execute("BEGIN").await.unwrap();
    publish(&client, 1).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    publish(&client, 1).await;
    publish(&client, 1).await;
    client.batch_execute(r#"SELECT hooks.publish('{"type":"a"}') FROM generate_series(1, 3)"#).await.unwrap();
    let other = r#"SELECT hooks.publish('{"type":"a","id":"1","tenant":"t"}'), hooks.publish('{"type":"a","id":"1","source":"/s"}')"#;
    client.batch_execute(other).await.unwrap();
    publish(&client, 2).await;
    let ids: Vec<String> = hook.take(7).await.iter().map(|read| read.envelope().id().to_owned()).collect();
    assert_eq!((ids[0].as_str(), ids[4].as_str(), ids[5].as_str(), ids[6].as_str()), ("1", "1", "1", "2"), "{ids:?}");
}

/// Calls of several instances at a time, each of which has all of them.
#[tokio::test]
async fn of_those_that_publish_one_event_at_a_time_one_is_first() {
    let Some(server) = Server::start() else { return };
    let buses = [bus(&server).await, bus(&server).await, bus(&server).await];
    let mut hook = End::new(&buses[0], "a", Filter::all()).await;
    let mut calls = tokio::task::JoinSet::new();
    for call in 0..12 {
        let bus = buses[call % 3].clone();
        calls.spawn(async move { bus.publish(events(0..100)).await.unwrap().duplicates });
    }
    let known: usize = soon("all have an answer", calls.join_all()).await.iter().sum();
    assert_eq!(known, 11 * 100);
    buses[0].publish(events(100..101)).await.unwrap();
    let mut read = hook.read_to(100, 2_000).await;
    read.sort_unstable();
    assert_eq!(read, (0..101).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_is_known_within_the_window_and_no_longer() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let older = |by: &str| server.psql("postgres", &format!("UPDATE hooks.names SET at = at - interval '{by}'"));
    bus.publish(events(0..3)).await.unwrap();
    older("60 s");
    assert_eq!(bus.publish(events(0..3)).await.unwrap(), published(3, 3));
    older("70 s");
    assert_eq!(bus.publish(events(0..3)).await.unwrap(), published(3, 0));
    server.psql("postgres", "SELECT hooks.turn_names(120, 2)");
    assert_eq!(bus.publish(events(0..3)).await.unwrap(), published(3, 3), "of the older generation");
    older("130 s");
    assert_eq!(bus.publish(events(0..3)).await.unwrap(), published(3, 0));
    let off = PostgresConfig { duplicate_window: Default::default(), ..config(&server, "postgres") };
    let off = soon("connecting", hooks_bus::PostgresBus::connect(off)).await.unwrap();
    assert_eq!(off.publish(events(0..3)).await.unwrap(), published(3, 0));
    assert_eq!(off.monitor().stats().duplicates, None);
}

/// Names beyond `duplicate_ids` give way, the oldest first, and that shows.
#[tokio::test]
async fn names_take_a_bounded_room() {
    let Some(server) = Server::start() else { return };
    let few = PostgresConfig { duplicate_ids: 2_000, ..config(&server, "postgres") };
    let bus = soon("connecting", hooks_bus::PostgresBus::connect(few)).await.unwrap();
    assert_eq!(bus.monitor().stats().duplicate_window, Some(Duration::from_secs(120)));
    for round in 0..20 {
        bus.publish(events(1_000 * round..1_000 * (round + 1))).await.unwrap();
        server.psql("postgres", "SELECT hooks.turn_names(120, 2000)");
        assert!(server.psql("postgres", "SELECT count(*) FROM hooks.names").parse::<usize>().unwrap() <= 2_000);
    }
    assert_eq!(bus.publish(events(19_000..20_000)).await.unwrap(), published(1_000, 1_000));
    assert_eq!(bus.publish(events(0..1_000)).await.unwrap(), published(1_000, 0));
    let size = "SELECT sum(pg_total_relation_size(relid)) < 2000000 FROM pg_partition_tree('hooks.names')";
    assert_eq!(server.psql("postgres", size), "t");
    until("it shows", || bus.monitor().stats().duplicate_window < Some(Duration::from_secs(120))).await;
}

/// A backup reads the names for long.
#[tokio::test]
async fn names_are_forgotten_though_somebody_reads_them() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    bus.publish(events(0..10)).await.unwrap();
    let reading = client(&server).await;
    reading.batch_execute("BEGIN; SELECT FROM hooks.names").await.unwrap();
    let turn = "UPDATE hooks.sequencer SET generation_began = generation_began - interval '1 hour'; SELECT hooks.turn_names(120, 2000)";
    server.psql("postgres", turn);
    server.psql("postgres", turn);
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM hooks.names"), "0");
    assert_eq!(bus.publish(events(0..10)).await.unwrap(), published(10, 0));
}

/// What is published in SQL and by the reader has one name, however the event is written, and another event has another.
#[tokio::test]
async fn an_odd_event_is_known_by_what_the_reader_sees() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    let odd = [
        r#"{"type":"a","source":"/s","id":"1"}"#,
        r#"{"type":"a","source":"/s","id":"1","tenant":7}"#,
        r#"{"type":"a","source":"/s","id":"1","tenant":8}"#,
        r#"{"type":"a","source":"/s","id":"1","tenant":true}"#,
        r#"{"type":"a","source":"/s","id":"a\\b","data":"\u00e9 \u0000 \ud800 \ud83d\ude00"}"#,
        r#"{"type":"a","source":"/s","id":"a/b"}"#,
        r#"{"type":"a","source":"/s","id":"\u00e9\\u0041"}"#,
        r#"{"type":"a","source":"/s","id":"\ud83d\ude00"}"#,
    ];
    for event in odd {
        client.execute("SELECT hooks.publish($1::text::json)", &[&event]).await.unwrap();
    }
    let read = hook.take(odd.len()).await;
    for (read, event) in read.iter().zip(odd) {
        let reader = Envelope::from_json(event.as_bytes()).unwrap();
        assert_eq!((read.envelope().id(), read.envelope().tenant()), (reader.id(), reader.tenant()), "{event}");
        // The id that is returned is the event's.
        let id: String = client.query_one("SELECT hooks.publish($1::text::json)", &[&event]).await.unwrap().get(0);
        assert_eq!(id, reader.id(), "{event}");
        let mut slice = SliceBuilder::new("/test");
        slice.push_json(event.as_bytes()).unwrap();
        assert_eq!(bus.publish(slice.finish()).await.unwrap(), published(1, 1), "{event}");
    }
}

/// Looking at an event takes no longer than it is long, whatever is in it: nobody else waits for it.
#[tokio::test]
async fn a_large_event_is_soon_looked_at_whatever_is_in_it() {
    let Some(server) = Server::start() else { return };
    drop(bus(&server).await);
    let client = client(&server).await;
    let ones = |count: usize| "1".repeat(count);
    let halves = format!(r#"{{"type":"a","data":"{}"}}"#, r"\udc00".repeat(100_000));
    let alike = format!(r#"{{"type":"a","x":{},"data":{}}}"#, ones(600_000), ones(300_000));
    // Each took minutes, where the work is the square of the length, and takes a part of a second.
    client.batch_execute("SET statement_timeout = '60s'").await.unwrap();
    for event in [halves, alike] {
        client.execute("SELECT hooks.publish($1::text::json)", &[&event]).await.unwrap();
    }
}
