//! The durable bus in the daemon, and what operators do with it.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hooks_test::http::Receiver;
use serde_json::json;

use super::{Daemon, JSON, LINES, file_hook, http_hook};
use crate::command::{Place, event};

/// A receiver whose answer can be changed.
pub(super) fn changing(status: u16) -> (Receiver, Arc<AtomicU16>) {
    let answer = Arc::new(AtomicU16::new(status));
    let given = answer.clone();
    (Receiver::on_thread(move |_| given.load(Ordering::Relaxed)), answer)
}

/// Three events, of which the receiver refuses the second.
pub(super) fn refusing() -> (Receiver, Daemon) {
    let receiver = Receiver::on_thread(|seen| if seen.text().contains("\"id\":\"2\"") { 422 } else { 200 });
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    let lines: String = (1..4).map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
    while daemon.metric("hooks_events_dead_lettered_total{hook=\"a\",reason=\"refused\"}") != Some(1.0) {}
    (receiver, daemon)
}

pub(super) fn operate(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let at =
        arguments.iter().take_while(|argument| argument.chars().all(|char| char.is_ascii_lowercase() || char == '-'));
    let at = at.count().min(if ["dead-letters", "log", "secrets"].contains(&arguments[0]) { 2 } else { 1 });
    let whole = [&arguments[..at], &["-c", "hooks.toml"], &arguments[at..]].concat();
    let ended = place.run(&whole);
    (ended.code, ended.out + &ended.err)
}

#[test]
fn what_was_accepted_survives_the_end_of_the_process() {
    let receiver = Receiver::closed();
    let daemon = Daemon::start(&[http_hook("a", &receiver.url("/")), file_hook("b")].concat());
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    let place = daemon.kill();
    receiver.open();
    let daemon = Daemon::again(place);
    while !receiver.events("/").contains(&event(2)) {
        std::thread::yield_now();
    }
    let place_of_file = daemon.place.path("b");
    let ended = daemon.running;
    ended.signal("TERM");
    assert_eq!(ended.wait().code, Some(0));
    let written = std::fs::read_to_string(place_of_file).unwrap();
    let mut lines: Vec<&str> = written.lines().collect();
    lines.dedup();
    assert_eq!(lines, [event(1), event(2)]);
}

