//! Hooks that are moved back and ahead in the log, by a daemon, in its folder, and over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hooks_test::http::Receiver;

use super::durable::operate;
use super::managed::LOOPBACK;
use super::{Answer, Client, Daemon, JSON, LINES, MEMORY, http_hook, until};
use crate::command::{Place, event};

/// A receiver that answers what the second one says.
fn receiver() -> (Receiver, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let given = status.clone();
    (Receiver::on_thread(move |_| given.load(Ordering::Relaxed)), status)
}

fn publish(daemon: &Daemon, numbers: std::ops::Range<usize>) {
    let lines: String = numbers.map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
}

/// Waits until so many events came.
fn has(daemon: &Daemon, receiver: &Receiver, events: usize) {
    until("events", || {
        daemon.get("/healthz");
        receiver.events("/").len() >= events
    });
}

/// Waits until the hook has nothing left to do.
fn settled(daemon: &Daemon) {
    until("all is settled", || daemon.metric("hooks_pending_events{hook=\"a\"}") == Some(0.0));
}

fn all(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(event).collect()
}

/// Runs `hooks seek a --to …`.
fn seek(place: &Place, to: &str, options: &[&str]) -> (Option<i32>, String) {
    operate(place, &[&["seek", "a", "--to", to], options].concat())
}

