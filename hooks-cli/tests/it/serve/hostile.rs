//! Clients that are slow, broken or mean: each costs bounded time and memory, and nobody else notices.

use super::{Client, Daemon, file_hook};
use crate::command::event;

const HEAD: &str = "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";

/// With times that are short enough to wait for.
fn daemon() -> Daemon {
    Daemon::start(&format!(
        "ingest = {{ listen = '127.0.0.1:0', head_timeout = '300ms', body_timeout = '300ms', max_head = '8KiB', max_body = '1MiB', \
         max_in_flight = '2MiB' }}\n{}",
        file_hook("a")
    ))
}

/// The daemon still does its work, for anybody else.
fn is_well(daemon: &Daemon) {
    assert_eq!(daemon.post("application/json", event(1)).status, 202);
}

/// Most memory that a process has had, in MiB.
pub(super) fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.running.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_head_without_end_is_cut_off() {
    let daemon = daemon();
    let mut silent = daemon.connect();
    let mut slow = daemon.connect();
    for byte in HEAD.as_bytes() {
        // Its time may be over before the last one.
        slow.try_send([*byte]);
    }
    is_well(&daemon);
    // Both are closed, at the latest when their time is over.
    assert_eq!(slow.try_answer().map(|answer| answer.status).unwrap_or(408), 408);
    assert_eq!(silent.try_answer().map(|answer| answer.status).unwrap_or(408), 408);
    is_well(&daemon);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let daemon = daemon();
    let mut slow = daemon.connect();
    slow.send(format!("{HEAD}content-length: 100\r\n\r\n{{\"type\":"));
    let mut chunked = daemon.connect();
    chunked.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\n[1,2,"));
    is_well(&daemon);
    assert_eq!(slow.answer().status, 408);
    assert_eq!(chunked.answer().status, 408);
    assert_eq!(slow.try_answer(), None, "and the connection is closed");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let daemon = daemon();
    let one = daemon.exchange(format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000)));
    let many = daemon.exchange(format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200)));
    let line = daemon.exchange(format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(20_000)));
    assert_eq!((one.status, many.status), (431, 431));
    for answer in [one, many] {
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(error, "the head of the request has more than 8192 bytes (ingest.max_head) or 100 headers");
    }
    assert!([414, 431].contains(&line.status), "{}", line.status);
    is_well(&daemon);
}

#[test]
fn lengths_that_are_wrong_publish_nothing() {
    let daemon = daemon();
    let refused = |request: String| {
        let mut client = daemon.connect();
        client.send(request);
        client.end_sending();
        client.try_answer().is_none_or(|answer| answer.status == 400)
    };
    let body = event(1);
    assert!(refused(format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len() + 1)), "too long");
    assert!(refused(format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len() - 1)), "too short");
    assert!(refused(format!("{HEAD}content-length: 5\r\ncontent-length: 6\r\n\r\n{body}")), "two");
    assert!(refused(format!("{HEAD}content-length: -1\r\n\r\n{body}")), "negative");
    assert!(refused(format!("{HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n{body}")), "no chunk");
    assert!(refused(format!("{HEAD}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{body}")), "a huge chunk");
    assert!(refused("\x16\x03\x01\x02\x00\x01".to_owned() + &"\0".repeat(100)), "TLS");
    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some(0.0));
    is_well(&daemon);
}

