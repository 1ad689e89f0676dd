//! The answers to requests, and the events that come of them.

use hooks_test::http::Receiver;
use serde_json::json;

use super::{Daemon, LINES, MEMORY, file_hook, http_hook};
use crate::command::event;

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

/// A daemon whose hook takes events of type `a.b` alone, and what it delivered of these requests.
fn delivered(requests: &[(&str, &[u8])]) -> Vec<serde_json::Value> {
    let daemon = Daemon::start(&file_hook("a").replace("sink =", "types = ['a.b']\nsink ="));
    for (headers, body) in requests {
        let answer = daemon.post_with(headers, body);
        assert_eq!((answer.status, answer.json()), (202, json!({ "accepted": 1 })), "{headers}");
    }
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
    let text = daemon.place.read("a");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const BINARY: &str = "ce-specversion: 1.0\r\nce-type: a.b\r\n";

#[test]
fn binary_mode_is_one_event_whatever_its_data_is() {
    let lines = format!("{}\n{}\n", event(1), event(2));
    let body = |media: &str| format!("{BINARY}content-type: {media}\r\n");
    let [ndjson, jsonl, json, xml] =
        ["application/x-ndjson", "application/jsonl", "application/json", "application/xml"].map(body);
    let events = delivered(&[
        (&ndjson, lines.as_bytes()),
        (&jsonl, event(1).as_bytes()),
        (&json, event(1).as_bytes()),
        (&xml, b"<a/>"),
        (BINARY, b""),
    ]);
    assert_eq!(events.len(), 5);
    use base64::Engine as _;
    let base64 = |text: &str| json!(base64::engine::general_purpose::STANDARD.encode(text));
    assert_eq!(events[0]["data_base64"], base64(&lines));
    assert_eq!(events[1]["data_base64"], base64(&event(1)));
    assert_eq!(events[2]["data"], serde_json::from_str::<serde_json::Value>(&event(1)).unwrap());
    assert_eq!(events[3]["data_base64"], base64("<a/>"));
    assert_eq!((&events[0]["datacontenttype"], &events[4]["data"]), (&json!("application/x-ndjson"), &json!(null)));
}

#[test]
fn values_of_headers_are_read_as_cloudevents_says() {
    let quoted = "ce-specversion: \"1.0\"\r\nce-type: \"a.b\"\r\nce-subject: \"Euro%20%E2%82%AC \\\"x\\\"\"\r\n";
    let extensions = "ce-dataref: https://a/b\r\nce-database: x\r\nce-partitionkey: 7\r\n";
    let events = delivered(&[(quoted, b""), (&format!("{BINARY}{extensions}"), b"")]);
    assert_eq!(events[0]["subject"], json!("Euro \u{20ac} \"x\""));
    let values = ["dataref", "database", "partitionkey"].map(|name| events[1][name].clone());
    assert_eq!(values, [json!("https://a/b"), json!("x"), json!("7")]);
}

#[test]
fn binary_mode_that_is_not_clear_publishes_nothing_and_names_the_header() {
    let daemon = Daemon::start(&file_hook("a"));
    let body = event(1);
    for (headers, status, name) in [
        ("ce-type: a.b\r\ncontent-type: application/json", 400, "ce-specversion"),
        ("ce-type: a.b\r\ncontent-type: application/x-ndjson", 400, "ce-specversion"),
        ("ce-id: 1\r\ncontent-type: text/plain", 400, "ce-specversion"),
        ("ce-partitionkey: 1", 400, "ce-specversion"),
        ("ce_type: a.b\r\ncontent-type: application/json", 400, "ce_type"),
        ("ce-specversion: 1.0\r\ncontent-type: application/json", 400, "ce-type"),
        ("ce-specversion: 0.3\r\nce-type: a", 400, "ce-specversion"),
        ("ce-specversion: 1.0\r\nce-type: a\r\nce-type: b", 400, "ce-type"),
        ("ce-specversion: 1.0\r\nce-type: \"a", 400, "ce-type"),
        ("ce-specversion: 1.0\r\nce-type: hooks.x", 400, "ce-type"),
        ("ce-specversion: 1.0\r\nce-type: a\r\nce-data: 1", 400, "ce-data"),
        ("ce-specversion: 1.0\r\nce-type: a\r\ncontent-type: json", 400, "content-type"),
        ("content-type: application/json\r\ncontent-type: text/plain", 400, "content-type"),
        ("ce-specversion: 1.0\r\nce-type: a\r\ncontent-type: application/cloudevents+avro", 415, "Content-Type"),
        ("ce-specversion: 1.0\r\nce-type: a\r\ncontent-type: application/cloudevents", 415, "Content-Type"),
        ("ce-type: a\r\ncontent-type: application/cloudevents+protobuf", 415, "Content-Type"),
    ] {
        let answer = daemon.post_with(&format!("{headers}\r\n"), &body);
        let json = answer.json();
        assert!(answer.status == status && json["error"].as_str().unwrap().contains(name), "{headers}: {json}");
        assert_eq!(json.get("faults"), None, "what was made of headers has no lines: {json}");
    }
    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some(0.0));
}

