//! Several instances share hooks, come and go.

use std::time::Duration;

use hooks_bus::{PostgresBus, PostgresConfig};
use hooks_core::bus::{Answering, Instances as _};
use hooks_core::{Bus, Filter, HumanDuration};
use hooks_test::{End, events, until};

use super::{Server, bus, client, config};

/// Workers that wait for events, and let go of what they are asked to.
async fn work(bus: &PostgresBus, count: usize) -> tokio::task::JoinSet<()> {
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..count {
        let mut end = End::new(bus, &format!("hook-{number}"), Filter::all()).await;
        workers.spawn(async move {
            loop {
                let _ = end.reader.next(1, &mut Vec::new()).await;
            }
        });
    }
    workers
}

#[tokio::test]
async fn hooks_are_shared_evenly() {
    let Some(server) = Server::start() else { return };
    let buses = [bus(&server).await, bus(&server).await, bus(&server).await];
    let _workers = [work(&buses[0], 30).await, work(&buses[1], 30).await];
    let owned = || buses.each_ref().map(|bus| bus.owned().len());
    until("two shares", || owned() == [15, 15, 0]).await;
    let _third = work(&buses[2], 30).await;
    until("three shares", || owned() == [10, 10, 10]).await;
    buses[1].finish().await;
    until("two shares again", || owned() == [15, 0, 15]).await;
}

/// The leader of the sequencer ends without a word, as in a crash: the other gives positions.
#[tokio::test]
async fn another_instance_gives_positions_when_the_first_is_gone() {
    let Some(server) = Server::start() else { return };
    let (first, second) = (bus(&server).await, bus(&server).await);
    let leader = || server.psql("postgres", "SELECT leader FROM hooks.sequencer");
    until("one leads", || !leader().is_empty()).await;
    let (leading, other) = if leader() == first.instance() { (first, second) } else { (second, first) };
    let mut hook = End::new(&other, "a", Filter::all()).await;
    leading.publish(events(0..3)).await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [0, 1, 2]);
    drop(leading);
    other.publish(events(3..6)).await.unwrap();
    assert_eq!(hook.read_to(5, 9).await, [3, 4, 5]);
    assert_eq!(leader(), other.instance());
}

/// Nobody waits for the end of its lease: its session has ended.
#[tokio::test]
async fn another_instance_gives_positions_at_once_when_the_session_of_the_first_has_ended() {
    let Some(server) = Server::start() else { return };
    let config = PostgresConfig { lease: HumanDuration::new(Duration::from_secs(300)), ..config(&server, "postgres") };
    let first = PostgresBus::connect(config.clone()).await.unwrap();
    let leader = || server.psql("postgres", "SELECT leader FROM hooks.sequencer");
    until("it leads", || leader() == first.instance()).await;
    let second = PostgresBus::connect(config).await.unwrap();
    let mut hook = End::new(&second, "a", Filter::all()).await;
    second.publish(events(0..3)).await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [0, 1, 2]);
    assert_eq!(leader(), first.instance());
    drop(first);
    second.publish(events(3..6)).await.unwrap();
    assert_eq!(hook.read_to(5, 9).await, [3, 4, 5]);
    assert_eq!(leader(), second.instance());
}

/// As `hooks forget` does it while this instance can't be reached, and as it is defined again by another.
#[tokio::test]
async fn a_hook_whose_row_was_removed_goes_on() {
    let Some(server) = Server::start() else { return };
    let bus = bus(&server).await;
    let mut hook = End::new(&bus, "a", Filter::all()).await;
    bus.publish(events(0..3)).await.unwrap();
    assert_eq!(hook.read_to(2, 9).await, [0, 1, 2]);
    server.psql("postgres", "DELETE FROM hooks.cursors");
    bus.publish(events(3..6)).await.unwrap();
    assert!(hook.read_to(5, 9).await.ends_with(&[3, 4, 5]));
    server.psql(
        "postgres",
        "DELETE FROM hooks.cursors; INSERT INTO hooks.cursors (hook, began, position) VALUES ('a', 0, 0)",
    );
    bus.publish(events(6..9)).await.unwrap();
    // It may read on for a while before it sees the row of another.
    let mut again = hook.read_to(8, 9).await;
    while !again.ends_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8]) {
        again.extend(hook.read_to(8, 9).await);
    }
}

/// Its number is lower than that of a question that came in between.
#[tokio::test]
async fn a_question_that_commits_late_is_answered() {
    let Some(server) = Server::start() else { return };
    let (bus, asking) = (bus(&server).await, bus(&server).await);
    let late = client(&server).await;
    let question = "BEGIN; INSERT INTO hooks.questions (instance, question) VALUES";
    late.batch_execute(&format!("{question} ('{}', 'late')", bus.instance())).await.unwrap();
    let echo: &Answering = &|question| Box::pin(async { question });
    let asked = async {
        assert_eq!(asking.ask(bus.instance(), b"early".to_vec()).await.unwrap(), b"early");
        late.batch_execute("COMMIT").await.unwrap();
        let is_answered = "SELECT count(*) FROM hooks.questions WHERE answer = 'late'";
        until("an answer", || server.psql("postgres", is_answered) == "1").await;
    };
    tokio::select! {
        () = asked => {}
        ended = bus.answer(echo) => panic!("{ended:?}"),
    }
}
