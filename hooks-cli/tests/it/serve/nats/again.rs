//! Daemons that come back on the machine where they were killed, long before their lease ends.

use hooks_test::http::Receiver;

use super::gone::process;
use super::{Server, status, until};
use crate::serve::crash_loop;
use crate::serve::{Daemon, http_hook};

#[test]
fn a_daemon_that_is_killed_again_and_again_has_its_hooks_at_once_and_gets_on() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::closed();
    let daemon = Daemon::start(&server.config(&crash_loop::hook(&receiver)));
    let is_kept = |place: &_, position: usize| status(place)[0]["position"].as_u64() >= Some(position as u64);
    crash_loop::lives(daemon, &receiver, is_kept);
}

/// It may go on, and is not taken for one that has ended.
#[test]
fn a_daemon_that_hangs_keeps_its_hooks_from_one_that_starts_beside_it() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let [a, b] = ["a", "b"].map(|hook| http_hook(hook, &receiver.url("/")));
    let hangs = Daemon::start(&server.config(&a));
    until(&hangs.place, |hooks| hooks[0]["owner"].is_string());
    hangs.running.signal("STOP");
    let other = Daemon::start(&server.config(&[a, b].concat()));
    let of = |hook: &serde_json::Value, daemon: &Daemon| {
        hook["owner"].as_str().is_some_and(|owner| owner.contains(&process(daemon)))
    };
    let hooks = until(&other.place, |hooks| of(&hooks[1], &other));
    assert!(of(&hooks[0], &hangs), "{hooks:?}");
    hangs.running.signal("CONT");
}