fn said(place: &Place, to: &str, options: &[&str]) -> String {
    let (code, said) = seek(place, to, options);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn ask(daemon: &Daemon, path: &str, body: &str) -> Answer {
    let length = body.len();
    daemon.exchange(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn a_hook_goes_back_and_ahead_while_the_daemon_runs() {
    let (receiver, status) = receiver();
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    publish(&daemon, 0..10);
    has(&daemon, &receiver, 10);
    settled(&daemon);
    let would = said(&daemon.place, "earliest", &["--dry-run"]);
    assert_eq!(would, "hook `a` would go back from position 10 to 0: 10 events would come again\n");
    assert_eq!(receiver.events("/").len(), 10);
    let went = said(&daemon.place, "1h", &[]);
    assert_eq!(went, "hook `a` goes back from position 10 to 0: 10 events come again\n");
    has(&daemon, &receiver, 20);
    settled(&daemon);
    assert_eq!(said(&daemon.place, "end", &[]), "hook `a` is at position 10 already: nothing changes\n");

    status.store(503, Ordering::Relaxed);
    publish(&daemon, 10..15);
    let before = receiver.events("/").len();
    has(&daemon, &receiver, before + 1);
    let (code, refused) = seek(&daemon.place, "end", &[]);
    assert!(code == Some(1) && refused.contains("say so with `skip` (`--skip`)"), "{refused}");
    let skipped = said(&daemon.place, "end", &["--skip"]);
    assert_eq!(skipped, "hook `a` goes ahead from position 10 to 15: 5 events are skipped\n");
    assert_eq!(daemon.metric("hooks_events_dropped_total{hook=\"a\",reason=\"skipped\"}"), Some(5.0));
    status.store(200, Ordering::Relaxed);
    let before = receiver.events("/").len();
    publish(&daemon, 15..16);
    until("the last one", || receiver.events("/").contains(&event(15)));
    // An attempt that was under way when they were skipped may be answered behind that.
    let came = receiver.events("/").split_off(before);
    let (skipped, others): (Vec<_>, Vec<_>) = came.into_iter().partition(|event| all(10..15).contains(event));
    assert!(others == all(15..16) && skipped.len() <= 5, "{others:?} {skipped:?}");
    assert_eq!(receiver.events("/")[..20], all((0..10).chain(0..10)));
    let ended = daemon.stop();
    assert!(ended.err.contains("5 skipped"), "{}", ended.err);
}

#[test]
fn a_hook_is_moved_over_http() {
    let (receiver, _) = receiver();
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    publish(&daemon, 0..10);
    has(&daemon, &receiver, 10);
    settled(&daemon);
    let moved = ask(&daemon, "/v1/hooks/a/seek", r#"{"to":7}"#);
    let json =
        serde_json::json!({ "before": 10, "after": 7, "again": 3, "skipped": 0, "exact": true, "reached": true });
    assert_eq!((moved.status, moved.json()), (200, json));
    has(&daemon, &receiver, 13);
    assert_eq!(receiver.events("/")[10..], all(7..10));
    for (path, body, status, text) in [
        ("/v1/hooks/a/seek", r#"{"to":"yesterday"}"#, 400, "a time such as"),
        ("/v1/hooks/a/seek", r#"{"to":"1h","skip":"yes"}"#, 400, "expected a boolean"),
        ("/v1/hooks/a/seek", r#"{"to":"1h","dryrun":true}"#, 400, "unknown field `dryrun`"),
        ("/v1/hooks/a/seek", "{}", 400, "`to` is missing"),
        ("/v1/hooks/a/seek", r#"{"to":11,"skip":true}"#, 409, "the log ends at 10"),
        ("/v1/hooks/x/seek", r#"{"to":"earliest"}"#, 404, "there is no hook `x`"),
    ] {
        let answer = ask(&daemon, path, body);
        assert!(answer.status == status && answer.body.contains(text), "{body}: {answer:?}");
    }
    has(&daemon, &receiver, 13);
    let moved = said(&daemon.place, "9", &["--json", "--dry-run"]);
    assert!(moved.starts_with(r#"{"before":"#) && moved.contains(r#""after":9"#), "{moved}");
}

#[test]
fn a_folder_without_a_daemon_is_enough_and_what_was_answered_survives_a_kill() {
    let (receiver, _) = receiver();
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    publish(&daemon, 0..10);
    has(&daemon, &receiver, 10);
    settled(&daemon);
    daemon.running.signal("TERM");
    daemon.running.wait();
    let place = daemon.place;
    assert_eq!(
        said(&place, "4", &[]),
        "hook `a` goes back from position 10 to 4: 6 events come again\n",
        "its filter is in the config file"
    );
    let of_folder = place.run(&["seek", "a", "--to", "6", "--skip", "--dry-run", "--dir", "hooks-data"]);
    assert_eq!(of_folder.out, "hook `a` would go ahead from position 4 to 6: up to 2 events would be skipped\n");
    assert!(said(&place, "6", &["--skip"]).contains("2 events are skipped"));
    let record = place.run(&["attempts", "a", "--limit", "1", "-c", "hooks.toml"]).out;
    let record: Vec<_> = record.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((record[2], record[5], record[6], record[8]), ("skipped", "2", "4-5", "seek"));
    assert!(said(&place, "4", &[]).contains("goes back from position 6"));
    let daemon = Daemon::again(place);
    has(&daemon, &receiver, 16);
    assert_eq!(receiver.events("/")[10..], all(4..10));
    settled(&daemon);
    said(&daemon.place, "earliest", &[]);
    let daemon = Daemon::again(daemon.kill());
    while !receiver.events("/")[16..].contains(&event(9)) {
        daemon.get("/healthz");
    }
    assert_eq!(receiver.events("/")[16], event(0));
    let unknown = daemon.place.run(&["seek", "b", "--to", "end", "-c", "hooks.toml"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("there is no hook `b`; known: a"), "{unknown:?}");
}

#[test]
fn hooks_of_the_api_disabled_ones_and_those_that_are_gone_from_the_config_are_moved() {
    let (receiver, _) = receiver();
    let daemon = Daemon::start(LOOPBACK);
    let hook = serde_json::json!({ "sink": { "kind": "http", "url": receiver.url("/") } }).to_string();
    let length = hook.len();
    let made = daemon.exchange(format!(
        "PUT /v1/hooks/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{hook}"
    ));
    assert_eq!(made.status, 201, "{made:?}");
    publish(&daemon, 0..4);
    has(&daemon, &receiver, 4);
    settled(&daemon);
    assert_eq!(ask(&daemon, "/v1/hooks/a/disable", "").status, 200);
    assert_eq!(ask(&daemon, "/v1/hooks/a/seek", r#"{"to":"earliest"}"#).json()["again"], 4);
    publish(&daemon, 4..5);
    assert_eq!(ask(&daemon, "/v1/hooks/a/enable", "").status, 200);
    has(&daemon, &receiver, 9);
    assert_eq!(receiver.events("/"), all((0..4).chain(0..5)));
}

#[test]
fn the_memory_bus_skips_and_says_that_it_keeps_no_past() {
    let (receiver, status) = receiver();
    status.store(503, Ordering::Relaxed);
    let daemon = Daemon::start(&(MEMORY.to_owned() + &http_hook("a", &receiver.url("/"))));
    assert_eq!(daemon.post(JSON, event(0)).status, 202);
    has(&daemon, &receiver, 1);
    let back = ask(&daemon, "/v1/hooks/a/seek", r#"{"to":"1h"}"#).json();
    assert_eq!((&back["before"], &back["after"], &back["reached"]), (&0.into(), &0.into(), &false.into()));
    let skipped = ask(&daemon, "/v1/hooks/a/seek", r#"{"to":"end","skip":true}"#).json();
    assert_eq!((&skipped["after"], &skipped["skipped"]), (&1.into(), &1.into()));
    let ended = daemon.stop();
    assert!(ended.err.contains("1 skipped"), "{}", ended.err);
}

/// It does not wait for the receiver.
#[test]
fn a_hook_whose_receiver_hangs_is_moved_at_once() {
    let (release, hangs) = std::sync::mpsc::sync_channel::<()>(1);
    let hangs = std::sync::Mutex::new(hangs);
    let receiver = Receiver::on_thread(move |_| hangs.lock().unwrap().recv().map_or(200, |()| 200));
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    publish(&daemon, 0..3);
    receiver.wait();
    let skipped = said(&daemon.place, "end", &["--skip"]);
    assert_eq!(skipped, "hook `a` goes ahead from position 0 to 3: 3 events are skipped\n");
    let mut operator = Client::operator(&daemon.place);
    operator.send("GET /v1/status HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(operator.answer().json()["hooks"][0]["lag"]["events"], 0);
    drop(release);
}
