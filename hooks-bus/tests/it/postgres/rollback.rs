//! The log goes back: a server takes over that lacks what another had.

use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::{Bus, Filter, HumanDuration};
use hooks_test::{End, events, pause, soon, until};

use super::{Server, bus, bus_of, client, config, publish};

/// What is published at the server that takes over gets positions that the other had given out, too.
async fn delivered_after_a_failover(has_grown_beyond: bool) {
    let Some(server) = Server::start() else { return };
    let before = bus(&server).await;
    let mut hook = End::new(&before, "a", Filter::all()).await;
    before.publish(events(0..5)).await.unwrap();
    assert_eq!(hook.read_to(4, 9).await, [0, 1, 2, 3, 4]);
    before.finish().await;
    drop((hook, before));
    let other = server.copy();
    let bus = bus_of([&server, &other]).await;
    let (mut old, mut new) = (End::new(&bus, "a", Filter::all()).await, End::new(&bus, "b", Filter::all()).await);
    bus.publish(events(5..20)).await.unwrap();
    assert_eq!(old.read_to(19, 9).await.last(), Some(&19));
    assert_eq!(new.read_to(19, 9).await.last(), Some(&19));
    let sequencer: Option<PostgresBus> = if has_grown_beyond { Some(super::bus(&other).await) } else { None };
    let count = if has_grown_beyond { 40 } else { 3 };
    let application = client(&other).await;
    for number in 20..20 + count {
        publish(&application, number).await;
    }
    if let Some(sequencer) = sequencer {
        let mut reader = End::earliest(&sequencer, "elsewhere").await;
        soon("all have positions", reader.take(5 + count)).await;
        sequencer.finish().await;
    }
    server.stop_at_once();
    let expected: Vec<usize> = (20..20 + count).collect();
    let last = 20 + count - 1;
    assert_eq!(old.read_to(last, 9).await, expected);
    assert_eq!(new.read_to(last, 9).await, expected, "its row was lost, too");
}

#[tokio::test]
async fn what_comes_in_the_place_of_lost_events_is_delivered() {
    delivered_after_a_failover(false).await;
}

#[tokio::test]
async fn what_comes_in_the_place_of_lost_events_is_delivered_though_the_log_has_grown_beyond() {
    delivered_after_a_failover(true).await;
}

#[tokio::test]
async fn a_server_that_commits_lazily_does_not_so_for_the_bus() {
    let Some(server) = Server::start() else { return };
    server.psql("postgres", "ALTER DATABASE postgres SET synchronous_commit = off");
    drop(bus(&server).await);
    let spy = "CREATE TABLE public.seen (value text); CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER INSERT ON hooks.outbox FOR EACH STATEMENT EXECUTE FUNCTION public.note()";
    server.psql("postgres", spy);
    for (default, used) in [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")] {
        server.psql("postgres", &format!("ALTER DATABASE postgres SET synchronous_commit = {default}"));
        bus(&server).await.publish(events(0..1)).await.unwrap();
        assert_eq!(server.psql("postgres", "DELETE FROM public.seen RETURNING value"), used, "{default}");
    }
}

/// Whatever was accepted is on it.
#[tokio::test]
async fn a_synchronous_standby_that_is_promoted_has_every_event() {
    let Some(server) = Server::start() else { return };
    drop(bus(&server).await);
    let standby = server.standby();
    server.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.psql("postgres", "SELECT pg_reload_conf()");
    let bus = bus_of([&server, &standby]).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let mut accepted = Vec::new();
    for number in 0..300 {
        if number == 150 {
            server.stop_at_once();
            standby.promote();
        }
        match bus.publish(events(number..number + 1)).await {
            Ok(_) => accepted.push(number),
            Err(_) => pause().await,
        }
    }
    soon("the last one is accepted", async {
        while bus.publish(events(300..301)).await.is_err() {
            pause().await;
        }
    })
    .await;
    let read = hook.read_to(300, 9).await;
    assert!(accepted.len() >= 150 && accepted.iter().all(|number| read.contains(number)), "{accepted:?} {read:?}");
}

/// While this instance was cut off, others went on, and what it had read last is gone with its partition.
#[tokio::test]
async fn a_log_that_has_dropped_what_was_read_last_did_not_go_back() {
    let Some(server) = Server::start() else { return };
    // It keeps its hook.
    let lease = HumanDuration::new(Duration::from_secs(300));
    let bus = PostgresBus::connect(PostgresConfig { lease, ..config(&server, "postgres") }).await.unwrap();
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(events(0..5)).await.unwrap();
    let read = hook.take(5).await;
    hook.settle(&read);
    until("it is settled", || server.psql("postgres", "SELECT position FROM hooks.cursors") == "5").await;
    let known = server.psql("postgres", "SELECT epoch FROM hooks.cursors");
    let past = server.psql("postgres", "SELECT max(past) FROM hooks.partitions");
    // All at once, so that the instance sees it when it connects again.
    server.psql(
        "postgres",
        &format!(
            "BEGIN; LOCK TABLE hooks.log, hooks.cursors; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'hooks %'; \
             SELECT hooks.make_partitions({past}, 1000); \
             INSERT INTO hooks.log SELECT {past}, clock_timestamp(), 21, '{{\"type\":\"a\",\"id\":\"5\"}}'; \
             UPDATE hooks.cursors SET position = {past} - 1; \
             DELETE FROM hooks.partitions WHERE past <= {past}; DROP TABLE hooks.log_1; COMMIT"
        ),
    );
    soon("publishing", async {
        while bus.publish(events(6..7)).await.is_err() {
            pause().await;
        }
    })
    .await;
    assert!(hook.read_to(6, 9).await.ends_with(&[6]));
    assert_eq!(server.psql("postgres", "SELECT epoch FROM hooks.cursors"), known);
}
