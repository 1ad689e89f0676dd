//! Events that take long to check or to move: the server gives up what takes longer than its time limit.

use hooks_core::{Bus as _, Filter};
use hooks_test::{End, until};

use super::{Server, bus, client, publish};

/// All of them together take longer than the time limit, and so does the one of this number alone.
#[tokio::test]
async fn rows_that_take_long_to_check_come_step_by_step_and_one_that_takes_too_long_is_set_aside() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let slow = "CREATE OR REPLACE FUNCTION hooks.is_time(value text) RETURNS boolean LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(CASE WHEN value LIKE '%59Z' THEN 3600 ELSE 0.06 END); RETURN true; END $$";
    server.psql("postgres", slow);
    let rows = "INSERT INTO hooks.outbox (event) SELECT format('{\"type\":\"a\",\"id\":\"%s\",\"time\":\"2026-11-27T10:00:%sZ\"}', n, \
         CASE WHEN n = 3 THEN 59 ELSE 10 END)::json FROM generate_series(0, 349) AS n";
    server.psql("postgres", rows);
    publish(&client(&server).await, 350).await;
    assert_eq!(hook.read_to(2, 9).await, [0, 1, 2]);
    until("it is set aside", || server.psql("postgres", "SELECT count(*) FROM hooks.refused") == "1").await;
    assert_eq!(hook.read_to(350, 100).await, (4..351).collect::<Vec<_>>());
    let said = server.psql("postgres", "SELECT event->>'id', why FROM hooks.refused");
    assert_eq!(said, "3|the event takes too long to check");
    until("it is counted", || bus.monitor().details()["refused_events"] == 1).await;
}

/// Whatever makes the server slow.
#[tokio::test]
async fn events_that_the_server_is_slow_to_move_come_step_by_step() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let slow = "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(0.04); RETURN NEW; END $$; \
         CREATE TRIGGER wait BEFORE INSERT ON hooks.log FOR EACH ROW EXECUTE FUNCTION public.wait()";
    server.psql("postgres", slow);
    let rows = "SELECT count(hooks.publish(format('{\"type\":\"a\",\"id\":\"%s\"}', n)::json)) FROM generate_series(0, 519) AS n";
    server.psql("postgres", rows);
    let read = hook.take(200).await;
    assert_eq!(hooks_test::numbers(&read), (0..200).collect::<Vec<_>>());
    hook.settle(&read);
    assert_eq!(hook.read_to(519, 1_000).await, (200..520).collect::<Vec<_>>());
}
