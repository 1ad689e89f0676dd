//! What requests are answered with, and what comes of them.

use serde_json::json;

use super::{Daemon, LINES, MEMORY, file_hook, http_hook};
use crate::command::event;
use crate::receiver::Receiver;

const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
#[test]
fn every_format_is_delivered_as_it_came_in_and_in_order() {
    let daemon = Daemon::start(&file_hook("a"));
    let [one, two, three, four, five, six] = [1, 2, 3, 4, 5, 6].map(event);
    for (content_type, body, accepted) in [
        (ONE, one.clone(), 1),
        (BATCH, format!("[{two} , {three}]"), 2),
        (LINES, format!("{four}\n\r\n{five}\r\n"), 2),
        ("application/json; charset=utf-8", format!(" {six} "), 1),
        ("application/json", "[]".to_owned(), 0),
    ] {
        let answer = daemon.post(content_type, body);
        assert_eq!((answer.status, answer.json()), (202, json!({ "accepted": accepted })), "{content_type}");
    }
    let binary = "ce-specversion: 1.0\r\nce-id: 7\r\nce-type: b\r\nce-source: /s\r\nce-time: 2026-11-24T10:00:00Z\r\n";
    assert_eq!(daemon.post_with(&format!("{binary}content-type: text/plain\r\n"), "hi").status, 202);
    let place = &daemon.place;
    let (wanted, path) = ([one, two, three, four, five, six].join("\n") + "\n", place.path("a"));
    let stopped = {
        daemon.running.signal("TERM");
        daemon.running.wait()
    };
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    let written = std::fs::read_to_string(path).unwrap();
    let last = written.strip_prefix(&wanted).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&last["data"], &last["id"], &last["datacontenttype"]),
        (&json!("hi"), &json!("7"), &json!("text/plain"))
    );
}

#[test]
fn a_request_with_a_fault_publishes_nothing_and_names_every_place() {
    let daemon = Daemon::start(&file_hook("a"));
    let answer = daemon.post(BATCH, format!("[{},\n {{\"type\":1}}, {{\"type\":\"hooks.x\"}}, 7]", event(1)));
    assert_eq!(answer.status, 400);
    let faults = answer.json()["faults"].clone();
    let places: Vec<_> =
        faults.as_array().unwrap().iter().map(|fault| [&fault["index"], &fault["line"], &fault["column"]]).collect();
    assert_eq!(json!(places), json!([[1, 2, 2], [2, 2, 14], [3, 2, 34]]));
    assert!(faults[1]["reason"].as_str().unwrap().contains("the dispatcher's own"), "{faults}");

    let answer = daemon.post(LINES, format!("{}\nx\n", event(1)) + &"{}\n".repeat(100));
    let answer = (answer.status, answer.json());
    assert_eq!((answer.0, answer.1["faults"][0]["line"].clone(), answer.1["more"].clone()), (400, json!(2), json!(81)));
    assert_eq!(daemon.post(ONE, format!("[{}]", event(1))).status, 400, "an array is not one event");
    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some(0.0));
    let path = daemon.place.path("a");
    assert_eq!(daemon.stop().code, Some(0));
    assert!(!path.exists());
}

#[test]
fn what_is_no_request_to_publish_gets_its_own_answer() {
    let daemon = Daemon::start(&format!(
        "{MEMORY}ingest = {{ listen = '127.0.0.1:0', max_body = '1KiB', max_events = 3 }}\n{}",
        file_hook("a")
    ));
    let status = |answer: super::Answer| answer.status;
    assert_eq!(status(daemon.get("/")), 404);
    let answer = daemon.get("/v1/events");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
    assert_eq!(status(daemon.exchange("POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")), 405);
    let answer = daemon.post("text/plain", event(1));
    assert_eq!((answer.status, answer.header("accept").is_some()), (415, true));
    assert_eq!(status(daemon.post_with("", event(1))), 415);
    assert_eq!(status(daemon.post_with("content-type: application/json\r\ncontent-encoding: gzip\r\n", event(1))), 415);
    assert_eq!(status(daemon.post(LINES, "x".repeat(1025))), 413);
    let chunked =
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(status(daemon.exchange(format!("{chunked}401\r\n{}\r\n0\r\n\r\n", "x".repeat(0x401)))), 413);
    let answer = daemon.post(LINES, "{\"type\":\"a\"}\n".repeat(4));
    assert_eq!((answer.status, answer.json()["error"].clone()), (413, json!("more than 3 events in one request")));
    assert_eq!(status(daemon.get("/healthz")), 200);
    assert_eq!(status(daemon.get("/readyz")), 200);
    assert_eq!(daemon.metric("hooks_ingest_requests_total{status=\"413\"}"), Some(3.0));
}

