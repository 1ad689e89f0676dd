//! Daemons that crash, hang and come back, and what operators see and do meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::{SHORT, Server, operate, receiver_that_refuses, status, until};
use crate::command::event;
use crate::serve::{Daemon, JSON, LINES, http_hook};

/// Two daemons with the hooks `a` and `b`, each of which owns one.
fn two(config: &str) -> [Daemon; 2] {
    let daemons = [Daemon::start(config), Daemon::start(config)];
    until(&daemons[0].place, |hooks| {
        hooks.iter().all(|hook| hook["owner"].is_string()) && hooks[0]["owner"] != hooks[1]["owner"]
    });
    daemons
}

pub(super) fn process(daemon: &Daemon) -> String {
    format!("-{}-", daemon.running.id())
}

/// The owner of hook `a`, and the other one.
pub(super) fn by_ownership(daemons: [Daemon; 2]) -> (Daemon, Daemon, String) {
    let owner = status(&daemons[0].place)[0]["owner"].as_str().unwrap().to_owned();
    let [first, second] = daemons;
    if owner.contains(&process(&first)) { (first, second, owner) } else { (second, first, owner) }
}

#[test]
fn a_daemon_that_was_killed_is_gone_at_once() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = [http_hook("a", &receiver.url("/a")), http_hook("b", &receiver.url("/b"))].concat();
    let (owner, other, _) = by_ownership(two(&server.config(&config)));
    owner.kill();
    let place = &other.place;
    let hooks = until(place, |hooks| hooks[0]["state"] == "no owner");
    assert_eq!((&hooks[0]["owner"], &hooks[0]["counts"]), (&Json::Null, &Json::Null), "{hooks:?}");
    assert_eq!((&hooks[1]["state"], hooks[1]["owner"].is_string()), (&"healthy".into(), true), "{hooks:?}");
    let (code, out) = operate(place, "disable nope");
    assert!(code == Some(1) && out.contains("there is no hook `nope`; known: a, b"), "{out}");
    assert_eq!(operate(place, "disable a"), (Some(0), "hook `a` is disabled\n".into()));
    let (_, table) = operate(place, "status");
    assert!(table.contains("disabled by operator") && !table.contains("no owner"), "{table}");
    assert_eq!(operate(place, "enable a"), (Some(0), "hook `a` is enabled\n".into()));
    assert_eq!(status(place)[0]["state"], "no owner");
    let (code, out) = operate(place, "dead-letters replay a --all");
    assert!(code == Some(1) && out.contains("no daemon has the hook `a` now: one takes it"), "{out}");
}

#[test]
fn when_all_were_killed_operators_work_on_what_nats_keeps() {
    let Some(server) = Server::start() else { return };
    let (receiver, _) = receiver_that_refuses();
    let daemon = Daemon::start(&server.config(&http_hook("a", &receiver.url("/a"))));
    let lines: String = (1..4).map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
    until(&daemon.place, |hooks| hooks[0]["dead_letters"] == 1 && hooks[0]["lag"]["events"] == 0);
    let place = daemon.kill();
    until(&place, |hooks| hooks[0]["state"] == "stopped");
    let (_, out) = operate(&place, "status");
    assert!(out.contains("no daemon runs: this is what the bus has"), "{out}");
    assert_eq!(operate(&place, "disable a"), (Some(0), "hook `a` is disabled\n".into()));
    let (_, out) = operate(&place, "status");
    assert!(out.contains("stopped, disabled by operator"), "{out}");
    let (code, out) = operate(&place, "disable nope");
    assert!(code == Some(1) && out.contains("there is no hook `nope`; known: a"), "{out}");
    assert_eq!(operate(&place, "enable a"), (Some(0), "hook `a` is enabled\n".into()));
}

/// It may be cut off rather than dead, and deliver for a lease.
#[test]
fn a_replay_in_place_of_a_daemon_that_was_killed_waits_for_the_end_of_its_lease() {
    let Some(server) = Server::start() else { return };
    let (receiver, answer) = receiver_that_refuses();
    let daemon = Daemon::start(&server.with_lease(SHORT, &http_hook("a", &receiver.url("/a"))));
    let lines: String = (1..4).map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
    until(&daemon.place, |hooks| hooks[0]["dead_letters"] == 1 && hooks[0]["lag"]["events"] == 0);
    let place = daemon.kill();
    answer.store(200, Ordering::Relaxed);
    assert_eq!(
        operate(&place, "dead-letters replay a --all"),
        (Some(0), "1 delivered, 0 refused again, 0 not tried\n".into())
    );
}

#[test]
fn whoever_looks_first_sees_how_old_a_sign_of_life_is() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&server.with_lease(SHORT, &http_hook("a", &receiver.url("/a"))));
    let pid = process(&daemon);
    let (_, out) = operate(&daemon.place, "log info");
    assert!(out.contains(&pid), "{out}");
    let place = daemon.kill();
    let begin = std::time::Instant::now();
    // Each look is a process that has heard nothing before.
    while operate(&place, "log info").1.contains(&pid) {
        assert!(begin.elapsed().as_secs() < 60, "it lives on");
    }
}

