//! A `hooks pipe` in front of NATS, which answers no operator, hears of them all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hooks_test::http::Receiver;

use super::{Server, operate};
use crate::command::{Place, event};
use crate::serve::http_hook;

/// Waits until this many events have come.
fn arrived(receiver: &Receiver, path: &str, events: usize) {
    let begin = std::time::Instant::now();
    while receiver.events(path).len() < events {
        assert!(begin.elapsed().as_secs() < 60, "{path}: {:?}", receiver.events(path));
        std::thread::yield_now();
    }
}

#[test]
fn a_hook_that_is_disabled_elsewhere_is_so_in_a_pipe_until_it_is_enabled() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = server.config(&[http_hook("a", &receiver.url("/a")), http_hook("b", &receiver.url("/b"))].concat());
    let place = Place::new(&config);
    let mut pipe = place.start();
    pipe.write(&(event(1) + "\n"));
    arrived(&receiver, "/a", 1);
    assert_eq!(operate(&place, "disable a"), (Some(0), "hook `a` is disabled\n".into()));
    let said = pipe.wait_for("another process disabled the hook");
    assert!(said.contains("hook=a") && said.contains("Operator"), "{said}");
    pipe.write(&(event(2) + "\n"));
    arrived(&receiver, "/b", 2);
    assert_eq!(receiver.events("/a").len(), 1);
    assert_eq!(operate(&place, "enable a"), (Some(0), "hook `a` is enabled\n".into()));
    arrived(&receiver, "/a", 2);
    let ended = pipe.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[test]
fn a_hook_that_is_disabled_elsewhere_keeps_a_pipe_from_its_end_no_longer() {
    let Some(server) = Server::start() else { return };
    let answer = Arc::new(AtomicU16::new(503));
    let given = answer.clone();
    let receiver = Receiver::on_thread(move |_| given.load(Ordering::Relaxed));
    let place = Place::new(&server.config(&http_hook("a", &receiver.url("/a"))));
    let mut pipe = place.start();
    pipe.write(&(event(1) + "\n"));
    arrived(&receiver, "/a", 1);
    pipe.end_input();
    assert_eq!(operate(&place, "disable a").0, Some(0));
    let ended = pipe.wait();
    let said = "not everything was delivered: hook `a`: disabled by an operator, ";
    assert!(ended.code == Some(1) && ended.err.contains(said), "{}", ended.err);
    assert!(ended.err.contains("1 event left behind"), "{}", ended.err);
    // Nothing is lost by that.
    answer.store(200, Ordering::Relaxed);
    assert_eq!(operate(&place, "enable a").0, Some(0));
    let before = receiver.events("/a").len();
    let ended = place.pipe("");
    assert_eq!((ended.code, receiver.events("/a").len()), (Some(0), before + 1), "{}", ended.err);
}
