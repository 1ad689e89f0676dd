//! Hooks that deliver only once their receiver has granted it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks_test::http::{Receiver, answer};
use http::{Method, Response};

use super::durable::operate;
use super::{Daemon, JSON};
use crate::command::{Place, event};

/// A receiver that grants once it is told to.
fn receiver() -> (Receiver, Arc<AtomicBool>) {
    let grants = Arc::new(AtomicBool::new(false));
    let granted = grants.clone();
    let receiver = Receiver::answering(move |seen| {
        let mut response = answer(200, "");
        if seen.method == Method::OPTIONS && granted.load(Ordering::SeqCst) {
            grant(&mut response);
        }
        response
    });
    (receiver, grants)
}

fn grant(response: &mut Response<String>) {
    response.headers_mut().insert("webhook-allowed-origin", "events.example.com".parse().unwrap());
    response.headers_mut().insert("webhook-allowed-rate", "6000".parse().unwrap());
}

pub(super) fn config(url: &str) -> String {
    format!(
        "[[hooks]]\nid = 'orders'\nretry = {{ initial = '1ms', max = '2ms' }}\n\
         sink = {{ kind = 'http', url = '{url}', verify = 'cloudevents', origin = 'events.example.com' }}\n"
    )
}

pub(super) fn posts(receiver: &Receiver) -> usize {
    receiver.seen().iter().filter(|seen| seen.method == Method::POST).count()
}

/// Events that arrived, each time that they did.
fn arrived(receiver: &Receiver) -> usize {
    let posts = receiver.seen().into_iter().filter(|seen| seen.method == Method::POST);
    posts.map(|seen| seen.elements().len()).sum()
}

/// Asks the daemon for something until this is so.
pub(super) fn until(daemon: &Daemon, is_so: impl Fn() -> bool) {
    super::until("the receiver", || {
        daemon.get("/healthz");
        is_so()
    });
}

pub(super) fn status(place: &Place) -> String {
    operate(place, &["status", "--json"]).1
}

#[test]
fn a_hook_is_held_until_the_receiver_grants_and_loses_nothing() {
    let (receiver, grants) = receiver();
    let mut daemon = Daemon::start(&config(&receiver.url("/in")));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    for _ in 0..3 {
        receiver.wait();
    }
    let report = loop {
        let report = status(&daemon.place);
        if report.contains("not granted") {
            break report;
        }
    };
    assert!(
        report.contains("\"held\"") && report.contains("the answer has no webhook-allowed-origin (200)"),
        "{report}"
    );
    assert_eq!(posts(&receiver), 0);

    grants.store(true, Ordering::SeqCst);
    until(&daemon, || posts(&receiver) == 1);
    while !status(&daemon.place).contains("\"healthy\"") {}
    assert_eq!(arrived(&receiver), 1);

    // A replaced hook with the same url asks no second time, one with another does.
    let asked = |path: &str| {
        receiver.seen().iter().filter(|seen| seen.method == Method::OPTIONS && seen.path() == path).count()
    };
    let before = asked("/in");
    daemon.reload(&(config(&receiver.url("/in")) + "metadata = { env = 'x' }\n"));
    daemon.running.wait_for("replaced hook=orders");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    until(&daemon, || posts(&receiver) == 2);
    assert_eq!(asked("/in"), before);
    daemon.reload(&config(&receiver.url("/other")));
    daemon.running.wait_for("replaced hook=orders");
    assert_eq!(daemon.post(JSON, event(3)).status, 202);
    until(&daemon, || posts(&receiver) == 3);
    assert_eq!((asked("/other"), daemon.stop().code), (1, Some(0)));
}

/// What was kept while nothing was granted is delivered by the next run, which asks anew.
#[test]
fn a_restart_asks_when_the_first_event_is_there() {
    let (receiver, grants) = receiver();
    let daemon = Daemon::start(&config(&receiver.url("/in")));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    let place = daemon.kill();
    grants.store(true, Ordering::SeqCst);
    let daemon = Daemon::again(place);
    until(&daemon, || posts(&receiver) == 1);
    assert_eq!(arrived(&receiver), 1);
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn without_events_nobody_is_asked() {
    let (receiver, _grants) = receiver();
    let daemon = Daemon::start(&config(&receiver.url("/in")));
    assert_eq!((daemon.stop().code, receiver.seen().len()), (Some(0), 0));
}

#[test]
fn a_receiver_that_does_not_answer_has_granted_nothing() {
    let receiver = Receiver::closed();
    let config = config(&receiver.url("/in")).replace("max = '2ms'", "max = '2ms', attempt_timeout = '50ms'");
    let daemon = Daemon::start(&config);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    loop {
        let report = status(&daemon.place);
        if report.contains("not granted: no answer came in time") {
            assert!(report.contains("\"held\""), "{report}");
            break;
        }
    }
}

#[test]
fn a_test_delivery_shows_the_question_and_its_answer() {
    let (receiver, grants) = receiver();
    let place = Place::new(&config(&receiver.url("/in")));
    let refused = place.run(&["test", "-c", "hooks.toml", "orders"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    for part in ["OPTIONS ", "not granted", "advice ", "webhook-allowed-origin"] {
        assert!(refused.out.contains(part), "{part}: {}", refused.out);
    }
    assert_eq!(posts(&receiver), 0);
    grants.store(true, Ordering::SeqCst);
    let delivered = place.run(&["test", "-c", "hooks.toml", "orders"]);
    assert_eq!((delivered.code, posts(&receiver)), (Some(0), 1), "{}", delivered.out);
    for part in ["OPTIONS ", "POST ", "granted"] {
        assert!(delivered.out.contains(part), "{part}: {}", delivered.out);
    }
}

#[test]
fn a_sender_without_a_name_is_a_mistake_in_the_config() {
    let place = Place::new(&config("https://example.com").replace(", origin = 'events.example.com'", ""));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.contains("origin: it is missing: `verify` asks"), "{}", ended.err);
}