#[test]
fn a_daemon_that_hangs_is_named() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let patient = |id: &str| {
        let url = receiver.url("/x");
        format!(
            "[[hooks]]\nid = '{id}'\nsink = {{ kind = 'http', url = '{url}' }}\nretry = {{ attempt_timeout = '1s' }}\n"
        )
    };
    let config = server.config(&[patient("a"), patient("b")].concat());
    let (owner, other, name) = by_ownership(two(&config));
    owner.running.signal("STOP");
    let place = &other.place;
    let hooks = status(place);
    let silent = format!("the instance {name} does not answer");
    assert_eq!((&hooks[0]["state"], &hooks[0]["owner"]), (&"unknown".into(), &name.clone().into()), "{hooks:?}");
    assert_eq!((&hooks[0]["last_error"], &hooks[1]["state"]), (&silent.clone().into(), &"healthy".into()), "{hooks:?}");
    let (code, out) = operate(place, "disable a");
    let said = format!("hook `a` is disabled on the bus, but {silent}: there it holds when");
    assert!(code == Some(1) && out.contains(&said), "{out}");
    let (_, table) = operate(place, "status");
    assert!(table.contains("disabled by operator") && !table.contains("unknown"), "{table}");
    owner.running.signal("CONT");
    let hooks = until(place, |hooks| hooks[0]["state"] == "disabled" && hooks[0]["last_error"].is_null());
    assert_eq!(hooks[0]["owner"], name.as_str(), "it has heard: {hooks:?}");
}

#[test]
fn a_daemon_that_comes_back_reads_first_which_hooks_are_disabled() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&server.with_lease(SHORT, &http_hook("a", &receiver.url("/a"))));
    let other = Daemon::start(&server.with_lease(SHORT, &http_hook("b", &receiver.url("/b"))));
    let place = &daemon.place;
    until(place, |hooks| hooks.iter().all(|hook| hook["owner"].is_string()));
    // It is asked to disable the hook, which takes effect without it, and not to enable and disable it again.
    daemon.running.signal("STOP");
    assert_eq!(operate(place, "disable a"), (Some(0), "hook `a` is disabled\n".into()));
    until(place, |hooks| hooks[0]["owner"].is_null());
    assert_eq!(operate(place, "enable a"), (Some(0), "hook `a` is enabled\n".into()));
    daemon.running.signal("CONT");
    let back = |hooks: &[Json]| hooks[0]["owner"].as_str().is_some_and(|owner| owner.contains(&process(&daemon)));
    until(place, |hooks| back(hooks) && hooks[0]["state"] == "healthy");
    daemon.running.signal("STOP");
    until(place, |hooks| hooks[0]["owner"].is_null());
    assert_eq!(operate(place, "disable a"), (Some(0), "hook `a` is disabled\n".into()));
    assert_eq!(other.post(JSON, event(1)).status, 202);
    daemon.running.signal("CONT");
    let disabled = |hook: &Json| hook["state"] == "disabled" && hook["counts"].is_object();
    until(place, |hooks| back(hooks) && disabled(&hooks[0]) && hooks[0]["lag"]["events"] == 1);
    assert!(receiver.events("/a").is_empty());
    assert_eq!(operate(place, "enable a").0, Some(0));
    until(place, |hooks| hooks[0]["state"] == "healthy" && hooks[0]["lag"]["events"] == 0);
    assert_eq!(receiver.events("/a").len(), 1);
}

#[test]
fn whoever_takes_over_a_disabled_hook_leaves_it_disabled() {
    let Some(server) = Server::start() else { return };
    let answer = Arc::new(AtomicU16::new(410));
    let given = answer.clone();
    let receiver =
        Receiver::on_thread(move |seen| if seen.path() == "/a" { given.load(Ordering::Relaxed) } else { 200 });
    let config = [http_hook("a", &receiver.url("/a")), http_hook("b", &receiver.url("/b"))].concat();
    let (owner, other, _) = by_ownership(two(&server.with_lease(SHORT, &config)));
    let lines: String = (1..4).map(|number| event(number) + "\n").collect();
    assert_eq!(owner.post(LINES, lines).status, 202);
    until(&other.place, |hooks| hooks[0]["disabled"]["by"] == "receiver");
    let asked = receiver.events("/a").len();
    owner.kill();
    let taken = |hooks: &[Json]| hooks[0]["owner"].as_str().is_some_and(|owner| owner.contains(&process(&other)));
    let hooks = until(&other.place, |hooks| taken(hooks) && hooks[0]["state"] == "disabled");
    assert_eq!((&hooks[0]["disabled"]["by"], receiver.events("/a").len()), (&"receiver".into(), asked), "{hooks:?}");
    assert!(hooks[0]["last_error"].as_str().is_some_and(|error| error.contains("410")), "{hooks:?}");
    answer.store(200, Ordering::Relaxed);
    assert_eq!(operate(&other.place, "enable a").0, Some(0));
    until(&other.place, |hooks| hooks[0]["state"] == "healthy" && hooks[0]["lag"]["events"] == 0);
    assert!(receiver.events("/a").len() > asked);
}