#[test]
fn a_connection_takes_one_request_after_the_other_also_after_a_refusal() {
    let daemon = Daemon::start(&file_hook("a"));
    let mut client = daemon.connect();
    let body = event(1);
    for (content_type, status) in [(ONE, 202), ("text/plain", 415), (ONE, 202), (BATCH, 400), (ONE, 202)] {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.send(head + &body);
        assert_eq!(client.answer().status, status);
    }
}

#[test]
fn only_whoever_has_the_token_publishes_and_it_can_change() {
    let place = crate::command::Place::new(&format!(
        "{MEMORY}ingest = {{ listen = '127.0.0.1:0', token_file = 'token' }}\n{}",
        file_hook("a")
    ));
    let token = place.path("token");
    std::fs::write(&token, "first-token\n").unwrap();
    let running = crate::command::Running::of(place.hooks(&["serve", "-c", "hooks.toml"]));
    let mut daemon = Daemon::of(place, running);
    let with = |daemon: &Daemon, token: &str| {
        let answer = daemon.post_with(&format!("authorization: {token}\r\ncontent-type: {ONE}\r\n"), event(1));
        (answer.status, answer.header("www-authenticate").is_some())
    };
    assert_eq!(with(&daemon, "Bearer first-token"), (202, false));
    for wrong in ["Bearer first-toke", "Bearer second-token", "Basic Zmlyc3Q6", "first-token"] {
        assert_eq!(with(&daemon, wrong), (401, true), "{wrong}");
    }
    assert_eq!(daemon.post(ONE, event(1)).status, 401);
    assert_eq!(daemon.get("/readyz").status, 200, "pages need none");
    std::fs::write(&token, "second-token\n").unwrap();
    daemon.running.signal("HUP");
    daemon.running.wait_for("applied");
    assert_eq!(with(&daemon, "Bearer first-token").0, 401);
    assert_eq!(with(&daemon, "Bearer second-token").0, 202);
    // A token file that is gone changes nothing.
    std::fs::remove_file(&token).unwrap();
    daemon.running.signal("HUP");
    daemon.running.wait_for("token_file");
    assert_eq!(with(&daemon, "Bearer second-token").0, 202);
    let ended = daemon.stop();
    assert!(!ended.err.contains("first-token") && !ended.err.contains("second-token"), "{}", ended.err);
}

/// One hook that makes publishers wait and holds one event.
fn blocking(receiver: &Receiver, publish_timeout: &str) -> String {
    let hook = http_hook("slow", &receiver.url("/"));
    format!(
        "{MEMORY}ingest = {{ listen = '127.0.0.1:0', max_events = 2, max_body = '8KiB', publish_timeout = '{publish_timeout}' }}\n{hook}\
         queue = {{ max_events = 2, overflow = 'block' }}\nbatch = {{ max_events = 2, max_age = '0s' }}\n"
    )
}

#[test]
fn a_request_that_finds_no_room_is_turned_away_as_a_whole() {
    let receiver = Receiver::closed();
    let daemon = Daemon::start(&blocking(&receiver, "50ms"));
    let pair = |first: usize| format!("{}\n{}\n", event(first), event(first + 1));
    assert_eq!(daemon.post(LINES, pair(1)).status, 202);
    let answer = daemon.post(LINES, pair(3));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    receiver.open();
    receiver.wait();
    while daemon.post(LINES, pair(5)).status == 503 {}
    assert_eq!(daemon.stop().code, Some(0));
    assert_eq!(receiver.events("/"), [1, 2, 5, 6].map(event));
}

#[test]
fn a_client_that_goes_away_while_it_waits_leaves_all_or_nothing() {
    let receiver = Receiver::closed();
    let daemon = Daemon::start(&blocking(&receiver, "60s"));
    let pair = |first: usize| format!("[{},{}]", event(first), event(first + 1));
    assert_eq!(daemon.post(BATCH, pair(1)).status, 202);
    let body = pair(3);
    let mut client = daemon.connect();
    client.send(format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {BATCH}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    drop(client);
    receiver.open();
    assert_eq!(daemon.post(BATCH, pair(5)).status, 202);
    assert_eq!(daemon.stop().code, Some(0));
    let arrived = receiver.events("/");
    let all: Vec<String> = (1..=6).map(event).collect();
    let without = [1, 2, 5, 6].map(event);
    assert!(arrived == all || arrived == without || arrived == [1, 2, 5, 6, 3, 4].map(event), "{arrived:?}");
}