#[test]
fn headers_that_are_lists_may_stand_on_several_lines() {
    let daemon = Daemon::start(&format!("{MEMORY}{}", file_hook("a")));
    let status = |headers: &str| daemon.post_with(&format!("content-type: {ONE}\r\n{headers}"), event(1)).status;
    assert_eq!(status("content-encoding: identity\r\ncontent-encoding: gzip\r\n"), 415);
    assert_eq!(status("content-encoding: identity, gzip\r\n"), 415);
    assert_eq!(status("content-encoding: identity, Identity\r\ncontent-encoding:\r\n"), 202);
    let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", event(1).len(), event(1));
    for (coding, expected) in [
        ("transfer-encoding: Chunked", 202),
        ("transfer-encoding: gzip, chunked", 415),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", 415),
        ("transfer-encoding: chunked, chunked", 415),
    ] {
        let head = format!("POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {ONE}\r\n{coding}\r\n\r\n");
        assert_eq!(daemon.exchange(head + &body).status, expected, "{coding}");
    }
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for accept in [
        "accept: text/html\r\naccept: application/openmetrics-text",
        "accept: text/html; x=\",text/plain;\", application/openmetrics-text;q=0.5",
    ] {
        let answer = daemon.exchange(format!("GET /metrics HTTP/1.1\r\nhost: a\r\n{accept}\r\n\r\n"));
        assert_eq!(answer.header("content-type"), Some(open), "{accept}");
    }
    let quoted = "content-type: application/json; x=\"; charset=latin1\"\r\n";
    assert_eq!(daemon.post_with(quoted, event(1)).status, 202);
}

#[test]
fn a_request_says_once_which_host_it_is_for() {
    let daemon = Daemon::start(&format!("{MEMORY}{}", file_hook("a")));
    let status = |version: &str, hosts: &str| {
        let answer = daemon.exchange(format!("GET /healthz HTTP/{version}\r\n{hosts}\r\n"));
        if answer.status == 400 {
            assert!(answer.json()["error"].as_str().unwrap().starts_with("header `host` "), "{}", answer.body);
        }
        answer.status
    };
    for good in ["host: a\r\n", "host: a:80\r\n", "Host: [::1]:80\r\n", "host:\r\n"] {
        assert_eq!(status("1.1", good), 200, "{good}");
    }
    for bad in
        ["", "host: a\r\nhost: a\r\n", "host: a\r\nhost: b\r\n", "host: a, b\r\n", "host: u@a\r\n", "host: a/b\r\n"]
    {
        assert_eq!(status("1.1", bad), 400, "{bad}");
    }
    assert_eq!(status("1.0", ""), 200, "HTTP/1.0 knows no hosts");
    assert_eq!(status("1.0", "host: a\r\nhost: b\r\n"), 400);
}

#[test]
fn a_body_of_nothing_but_faults_is_read_as_far_as_one_of_events() {
    let daemon = Daemon::start(&format!("{MEMORY}{}", file_hook("a")));
    let size = 8_000_000;
    let array = |one: &str| format!("[{}]", vec![one; size / (one.len() + 1)].join(","));
    for (media, body) in [(BATCH, array("{}")), (BATCH, array("1")), (LINES, "x\n".repeat(size / 2))] {
        let answer = daemon.post(media, body);
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error), (413, json!("more than 10000 events in one request")));
    }
    let utf_16: Vec<u8> = (event(1) + "\n").repeat(100).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let answer = daemon.post(LINES, utf_16);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(answer.status == 400 && error.starts_with("the body seems to be UTF-16 text: "), "{error}");
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
    let answer = daemon.exchange("PUT /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    let allowed = answer.header("allow").map(str::to_uppercase);
    assert_eq!((answer.status, allowed.as_deref()), (405, Some("GET, HEAD, POST")), "{answer:?}");
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
