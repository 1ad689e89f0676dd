//! Load from several clients while hooks hang, fail, come and go.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_test::http::Receiver;

use super::{Daemon, MEMORY, file_hook, http_hook};
use crate::command::event;

const CLIENTS: usize = 4;
const REQUESTS: usize = 60;
const EVENTS: usize = 50;

/// One client's part of the load: events of its own, in requests of several.
fn client(daemon: &Daemon, number: usize, requests: usize, halfway: &(dyn Fn() + Sync)) {
    let mut connection = daemon.connect();
    for request in 0..requests {
        if request == REQUESTS / 2 {
            halfway();
        }
        let first = (number * REQUESTS + request) * EVENTS;
        let events: Vec<String> = (first..first + EVENTS).map(event).collect();
        let body = format!("[{}]", events.join(","));
        let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/cloudevents-batch+json\r\ncontent-length: ";
        connection.send(format!("{head}{}\r\n\r\n{body}", body.len()));
        assert_eq!(connection.answer().status, 202);
    }
}

/// A line of the final table: taken, delivered, dropped, dead-lettered, left behind.
pub(super) fn ledger(table: &str, hook: &str) -> [usize; 5] {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(hook)).unwrap();
    let without_reasons: String = line.split('(').map(|part| part.split(')').next_back().unwrap()).collect();
    let numbers: Vec<usize> =
        without_reasons.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
    let ledger: [usize; 5] = numbers.try_into().unwrap();
    assert_eq!(ledger[0], ledger[1..].iter().sum::<usize>(), "the ledger balances: {line}");
    ledger
}

/// The events' numbers, which are unique.
fn numbers(lines: impl Iterator<Item = String>) -> Vec<usize> {
    let number = |line: String| {
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["data"]["n"].as_u64().unwrap() as usize
    };
    lines.map(number).collect()
}

#[test]
fn the_ledger_balances_whatever_happens_meanwhile() {
    let hanging = Receiver::closed();
    let answers = AtomicUsize::new(0);
    let half =
        Receiver::on_thread(move |_| if answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { 500 } else { 200 });
    let lasting = [
        MEMORY.to_owned(),
        file_hook("all"),
        http_hook("hanging", &hanging.url("/")) + "queue.max_events = 1000\n",
        http_hook("half", &half.url("/")) + "queue.max_events = 100_000\n",
    ]
    .concat();
    let mut daemon = Daemon::with(&[lasting.clone(), file_hook("removed")].concat(), &["--grace", "0s"]);
    let changed = std::sync::Once::new();
    let halfway = || changed.call_once(|| daemon.reload(&[lasting.clone(), file_hook("added")].concat()));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (daemon, halfway) = (&daemon, &halfway);
            scope.spawn(move || client(daemon, number, REQUESTS, halfway));
        }
    });
    daemon.running.wait_for("removed hook=removed ledger=\"taken");
    daemon.running.wait_for("added hook=added");
    // However late the reload came, there is something for the hook that it added.
    client(&daemon, CLIENTS, 1, &|| {});
    let total = (CLIENTS * REQUESTS + 1) * EVENTS;
    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some(total as f64));
    // All but the hanging hook come to their end.
    let delivered = |hook| daemon.metric(&format!("hooks_events_delivered_total{{hook=\"{hook}\"}}"));
    while ["all", "half"].iter().any(|hook| delivered(hook) != Some(total as f64)) {}
    while daemon.metric("hooks_pending_events{hook=\"added\"}") != Some(0.0) {}
    let place = daemon.place;
    daemon.running.signal("TERM");
    let ended = daemon.running.wait();
    assert_eq!(ended.code, Some(1), "one hook hangs: {}", ended.err);

    assert_eq!(ledger(&ended.err, "all"), [total, total, 0, 0, 0]);
    assert_eq!(ledger(&ended.err, "half"), [total, total, 0, 0, 0]);
    let [taken, delivered, dropped, _, left] = ledger(&ended.err, "hanging");
    assert_eq!((taken, delivered, dropped + left), (total, 0, total), "{}", ended.err);
    let [taken, delivered, ..] = ledger(&ended.err, "added");
    assert!(taken == delivered && taken > 0);

    let order = numbers(place.read("all").lines().map(str::to_owned));
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), total);
    assert_eq!(order.len(), total);
    for client in 0..CLIENTS {
        let own = |number: &&usize| **number / (REQUESTS * EVENTS) == client;
        assert!(order.iter().filter(own).is_sorted(), "each client's events keep their order");
    }
    // Everything that was answered with 200 is there once, in the same order.
    assert_eq!(numbers(half.events("/").into_iter()).iter().collect::<BTreeSet<_>>().len(), total);
    let added = numbers(place.read("added").lines().map(str::to_owned));
    assert!(order.ends_with(&added), "from the moment it was added on");
    let removed = numbers(place.read("removed").lines().map(str::to_owned));
    assert!(order.starts_with(&removed), "up to the moment it was removed");
}
