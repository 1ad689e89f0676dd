//! A schema that an older program made.

use hooks_bus::{POSTGRES_SCHEMA, PostgresBus, PostgresConfig};
use hooks_core::Bus as _;
use hooks_test::{End, events, soon, until};

use super::{Server, bus, client, config, publish};

#[tokio::test]
async fn an_older_schema_is_brought_to_this_version_with_what_is_in_it() {
    let Some(server) = Server::start() else { return };
    let client = client(&server).await;
    client.batch_execute(include_str!("../../fixtures/postgres-v1.sql")).await.unwrap();
    let last = "SELECT hooks.last_position()";
    let before: usize = server.psql("postgres", last).parse().unwrap();
    publish(&client, 2).await;
    client.batch_execute("BEGIN").await.unwrap();
    publish(&client, 3).await;
    let checked = PostgresConfig { create: false, ..config(&server, "postgres") };
    let refused = soon("an answer", PostgresBus::connect(checked.clone())).await.unwrap_err().to_string();
    assert!(refused.contains("has version 1, and this program needs 2"), "{refused}");
    // Whoever publishes is waited for.
    let connecting = tokio::spawn(PostgresBus::connect(config(&server, "postgres")));
    client.batch_execute("COMMIT").await.unwrap();
    let bus = soon("connecting", connecting).await.unwrap().unwrap();
    publish(&client, 4).await;
    bus.publish(events(5..6)).await.unwrap();
    until("they have positions", || server.psql("postgres", last) == (before + 4).to_string()).await;
    let ids =
        format!("SELECT string_agg(event->>'id', ' ' ORDER BY position) FROM hooks.log WHERE position > {before}");
    assert_eq!(server.psql("postgres", &ids), "2 3 4 5");
    drop(soon("connecting", PostgresBus::connect(checked)).await.unwrap());
}

#[tokio::test]
async fn the_schema_can_be_run_again() {
    let Some(server) = Server::start() else { return };
    let (first, client) = (bus(&server).await, client(&server).await);
    first.publish(events(0..3)).await.unwrap();
    client.batch_execute(&format!("BEGIN; {POSTGRES_SCHEMA}; COMMIT")).await.unwrap();
    assert_eq!(first.publish(events(0..4)).await.unwrap().duplicates, 3);
    assert_eq!(End::earliest(&first, "a").await.read_to(3, 9).await, [0, 1, 2, 3]);
    client.batch_execute("UPDATE hooks.meta SET version = 3").await.unwrap();
    let refused = client.batch_execute(POSTGRES_SCHEMA).await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("newer version"), "{refused}");
}

#[tokio::test]
async fn the_schema_of_another_program_is_left_as_it_is() {
    let Some(server) = Server::start() else { return };
    let client = client(&server).await;
    for theirs in ["log (line text)", "meta (key text, value text)", "meta (version text, log text)"] {
        let made = format!("DROP SCHEMA IF EXISTS hooks CASCADE; CREATE SCHEMA hooks; CREATE TABLE hooks.{theirs}");
        client.batch_execute(&made).await.unwrap();
        let refused =
            soon("an answer", PostgresBus::connect(config(&server, "postgres"))).await.unwrap_err().to_string();
        assert!(refused.contains("is of another program: give the bus a database of its own"), "{theirs}: {refused}");
        let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'hooks'::regnamespace AND relkind = 'r'";
        assert_eq!(server.psql("postgres", tables), "1", "{theirs}");
    }
    // One that is empty was made for it.
    client.batch_execute("DROP SCHEMA hooks CASCADE; CREATE SCHEMA hooks").await.unwrap();
    bus(&server).await.publish(events(0..1)).await.unwrap();
}

/// What a role makes is its own, so another one than the owner would shut the owner out.
#[tokio::test]
async fn the_owner_alone_brings_a_schema_to_this_version_and_needs_no_right_to_the_database() {
    let Some(server) = Server::start() else { return };
    let client = client(&server).await;
    client
        .batch_execute("CREATE ROLE bus LOGIN; GRANT CREATE ON DATABASE postgres TO bus; SET ROLE bus")
        .await
        .unwrap();
    client.batch_execute(&format!("BEGIN; {POSTGRES_SCHEMA}; COMMIT; RESET ROLE")).await.unwrap();
    client
        .batch_execute("REVOKE CREATE ON DATABASE postgres FROM bus; UPDATE hooks.meta SET version = 1")
        .await
        .unwrap();
    let refused = client.batch_execute(&format!("BEGIN; {POSTGRES_SCHEMA}; COMMIT")).await.unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().hint(), Some("Run this as the role that owns it: SET ROLE bus"));
    client.batch_execute("ROLLBACK").await.unwrap();
    let bus = PostgresBus::connect(PostgresConfig { user: "bus".to_owned(), ..config(&server, "postgres") });
    let bus = soon("connecting", bus).await.unwrap();
    bus.publish(events(0..1)).await.unwrap();
    assert_eq!(End::earliest(&bus, "a").await.read_to(0, 9).await, [0]);
}
