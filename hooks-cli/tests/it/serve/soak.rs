//! A long run: `cargo xtask soak` for millions of events, a shorter one among the other tests.

use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hooks_test::http::Receiver;

use super::hostile::peak;
use super::{Client, Daemon, MEMORY, file_hook, http_hook};

/// Events in a request.
const SLICE: usize = 500;
const CLIENTS: usize = 4;

/// The number of events, where `HOOKS_SOAK_EVENTS` does not say it.
const EVENTS: usize = 200_000;

/// Of a usual size, with its client and number at a known place.
fn event(client: usize, number: usize) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{client}-{number:09}","source":"/soak","type":"test.counted","time":"2026-11-23T10:00:00Z","subject":"a/b/{}","data":{{"padding":"{:x<180}"}}}}"#,
        number % 1000,
        ""
    ) + "\n"
}

/// Publishes one client's share.
fn publish(daemon: &Daemon, client: usize, numbers: Range<usize>) {
    let mut connection: Client = daemon.connect();
    for first in numbers.clone().step_by(SLICE) {
        let body: String = (first..(first + SLICE).min(numbers.end)).map(|number| event(client, number)).collect();
        let head = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\ncontent-length: ";
        connection.send(format!("{head}{}\r\n\r\n{body}", body.len()));
        assert_eq!(connection.answer().status, 202);
    }
}

/// One part of the run: every client publishes these numbers.
fn round(daemon: &Daemon, numbers: &Range<usize>) {
    std::thread::scope(|scope| {
        (0..CLIENTS).for_each(|client| drop(scope.spawn(move || publish(daemon, client, numbers.clone()))));
    });
}

/// The file has so many events of every client, in order.
fn check(path: &std::path::Path, events: usize) {
    let mut next = [0; CLIENTS];
    for line in BufReader::new(std::fs::File::open(path).unwrap()).lines() {
        let line = line.unwrap();
        let id = line.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
        let (client, number) = id.split_once('-').unwrap();
        let (client, number): (usize, usize) = (client.parse().unwrap(), number.parse().unwrap());
        assert_eq!(number, next[client], "of client {client}");
        next[client] += 1;
    }
    assert_eq!(next, [events; CLIENTS]);
}

#[test]
fn memory_stays_bounded_while_one_hook_hangs_and_another_fails_by_half() {
    let events = std::env::var("HOOKS_SOAK_EVENTS").map_or(EVENTS, |events| events.parse().unwrap());
    let hanging = Receiver::closed();
    let answers = AtomicUsize::new(0);
    let half =
        Receiver::forgetful(move |_| if answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { 500 } else { 200 });
    let (hanging, half) = (http_hook("hanging", &hanging.url("/")), http_hook("half", &half.url("/")));
    let file = file_hook("all") + "queue.overflow = 'block'\n";
    // Long enough for a disk that is busy.
    let memory = format!("{MEMORY}ingest.publish_timeout = '50s'\n");
    let daemon =
        Daemon::with(&[memory, file, hanging, half].concat(), &["--grace", "0s", "--log", "error,hooks_cli=info"]);

    // By then every queue is full that will be.
    let (first, all) = (events / 10 / CLIENTS, events / CLIENTS);
    let started = Instant::now();
    round(&daemon, &(0..first));
    let early = peak(&daemon);
    round(&daemon, &(first..all));
    let late = peak(&daemon);
    let total = all * CLIENTS;
    println!(
        "{total} events in {:.1} s, at most {early} MiB after a tenth, {late} MiB at the end",
        started.elapsed().as_secs_f64()
    );

    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some(total as f64));
    while daemon.metric("hooks_events_delivered_total{hook=\"all\"}") != Some(total as f64) {}
    let pending = |hook: &str| daemon.metric(&format!("hooks_pending_events{{hook=\"{hook}\"}}")).unwrap();
    assert!(pending("hanging") <= 10_000.0 && pending("half") <= 10_000.0);
    // With five million events, a leak of six bytes an event would show.
    assert!(late <= early + 24, "{early} MiB after a tenth, {late} MiB at the end");
    assert!(late < 160, "{late} MiB");
    let place = daemon.place;
    daemon.running.signal("TERM");
    let ended = daemon.running.wait();
    for hook in ["all", "hanging", "half"] {
        super::load::ledger(&ended.err, hook);
    }
    check(&place.path("all"), all);
}
