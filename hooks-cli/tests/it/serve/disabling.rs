//! Hooks that are disabled, and stay so.

use std::sync::atomic::Ordering;

use super::durable::{changing, operate};
use super::{Daemon, JSON, http_hook, until};
use crate::command::event;

#[test]
fn a_hook_that_its_receiver_disabled_stays_so_until_it_is_enabled() {
    let (receiver, answer) = changing(410);
    let mut daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    daemon.running.wait_for("the hook is disabled: its receiver wants nothing any more");
    until("it shows", || operate(&daemon.place, &["status"]).1.contains("by receiver"));
    let place = daemon.kill();
    answer.store(200, Ordering::Relaxed);
    let daemon = Daemon::again(place);
    let (_, out) = operate(&daemon.place, &["status"]);
    assert!(out.contains("disabled by receiver") && out.contains("410 Gone"), "{out}");
    let seen = receiver.seen().len();
    let (code, out) = operate(&daemon.place, &["enable", "a"]);
    assert_eq!((code, out.as_str()), (Some(0), "hook `a` is enabled\n"));
    until("another attempt", || receiver.seen().len() > seen);
    assert_eq!(receiver.events("/").last(), Some(&event(1)));
}

/// The time since when nothing is accepted goes on over a restart: the first failure behind it decides.
#[test]
fn a_restart_does_not_begin_anew_to_count_failures() {
    let (receiver, _) = changing(503);
    let hook = http_hook("a", &receiver.url("/")).replace("initial = '1ms', max = '2ms'", "schedule = ['300ms']");
    let daemon = Daemon::start(&format!("{hook}disable_after = '30s'\n"));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    // The tenth attempt comes 2.7 s behind the first.
    until("ten attempts", || receiver.seen().len() >= 10);
    let place = daemon.kill();
    let seen = receiver.seen().len();
    std::fs::write(place.path("hooks.toml"), place.read("hooks.toml").replace("'30s'", "'2s'")).unwrap();
    let mut daemon = Daemon::again(place);
    daemon.running.wait_for("the hook is disabled: nothing but failures for `disable_after`");
    assert_eq!(receiver.seen().len(), seen + 1);
}