#[test]
fn a_second_daemon_in_the_same_folder_is_refused() {
    let daemon = Daemon::start(&file_hook("a"));
    let ended = daemon.place.run(&["serve", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("is in use by another process"), "{}", ended.err);
}

/// Events that are refused together with everything else may be taken another time.
#[test]
fn a_stop_leaves_what_is_only_suspect_for_the_next_run() {
    let (receiver, answer) = changing(400);
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    assert_eq!(daemon.post(LINES, event(1) + "\n" + &event(2)).status, 202);
    while receiver.seen().len() < 3 {
        std::thread::yield_now();
    }
    let Daemon { place, mut running, .. } = daemon;
    running.wait_for("events are refused and nothing else is accepted");
    running.signal("TERM");
    let ended = running.wait();
    assert!(ended.err.contains("left behind: the log keeps them"), "{}", ended.err);
    answer.store(200, Ordering::Relaxed);
    let seen = receiver.seen().len();
    let daemon = Daemon::again(place);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(2.0) {}
    let arrived: String = receiver.seen()[seen..].iter().map(|seen| seen.text().to_owned()).collect();
    assert!(arrived.contains(&event(1)) && arrived.contains(&event(2)), "{arrived}");
}

#[test]
fn a_daemon_waits_for_a_folder_that_is_about_to_be_free() {
    let daemon = Daemon::start(&file_hook("a"));
    let Daemon { place, running, .. } = daemon;
    let next = place.hooks(&["serve", "-c", "hooks.toml"]);
    let next = crate::command::Running::of(next);
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    let next = Daemon::of(place, next);
    assert_eq!(next.post(JSON, event(1)).status, 202);
}

#[test]
fn the_socket_is_private_and_goes_with_the_daemon() {
    let daemon = Daemon::start(&file_hook("a"));
    let socket = daemon.place.path("hooks-data/operator.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, out) = operate(&daemon.place, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &status["id"], &status["state"]), (Some(0), &"a".into(), &"healthy".into()));
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    running.wait();
    assert!(!place.path("hooks-data/operator.sock").exists());
    let (code, out) = operate(&place, &["status"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("stopped") && out.contains("no daemon has the folder"), "{out}");
}

#[test]
fn dead_letters_are_listed_shown_replayed_and_dropped() {
    let (_receiver, daemon) = refusing();
    let place = &daemon.place;
    let (_, out) = operate(place, &["dead-letters", "list"]);
    assert!(out.contains("refused  test.counted  2      /test   ") && out.contains("422"), "{out}");
    let (_, out) = operate(place, &["dead-letters", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        [&listed["event_id"], &listed["source"], &listed["event"]],
        [&json!("2"), &json!("/test"), &json!(null)]
    );
    let (_, out) = operate(place, &["dead-letters", "show", "a"]);
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(out.contains(&event(2)), "the event is byte for byte what came in: {out}");
    let id = shown["id"].to_string();
    let (_, out) = operate(place, &["dead-letters", "replay", "a", "--type", "other.*", "--dry-run"]);
    assert_eq!(out, "0 dead letters would be delivered once more\n");
    let (code, out) = operate(place, &["dead-letters", "replay", "a", "--id", &id]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with("0 delivered, 1 refused again, 0 not tried\n"), "{out}");
    let (_, out) = operate(place, &["dead-letters", "show", "a", "--id", &id]);
    let again: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(again["attempts"].as_u64(), shown["attempts"].as_u64().map(|attempts| attempts + 1), "{out}");
    let (code, out) = operate(place, &["dead-letters", "drop", "a"]);
    assert_eq!(code, Some(2), "{out}");
    let (code, out) = operate(place, &["dead-letters", "drop", "a", "--all"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 dead letter dropped\n"));
}

#[test]
fn dead_letters_can_be_replayed_while_no_daemon_runs() {
    let (receiver, daemon) = refusing();
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    running.wait();
    let healed = Receiver::on_thread(|_| 200);
    let config = place.read("hooks.toml").replace(&receiver.url("/"), &healed.url("/"));
    std::fs::write(place.path("hooks.toml"), config).unwrap();
    let (code, out) = operate(&place, &["dead-letters", "replay", "a"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 delivered, 0 refused again, 0 not tried\n"));
    assert_eq!(healed.events("/"), [event(2).replacen('{', r#"{"hooksreplay":true,"#, 1)]);
    let (_, out) = operate(&place, &["dead-letters", "list"]);
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[test]
fn an_operator_disables_enables_and_forgets() {
    let receiver = Receiver::on_thread(|_| 200);
    let config = [http_hook("a", &receiver.url("/")), file_hook("b")].concat();
    let mut daemon = Daemon::start(&config);
    assert_eq!(operate(&daemon.place, &["disable", "a"]).1, "hook `a` is disabled\n");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let (_, out) = operate(&daemon.place, &["status"]);
    assert!(out.contains("disabled by operator"), "{out}");
    let (code, out) = operate(&daemon.place, &["forget", "a"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("is in the config file and runs"), "{out}");
    let (code, out) = operate(&daemon.place, &["enable", "c"]);
    assert_eq!((code, out.as_str()), (Some(1), "there is no hook `c`; known: a, b\n"));
    daemon.reload(&file_hook("b"));
    daemon.running.wait_for("applied");
    assert_eq!(operate(&daemon.place, &["forget", "a"]).1, "hook `a` is forgotten\n");
    daemon.reload(&config);
    daemon.running.wait_for("applied");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    while receiver.seen().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(receiver.events("/"), [event(2)], "under its name comes a new hook");
}

#[test]
fn the_log_is_described_verified_and_repaired() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let (code, out) = operate(&daemon.place, &["log", "info"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("segments:\n") && out.contains("damage: none"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("20") && line.contains('T')), "dates are for people: {out}");
    let (code, out) = operate(&daemon.place, &["log", "verify"]);
    assert!(code == Some(1) && out.contains("in use by another process"), "{out}");
    let place = daemon.kill();
    let (code, out) = operate(&place, &["log", "verify", "--json"]);
    let verified: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &verified["events"], &verified["lost"]), (Some(0), &1.into(), &0.into()));
    assert_eq!(operate(&place, &["log", "repair"]).1, "there is nothing to repair\n");
}

#[test]
fn operators_need_no_config_file() {
    let daemon = Daemon::start(&file_hook("a"));
    let ended = daemon.place.run(&["status", "--dir", "hooks-data"]);
    assert_eq!((ended.code, ended.out.contains("healthy")), (Some(0), true), "{}", ended.err);
    let ended = daemon.place.run(&["disable", "--dir", "hooks-data", "a"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "hook `a` is disabled\n"), "{}", ended.err);
    assert_eq!(daemon.place.run(&["status"]).code, Some(2));
}

#[test]
fn what_the_config_file_disables_no_operator_enables() {
    let daemon = Daemon::start(&(file_hook("a") + "enabled = false\n"));
    let (code, out) = operate(&daemon.place, &["enable", "a"]);
    assert!(code == Some(1) && out.contains("has `enabled = false` in the config file"), "{out}");
}

#[test]
fn looking_makes_no_folder() {
    let place = Place::new(&file_hook("a"));
    let (code, out) = operate(&place, &["status"]);
    let nothing = format!("`{}` holds no log (No such file", place.path("hooks-data").display());
    assert!(code == Some(1) && out.contains("a     stopped") && out.contains(&nothing), "{out}");
    for args in [&["dead-letters", "list", "a"][..], &["dead-letters", "list"], &["dead-letters", "show"]] {
        let (code, out) = operate(&place, args);
        assert!(code == Some(1) && out.contains(&nothing), "{args:?}: {out}");
    }
    assert!(!place.path("hooks-data").exists());
}

#[test]
fn a_log_that_cannot_be_used_is_no_log_that_nobody_made() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let place = daemon.kill();
    std::fs::remove_file(place.path("hooks-data/format")).unwrap();
    for args in [&["status"][..], &["log", "info"], &["log", "verify"], &["dead-letters", "list"]] {
        let (code, out) = operate(&place, args);
        assert!(code == Some(1) && out.contains("can't be used: `format` is missing"), "{args:?}: {out}");
    }
}

#[test]
fn what_is_left_of_an_earlier_process_shows_in_metrics() {
    let place = Daemon::start(&file_hook("a")).kill();
    assert_eq!(operate(&place, &["disable", "a"]).0, Some(0));
    let daemon = Daemon::again(place);
    let state = "hooks_endpoint_state{hook=\"a\",state=\"disabled\"}";
    assert_eq!(daemon.metric(state), Some(1.0));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let daemon = Daemon::again(daemon.kill());
    assert_eq!(daemon.metric("hooks_pending_events{hook=\"a\"}"), Some(1.0));
}

#[test]
fn a_hook_that_no_daemon_has_run_yet_is_there_all_the_same() {
    let place = Daemon::start(&file_hook("a")).kill();
    std::fs::write(place.path("hooks.toml"), [file_hook("a"), file_hook("b")].concat()).unwrap();
    let (_, out) = operate(&place, &["status"]);
    let hooks: Vec<&str> = out.lines().filter(|line| line.contains(" stopped ")).map(|line| &line[..1]).collect();
    assert_eq!(hooks, ["a", "b"], "{out}");
    for hook in ["a", "b"] {
        let why = format!("hook `{hook}` is in the config file: take it out first, and forget it then\n");
        assert_eq!(operate(&place, &["forget", hook]), (Some(1), why));
    }
}

#[test]
fn what_drop_oldest_takes_from_a_batch_on_its_way_is_counted_at_the_end() {
    let receiver = Receiver::on_thread(|_| 500);
    let bus = "bus = { kind = 'durable', segment_size = '4KiB', max_bytes = '8KiB', on_full = 'drop_oldest' }\n";
    let mut daemon = Daemon::with(
        &[bus, &http_hook("a", &receiver.url("/")), "batch.max_age = '0s'\n"].concat(),
        &["--grace", "0s"],
    );
    assert_eq!(daemon.post(JSON, event(0)).status, 202);
    receiver.wait();
    for number in 1..200 {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
    }
    daemon.running.signal("TERM");
    let place = {
        daemon.running.wait_for("stopped");
        daemon.kill()
    };
    let healed = Receiver::on_thread(|_| 200);
    let config = place.read("hooks.toml").replace(&receiver.url("/"), &healed.url("/"));
    std::fs::write(place.path("hooks.toml"), config).unwrap();
    let daemon = Daemon::again(place);
    while !healed.events("/").contains(&event(199)) {
        std::thread::yield_now();
    }
    assert!(!healed.events("/").contains(&event(0)));
    drop(daemon);
}

#[test]
fn what_drop_oldest_takes_from_a_batch_on_its_way_is_named_after_a_kill() {
    let receiver = Receiver::on_thread(|_| 500);
    let bus = "bus = { kind = 'durable', segment_size = '4KiB', max_bytes = '8KiB', on_full = 'drop_oldest' }\n";
    let daemon = Daemon::start(&[bus, &http_hook("a", &receiver.url("/")), "batch.max_age = '0s'\n"].concat());
    assert_eq!(daemon.post(JSON, event(0)).status, 202);
    receiver.wait();
    for number in 1..200 {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
    }
    let daemon = Daemon::again(daemon.kill());
    daemon.running.signal("KILL");
    let ended = daemon.running.wait();
    assert!(ended.err.contains("the log dropped them before the hook had settled them"), "{}", ended.err);
}

#[test]
fn a_log_that_is_full_refuses_events_and_goes_on_when_there_is_room() {
    let (receiver, answer) = changing(500);
    let bus = "bus = { kind = 'durable', segment_size = '4KiB', max_bytes = '8KiB' }\n";
    let daemon = Daemon::start(&[bus, &http_hook("a", &receiver.url("/"))].concat());
    let mut accepted = 0;
    while daemon.post(JSON, event(accepted)).status == 202 {
        accepted += 1;
    }
    assert_eq!(daemon.metric("hooks_log_max_bytes"), Some(8192.0));
    let refused = daemon.post(JSON, event(accepted));
    assert_eq!(refused.status, 507);
    assert!(refused.json()["error"].as_str().unwrap().contains("hook `a`"), "{}", refused.json());

    answer.store(200, Ordering::Relaxed);
    while daemon.post(JSON, event(accepted)).status != 202 {}
    while !receiver.events("/").contains(&event(accepted)) {}
}

/// An event that needs a new file finds no room where a small one still fits into the last one.
#[test]
fn a_log_that_is_full_says_so_once_whatever_still_fits() {
    let receiver = Receiver::closed();
    let bus = "bus = { kind = 'durable', segment_size = '4KiB', max_bytes = '8KiB' }\n";
    let daemon = Daemon::with(&[bus, &http_hook("a", &receiver.url("/"))].concat(), &["--grace", "0s"]);
    let event = |bytes: usize| format!("{{\"type\":\"a\",\"data\":\"{}\"}}", "x".repeat(bytes));
    assert_eq!([3000, 3000].map(|bytes| daemon.post(JSON, event(bytes)).status), [202, 202]);
    for _ in 0..3 {
        assert_eq!([3000, 1].map(|bytes| daemon.post(JSON, event(bytes)).status), [507, 202]);
    }
    let refused = daemon.post(JSON, event(5000));
    assert_eq!(refused.status, 413);
    let reason = refused.json()["error"].to_string();
    assert!(reason.contains("more than half of the bus's `max_bytes` (8KiB): publish fewer at once"), "{reason}");
    let said = daemon.stop().err;
    assert_eq!(said.matches("events are refused (507)").count(), 1, "{said}");
    assert_eq!(said.matches("events are taken again").count(), 0, "{said}");
}

#[test]
fn on_the_memory_bus_there_is_nobody_to_ask() {
    let place = Place::new(&(super::MEMORY.to_owned() + &file_hook("a")));
    let (code, out) = operate(&place, &["status"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("--url"), "{out}");
}

/// The metric that the documents say to alert on, and `hooks status`, agree.
#[test]
fn a_receiver_that_refuses_everything_is_held_from_the_second_event_on() {
    let receiver = Receiver::on_thread(|_| 400);
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    let lines: String = (1..3).map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
    while daemon.metric("hooks_endpoint_state{hook=\"a\",state=\"held\"}") != Some(1.0) {}
    let (_, out) = operate(&daemon.place, &["status"]);
    assert!(out.contains("held") && out.contains("400"), "{out}");
}
