//! The outbox stays small, whatever goes through it.

use hooks_core::{Bus as _, Filter};
use hooks_test::{End, pause, soon, until};

use super::{Server, bus, retention::noise};

/// Nobody else vacuums.
#[tokio::test]
async fn the_outbox_stays_small_without_autovacuum() {
    let Some(server) = Server::with_settings(&["autovacuum=off"]) else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let number = |sql: &str| server.psql("postgres", sql).parse::<u64>().unwrap();
    let (rounds, of_a_round) = (8, 25_000);
    let mut largest = 0;
    for round in 0..rounds {
        let vacuums = number("SELECT vacuum_count FROM pg_stat_user_tables WHERE relid = 'hooks.outbox'::regclass");
        for first in (round * of_a_round..(round + 1) * of_a_round).step_by(500) {
            bus.publish(noise(first..first + 500, 256)).await.unwrap();
            let read = hook.take(500).await;
            hook.settle(&read);
        }
        let more = format!(
            "SELECT (vacuum_count > {vacuums})::int FROM pg_stat_user_tables WHERE relid = 'hooks.outbox'::regclass"
        );
        until(&format!("vacuum {round}"), || number(&more) == 1).await;
        largest = largest.max(number("SELECT pg_total_relation_size('hooks.outbox')"));
    }
    // Of 200,000 events, of which each takes some 400 bytes there: those between two vacuums, and what came meanwhile.
    assert!(largest < 24 << 20, "{largest} bytes");
    soon("room is given back", async {
        while number("SELECT pg_relation_size('hooks.outbox')") > 1 << 20 {
            pause().await;
        }
    })
    .await;
}
