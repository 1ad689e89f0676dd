//! What applications publish, in SQL.

use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::{Bus, Filter, HumanDuration};
use hooks_test::{End, soon, until};

use super::{Server, bus, client, config, publish};

#[tokio::test]
async fn what_is_rolled_back_was_never_published() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    client.batch_execute("BEGIN").await.unwrap();
    publish(&client, 1).await;
    client.batch_execute("ROLLBACK; BEGIN").await.unwrap();
    publish(&client, 2).await;
    client.batch_execute("SAVEPOINT s").await.unwrap();
    publish(&client, 3).await;
    client.batch_execute("ROLLBACK TO s").await.unwrap();
    publish(&client, 4).await;
    client.batch_execute("COMMIT").await.unwrap();
    publish(&client, 5).await;
    assert_eq!(hook.read_to(5, 9).await, [2, 4, 5]);
}

#[tokio::test]
async fn an_event_is_completed_once_and_kept_as_it_came() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let whole = r#"{ "data" : {"é": 1.50, "b":[ ]}, "specversion":"1.0","id":"1","source":"/s","type":"a","time":"2026-11-27T10:00:00Z"}"#;
    server.psql("postgres", &format!("SELECT hooks.publish('{whole}')"));
    let parts = "'a', '{\"x\": 1}', subject => 's', source => '/s', id => '2', attributes => '{\"region\":\"eu\"}'";
    assert_eq!(server.psql("postgres", &format!("SELECT hooks.publish_event({parts})")), "2");
    server.psql("postgres", r#"INSERT INTO hooks.outbox (event) VALUES ('{"type":"a"}')"#);
    let read = hook.take(3).await;
    assert_eq!(read[0].envelope().json(), whole);
    let second = read[1].envelope();
    assert_eq!((second.subject(), second.source(), second.data()), (Some("s"), "/s", Some(r#"{"x": 1}"#)));
    assert_eq!(second.extension("region").as_deref(), Some("eu"));
    let third = read[2].envelope();
    assert_eq!((third.event_type(), third.source()), ("a", "/postgres/postgres"));
    drop(hook);
    let mut again = End::new(&bus, "a", Filter::all()).await;
    assert_eq!(again.take(3).await[2].envelope().id(), third.id(), "it has one id");
}

#[tokio::test]
async fn what_is_no_event_is_refused_or_set_aside_and_stops_nothing() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    let bad = [
        ("[1]", "an event is a JSON object with a \"type\""),
        (r#"{"id":"1"}"#, "the event has no \"type\""),
        (r#"{"type":7}"#, "the event's \"type\" has to be a text that is not empty"),
        (r#"{"type":"a","typ_o":1}"#, "the event has an attribute \"typ_o\": names are lower-case letters and digits"),
        (r#"{"type":"a","type":"b"}"#, "the event has \"type\" twice"),
        (r#"{"type":"a","time":"now"}"#, "the event's \"time\" is \"now\": write it as 2026-11-27T10:00:00Z"),
        (
            r#"{"type":"a","time":"2026-02-29T10:00:00Z"}"#,
            "the event's \"time\" is \"2026-02-29T10:00:00Z\": write it as 2026-11-27T10:00:00Z",
        ),
        (r#"{"type":"a","time":null}"#, "the event's \"time\" has to be a text that is not empty"),
        (r#"{"type":"a","datacontenttype":7}"#, "the event's \"datacontenttype\" has to be a text that is not empty"),
        (
            r#"{"type":"a","region":{"a":1}}"#,
            "the event's attribute \"region\" has to be a text, a number or a boolean",
        ),
        (r#"{"type":"a","subject":"\u0007"}"#, "the event's \"subject\" has control characters"),
        (
            r#"{"type":"a","data":null,"data_base64":""}"#,
            "the event has \"data\" and \"data_base64\": it can have one of them",
        ),
        (r#"{"type":"a","specversion":"2"}"#, "the event's \"specversion\" is \"2\": only \"1.0\" is known"),
        (
            r#"{"type":"hooks.a"}"#,
            "an event of type \"hooks.a\" can't be published: types that begin with \"hooks.\" are the dispatcher's own",
        ),
    ];
    for (event, why) in bad {
        let refused = client.execute("SELECT hooks.publish($1::text::json)", &[&event]).await.unwrap_err();
        assert_eq!(refused.as_db_error().unwrap().message(), why, "{event}");
        client.execute("INSERT INTO hooks.outbox (event) VALUES ($1::text::json)", &[&event]).await.unwrap();
    }
    publish(&client, 1).await;
    assert_eq!(hook.read_to(1, 9).await, [1]);
    let refused = client.query("SELECT event::text, why FROM hooks.refused ORDER BY id", &[]).await.unwrap();
    let refused: Vec<(&str, &str)> = refused.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(refused, bad);
    until("they are counted", || bus.monitor().details()["refused_events"] == 14).await;
}

/// Postgres has no memory of 1 GiB in a piece, and some functions take eight bytes for each character.
#[tokio::test]
async fn an_event_that_is_too_long_is_set_aside_and_stops_nothing() {
    let Some(server) = Server::start() else { return };
    // Reading 64 MiB takes seconds without optimisation, on the thread of the heartbeats.
    let lease = HumanDuration::new(Duration::from_secs(60));
    let config = PostgresConfig { lease, ..config(&server, "postgres") };
    let bus = soon("connecting", PostgresBus::connect(config)).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    let of = |bytes: usize| format!("SELECT json_build_object('type', 'a', 'subject', repeat('x', {}))", bytes - 30);
    client.batch_execute(&format!("INSERT INTO hooks.outbox (event) {}", of(140_000_000))).await.unwrap();
    publish(&client, 1).await;
    assert_eq!(hook.read_to(1, 9).await, [1]);
    let why = "the event has 140000000 bytes: it may have 64 MiB";
    assert_eq!(server.psql("postgres", "SELECT why FROM hooks.refused"), why);
    let most = 64 << 20;
    let refused = client.batch_execute(&format!("SELECT hooks.publish(({}))", of(most + 1))).await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().ends_with("it may have 64 MiB"), "{refused}");
    client.batch_execute(&format!("INSERT INTO hooks.outbox (event) {}", of(most))).await.unwrap();
    assert_eq!(hook.take(1).await[0].envelope().subject().unwrap().len(), most - 30);
}

/// Whatever of it Postgres can't do.
#[tokio::test]
async fn an_event_that_cannot_be_checked_is_set_aside_and_stops_nothing() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    let fails = "CREATE OR REPLACE FUNCTION hooks.is_time(value text) RETURNS boolean LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION '%', repeat(value, 1000) USING ERRCODE = value; END $$";
    client.batch_execute(fails).await.unwrap();
    for code in ["XX000", "54001"] {
        let event = format!(r#"{{"type":"a","time":"{code}"}}"#);
        client.execute("INSERT INTO hooks.outbox (event) VALUES ($1::text::json)", &[&event]).await.unwrap();
    }
    publish(&client, 1).await;
    assert_eq!(hook.read_to(1, 9).await, [1]);
    let said = "SELECT string_agg(left(why, 5) || length(why), ' ' ORDER BY id) FROM hooks.refused";
    assert_eq!(server.psql("postgres", said), "XX0001000 540011000", "the beginning of why");
}

/// A role that may publish, and nothing else.
#[tokio::test]
async fn a_publisher_needs_two_rights() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    let made = "CREATE ROLE shop; GRANT USAGE ON SCHEMA hooks TO shop; SET ROLE shop";
    client.batch_execute(made).await.unwrap();
    publish(&client, 1).await;
    for forbidden in
        ["SELECT FROM hooks.log", "INSERT INTO hooks.outbox (event) VALUES ('{}')", "SELECT hooks.last_position()"]
    {
        let refused = client.batch_execute(forbidden).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{forbidden}");
    }
    client.batch_execute("RESET ROLE; GRANT INSERT (event) ON hooks.outbox TO shop; SET ROLE shop").await.unwrap();
    client.batch_execute(r#"INSERT INTO hooks.outbox (event) VALUES ('{"type":"a","id":"2"}')"#).await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [1, 2]);
}

/// Types of one's own, by the names of those that the functions of the schema use, change nothing of what these do.
#[tokio::test]
async fn a_publisher_runs_nothing_with_the_rights_of_the_owner() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let client = client(&server).await;
    let evil = "CREATE ROLE shop; GRANT USAGE ON SCHEMA hooks TO shop; GRANT INSERT (event) ON hooks.outbox TO shop; SET ROLE shop;
        CREATE FUNCTION pg_temp.evil(given anyelement) RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'runs as %', current_user; END $$;
        CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.evil(VALUE));
        CREATE DOMAIN pg_temp.json AS pg_catalog.json CHECK (pg_temp.evil(VALUE));
        CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.evil(VALUE));
        CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid CHECK (pg_temp.evil(VALUE));
        CREATE DOMAIN pg_temp.bool AS pg_catalog.bool CHECK (pg_temp.evil(VALUE));
        CREATE DOMAIN pg_temp.int4 AS pg_catalog.int4 CHECK (pg_temp.evil(VALUE));
        CREATE DOMAIN pg_temp.int8 AS pg_catalog.int8 CHECK (pg_temp.evil(VALUE));
        CREATE TYPE pg_temp.record AS (is_full pg_temp.bool, is_awake pg_temp.bool)";
    client.batch_execute(evil).await.unwrap();
    for event in [
        r#"SELECT hooks.publish('{"type":"a","id":"1"}')"#,
        r#"SELECT hooks.publish('{"type":"a","id":"2","count":7,"data":"\u00e9"}')"#,
        r#"INSERT INTO hooks.outbox (event) VALUES ('{"type":"a","id":"3"}')"#,
        "SELECT hooks.publish_event('a', id => '4')",
    ] {
        client.batch_execute(event).await.unwrap_or_else(|error| panic!("{event}: {:?}", error.as_db_error()));
    }
    assert_eq!(hook.read_to(4, 9).await, [1, 2, 3, 4]);
}

/// Only the reader can tell: a name that is written with an escape.
#[tokio::test]
async fn what_only_the_reader_can_tell_is_set_aside_once_whoever_reads_it() {
    let Some(server) = Server::start() else { return };
    let (bus, other) = (bus(&server).await, bus(&server).await);
    let mut hooks = [
        End::new(&bus, "a", Filter::all()).await,
        End::new(&bus, "b", Filter::all()).await,
        End::new(&other, "c", Filter::all()).await,
    ];
    let client = client(&server).await;
    client.batch_execute(r#"SELECT hooks.publish('{"type":"a","\u0072egion":"eu"}')"#).await.unwrap();
    publish(&client, 1).await;
    for hook in &mut hooks {
        assert_eq!(hook.read_to(1, 9).await, [1]);
        assert_eq!(hook.ledger.counts().taken, 1);
    }
    let refused = client.query("SELECT position, why FROM hooks.refused", &[]).await.unwrap();
    assert_eq!(refused.len(), 1);
    let (position, why): (i64, &str) = (refused[0].get(0), refused[0].get(1));
    assert_eq!(position, 1);
    assert!(why.contains("no legal extension name"), "{why}");
    until("it is counted", || other.monitor().details()["refused_events"] == 1).await;
}

/// A new hook begins behind all that is committed, of which there may be much, and of which others wait for their part.
#[tokio::test]
async fn many_rows_get_their_positions_step_by_step() {
    let Some(server) = Server::start() else { return };
    drop(bus(&server).await);
    server.psql("postgres", "UPDATE hooks.sequencer SET leader = 'another', until = now() + interval '1 hour'");
    let bus = bus(&server).await;
    let rows = "INSERT INTO hooks.outbox (event) SELECT '{\"type\":\"a\"}' FROM generate_series(1, 5000)";
    server.psql("postgres", rows);
    let _hook = End::new(&bus, "a", Filter::all()).await;
    assert_eq!(server.psql("postgres", "SELECT position FROM hooks.cursors"), "5000");
    let steps = "SELECT count(*), count(DISTINCT xmin::text) >= 5 FROM hooks.log";
    assert_eq!(server.psql("postgres", steps), "5000|t");
}