#[test]
fn what_is_wrong_with_a_body_is_said() {
    let daemon = daemon();
    let why = |rest: &str| {
        let mut client = daemon.connect();
        client.send(format!("{HEAD}{rest}"));
        client.end_sending();
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{rest}");
        answer.json()["error"].as_str().unwrap().to_owned()
    };
    for (rest, cause) in [
        ("transfer-encoding: chunked\r\n\r\nzz\r\n", "chunk size"),
        ("transfer-encoding: chunked\r\n\r\n5\r\n{", "before"),
        ("content-length: 5\r\n\r\n{", "end of file before message length reached"),
    ] {
        let error = why(rest);
        assert!(error.starts_with("the body can't be read: ") && error.contains(cause), "{rest}: {error}");
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answer() {
    let daemon = daemon();
    let mut client = daemon.connect();
    let body = event(1);
    client.send(format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()));
    client.end_sending();
    assert_eq!(client.answer().status, 202);
    assert_eq!(client.try_answer(), None);
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let daemon = daemon();
    let mut client = daemon.connect();
    let request = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
    // Until nothing more fits in between and the daemon has had enough.
    while client.try_send(&request) {}
    is_well(&daemon);
}

#[test]
fn many_at_once_cost_bounded_memory_and_disturb_nobody() {
    let daemon = daemon();
    is_well(&daemon);
    let before = peak(&daemon);
    let mut clients: Vec<Client> = (0..200).map(|_| daemon.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        match number % 4 {
            0 => client.send(&HEAD[..20]),
            1 => client.send(format!("{HEAD}x: {}", "y".repeat(7_000))),
            // As much as may be in flight, many times over; most of it is refused.
            2 => drop(client.try_send(format!("{HEAD}content-length: 1000000\r\n\r\n{}", "1".repeat(300_000)))),
            _ => drop(client.try_send(format!("{HEAD}content-length: 999999999999\r\n\r\n"))),
        }
        if number % 20 == 0 {
            assert_eq!(daemon.get("/readyz").status, 200);
        }
    }
    for client in &mut clients {
        while client.try_answer().is_some() {}
    }
    is_well(&daemon);
    let grown = peak(&daemon) - before;
    assert!(grown < 40, "{grown} MiB more");
}

/// Requests that can't be read are answered by other code, which has to say as much as the rest.
#[test]
fn what_is_no_request_is_told_so() {
    let daemon = daemon();
    for request in [
        "nonsense\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nno header\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
        "GET /healthz HTTP/9.9\r\nhost: a\r\n\r\n",
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        // Behind one that is fine.
        "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nnonsense\r\n\r\n",
    ] {
        let mut client = daemon.connect();
        client.send(request);
        let mut answer = client.answer();
        if answer.status == 200 {
            answer = client.answer();
        }
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, Some("application/problem+json")),
            "{request}"
        );
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("this is no HTTP/1.1 request: "), "{request}: {error}");
        assert_eq!(client.try_answer(), None, "and it is the last: {request}");
    }
    is_well(&daemon);
}

/// A connection that is closed while its client still sends is reset, and takes the answer with it.
#[test]
fn an_answer_is_seen_by_whoever_sends_more_than_it_takes() {
    let daemon = Daemon::start(&format!(
        "ingest = {{ listen = '127.0.0.1:0', max_connections = 1, publish_timeout = '1ms' }}\n{}",
        file_hook("a")
    ));
    let body = "x".repeat(7_000_000);
    let answered = |line: &str, host: &str| {
        let mut client = daemon.connect();
        let length = body.len();
        client.send(format!(
            "{line} HTTP/1.1\r\n{host}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        ));
        client.send(&body);
        client.answer().status
    };
    let host = "host: a\r\n";
    for (line, host, status) in [
        ("POST /v1/event", host, 404),
        ("POST /healthz", host, 405),
        ("GET /healthz", host, 200),
        ("POST /metrics", host, 405),
        ("GET /metrics", host, 200),
        ("POST /v1/events", "", 400),
    ] {
        assert_eq!(answered(line, host), status, "{line}");
    }
    assert_eq!(daemon.metric("hooks_ingest_requests_total{status=\"400\"}"), Some(1.0), "it counts like any other");
    // All are busy.
    let mut busy = daemon.connect();
    busy.send(format!("{HEAD}content-length: 5\r\n\r\n{{"));
    assert_eq!(daemon.get("/healthz").status, 200);
    assert_eq!(answered("POST /v1/events", host), 503);
}

#[test]
fn a_refusal_says_when_no_other_request_can_follow() {
    let daemon = daemon();
    for (body, connection) in
        [("content-length: 9\r\nexpect: 100-continue", Some("close")), ("content-length: 0", None)]
    {
        let mut client = daemon.connect();
        client.send(format!("POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\n{body}\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (415, connection), "{body}");
    }
}
