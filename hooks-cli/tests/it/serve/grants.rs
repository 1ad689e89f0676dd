//! Receivers that grant deliveries later, at the address that the question named.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hooks_test::http::{Receiver, answer};
use http::Method;
use serde_json::Value as Json;

use super::managed::ask;
use super::verify::{self, posts, status, until};
use super::{Answer, Client, Daemon, JSON};
use crate::command::event;

const PUBLIC: &str = "api.public_url = 'https://events.example.com/base/'\n";

/// The next attempt of its own is far away.
fn config(url: &str) -> String {
    PUBLIC.to_owned() + &verify::config(url).replace("initial = '1ms', max = '2ms'", "initial = '12h', max = '12h'")
}

/// Grants nothing in its answers.
fn receiver() -> Receiver {
    Receiver::answering(|_| answer(200, ""))
}

/// The addresses that the receiver was given, as paths of the daemon.
fn addresses(receiver: &Receiver) -> Vec<String> {
    let asked = receiver.seen().into_iter().filter(|seen| seen.method == Method::OPTIONS);
    let address = |value: &str| value.strip_prefix("https://events.example.com/base").unwrap().to_owned();
    asked.filter_map(|seen| seen.header("webhook-request-callback").map(address)).collect()
}

fn call(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("{method} {path} HTTP/1.1\r\nhost: events.example.com\r\n{headers}content-length: 0\r\n\r\n"));
    client.answer()
}

/// Waits until the hook is held, and says why.
fn held(daemon: &Daemon) -> String {
    loop {
        let report = status(&daemon.place);
        if report.contains("not granted") {
            return report;
        }
    }
}

#[test]
fn a_receiver_grants_by_a_call_later_and_the_hook_goes_on_at_once() {
    let receiver = receiver();
    let daemon = Daemon::with(&config(&receiver.url("/in")), &["--log", "trace"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let report = held(&daemon);
    assert!(report.contains("\"held\"") && report.contains("it waits for the receiver to call back"), "{report}");
    let path = addresses(&receiver).pop().unwrap();
    let (route, secret) = path.rsplit_once('/').unwrap();
    assert_eq!((route, secret.len()), ("/v1/grants", 43));

    let at = daemon.address;
    let wrong = format!("{route}/{}", secret.chars().rev().collect::<String>());
    for (method, path, headers, status) in [
        ("GET", wrong.as_str(), "", 404),
        ("GET", route, "", 404),
        ("GET", &format!("{route}/%FF"), "", 404),
        ("PUT", &path, "", 405),
        ("POST", &path, "webhook-allowed-rate: 0\r\n", 422),
        ("POST", &path, "webhook-allowed-origin: other.example\r\n", 422),
    ] {
        let answer = call(at, method, path, headers);
        assert_eq!(answer.status, status, "{method} {path} {headers}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {path}: {answer:?}");
    }
    // Whoever only looks does not grant.
    let mut client = daemon.connect();
    client.send(format!("HEAD {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
    assert!(client.try_answer().is_none(), "an answer without a body");
    assert_eq!(posts(&receiver), 0);
    // A test shows what it sends to whoever asks for it, who may be no friend of the receiver.
    let tested = ask(&daemon, "POST", "/v1/hooks/orders/test", &Json::Null);
    assert!(tested.body.contains("OPTIONS") && !tested.body.contains("webhook-request-callback"), "{tested:?}");

    let granted =
        call(at, "POST", &path, "webhook-allowed-origin: events.example.com\r\nwebhook-allowed-rate: 600\r\n");
    assert_eq!((granted.status, granted.header("cache-control")), (200, Some("no-store")), "{granted:?}");
    until(&daemon, || posts(&receiver) == 1);
    while !status(&daemon.place).contains("\"healthy\"") {}
    assert_eq!(call(at, "POST", &path, "").status, 404, "it is heard once");
    let secret = secret.to_owned();
    let ended = daemon.stop();
    assert!(ended.code == Some(0) && !ended.err.contains(&secret), "no log tells it");
}

#[test]
fn a_receiver_that_calls_before_it_answers_is_delivered_to_at_once() {
    let daemon_at = Arc::new(Mutex::new(None));
    let at = daemon_at.clone();
    let receiver = Receiver::answering(move |seen| {
        if let Some(callback) = seen.header("webhook-request-callback") {
            let path = callback.strip_prefix("https://events.example.com/base").unwrap();
            let address = at.lock().unwrap().unwrap();
            // By hand, with a browser.
            assert_eq!(call(address, "GET", path, "").status, 200);
        }
        answer(200, "")
    });
    let mut daemon = Daemon::start(&config(&receiver.url("/in")));
    *daemon_at.lock().unwrap() = Some(daemon.address);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    until(&daemon, || posts(&receiver) == 1);
    // Another url is another receiver.
    daemon.reload(&config(&receiver.url("/other")));
    daemon.running.wait_for("replaced hook=orders");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    until(&daemon, || posts(&receiver) == 2);
    let given = addresses(&receiver);
    assert!(given.len() == 2 && given[0] != given[1], "{given:?}");
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_receiver_that_never_calls_gets_nothing_and_the_same_address_each_time() {
    let receiver = receiver();
    let config = config(&receiver.url("/in")).replace("12h", "1ms");
    let daemon = Daemon::start(&config);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    until(&daemon, || addresses(&receiver).len() >= 4);
    let mut given = addresses(&receiver);
    given.dedup();
    assert_eq!((given.len(), posts(&receiver)), (1, 0));
    // Without the setting nobody could call.
    daemon.reload(config.strip_prefix(PUBLIC).unwrap());
    until(&daemon, || receiver.seen().last().is_some_and(|seen| seen.header("webhook-request-callback").is_none()));
    assert_eq!(posts(&receiver), 0);
}

/// Neither a grant nor a secret outlives the process: the next one asks.
#[test]
fn after_a_restart_the_receiver_is_asked_for_another_call() {
    let receiver = receiver();
    let daemon = Daemon::start(&config(&receiver.url("/in")));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    held(&daemon);
    let daemon = Daemon::again(daemon.kill());
    until(&daemon, || addresses(&receiver).len() == 2);
    let given = addresses(&receiver);
    assert_eq!(call(daemon.address, "GET", &given[0], "").status, 404);
    assert_eq!(call(daemon.address, "GET", &given[1], "").status, 200);
    until(&daemon, || posts(&receiver) == 1);
}
