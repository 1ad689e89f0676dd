//! The order of events between transactions.

use hooks_core::{Bus, Filter, Position};
use hooks_test::{End, events, numbers};

use super::{Server, bus, client, publish};

/// A sequence alone would lose the first event, which commits behind a later number, and so would a transaction id.
#[tokio::test]
async fn a_transaction_that_commits_late_loses_nothing_and_delays_nothing() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let (late, other) = (client(&server).await, client(&server).await);
    late.batch_execute("BEGIN").await.unwrap();
    publish(&late, 1).await;
    publish(&other, 2).await;
    bus.publish(events(3..4)).await.unwrap();
    assert_eq!(hook.read_to(3, 9).await, [2, 3]);
    late.batch_execute("COMMIT").await.unwrap();
    publish(&other, 4).await;
    assert_eq!(hook.read_to(4, 9).await, [1, 4]);
}

/// The youngest of all that are open is missed, and nobody that is as young has ended yet.
#[tokio::test]
async fn a_missing_id_is_looked_for_as_long_as_its_transaction_is_open() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let (late, other) = (client(&server).await, client(&server).await);
    other.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    late.batch_execute("BEGIN").await.unwrap();
    publish(&late, 1).await;
    publish(&other, 2).await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [2]);
    for number in 3..6 {
        publish(&other, number).await;
        assert_eq!(hook.read_to(number, 9).await, [number]);
    }
    late.batch_execute("COMMIT").await.unwrap();
    publish(&other, 6).await;
    assert_eq!(hook.read_to(6, 9).await, [1, 6]);
}

/// Two transactions change one row, and publish when they have its lock: the one with the lower id, which took its first
/// id long before, changes the row last.
#[tokio::test]
async fn changes_of_one_row_are_delivered_in_their_order() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let (one, other) = (client(&server).await, client(&server).await);
    one.batch_execute("CREATE TABLE account (balance int); INSERT INTO account VALUES (0)").await.unwrap();
    for round in 0..20 {
        let number = 10 * round;
        // It has a transaction id and an event before the other begins.
        one.batch_execute("BEGIN").await.unwrap();
        publish(&one, number + 1).await;
        other.batch_execute("BEGIN; UPDATE account SET balance = balance + 1").await.unwrap();
        publish(&other, number + 2).await;
        let change = one.batch_execute("UPDATE account SET balance = balance + 1");
        let commit = async {
            other.batch_execute("COMMIT").await.unwrap();
        };
        let (changed, ()) = tokio::join!(change, commit);
        changed.unwrap();
        publish(&one, number + 3).await;
        one.batch_execute("COMMIT").await.unwrap();
        publish(&other, number + 4).await;
    }
    let read = hook.read_to(194, 9).await;
    for round in 0..20_usize {
        let at = |number| read.iter().position(|read| *read == 10 * round + number).unwrap();
        assert!(at(2) < at(3), "the changes of round {round}: {read:?}");
        assert!(at(1) < at(3) && at(3) < at(4), "{read:?}");
    }
}

#[tokio::test]
async fn positions_have_no_gaps_whoever_rolls_back() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    let (one, other) = (client(&server).await, client(&server).await);
    for number in 1..=60 {
        let client = if number % 2 == 0 { &one } else { &other };
        client.batch_execute("BEGIN").await.unwrap();
        publish(client, number).await;
        client.batch_execute(if number % 3 == 1 { "ROLLBACK" } else { "COMMIT" }).await.unwrap();
    }
    let read = hook.take(40).await;
    assert_eq!(numbers(&read), (1..=60).filter(|number| number % 3 != 1).collect::<Vec<_>>());
    let positions: Vec<Position> = read.iter().map(|delivery| delivery.position).collect();
    assert_eq!(positions, (1..=40_u64).map(Position::new).collect::<Vec<_>>());
}
