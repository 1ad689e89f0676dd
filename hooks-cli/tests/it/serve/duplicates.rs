//! Events that are sent again.

use serde_json::json;

use super::{Daemon, JSON, LINES, MEMORY, file_hook};
use crate::command::{Place, event, events};

fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(|number| event(number) + "\n").collect()
}

#[test]
fn an_event_that_is_sent_again_is_delivered_once_also_after_kill_9() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(LINES, lines(1..4)).json(), json!({"accepted": 3}));
    let answer = daemon.post(LINES, lines([2, 4, 1, 5, 5]));
    assert_eq!((answer.status, answer.json()), (202, json!({"accepted": 5, "duplicates": 3})));
    let daemon = Daemon::again(daemon.kill());
    assert_eq!(daemon.post(LINES, lines(1..7)).json(), json!({"accepted": 6, "duplicates": 5}));
    assert_eq!(daemon.metric("hooks_events_accepted_total"), Some(6.0));
    assert_eq!(daemon.metric("hooks_events_duplicate_total"), Some(5.0));
    assert_eq!(daemon.metric("hooks_duplicate_window_seconds"), Some(120.0));
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
    // The last lines before the kill may stand twice: what the file had was not settled.
    let written = daemon.place.read("a");
    for number in 1..7 {
        assert!(written.contains(&event(number)), "{number}: {written}");
    }
    assert_eq!(written.matches(&event(6)).count(), 1, "{written}");
}

#[test]
fn on_the_memory_bus_too_and_both_settings_count() {
    let bus = "bus = { kind = 'memory', duplicate_window = '1h', duplicate_ids = 2 }\n";
    let daemon = Daemon::start(&[bus, &file_hook("a")].concat());
    assert_eq!(daemon.post(JSON, event(1)).json(), json!({"accepted": 1}));
    assert_eq!(daemon.post(JSON, event(1)).json(), json!({"accepted": 1, "duplicates": 1}));
    assert_eq!(daemon.metric("hooks_duplicate_window_seconds"), Some(3600.0));
    assert_eq!(daemon.post(LINES, lines(2..4)).json(), json!({"accepted": 2}));
    assert_eq!(daemon.post(JSON, event(1)).json(), json!({"accepted": 1}), "2 and 3 are the last two");
    assert!(daemon.metric("hooks_duplicate_window_seconds").unwrap() < 3600.0);

    let daemon = Daemon::start(&[MEMORY, "bus.duplicate_window = '0s'\n", &file_hook("a")].concat());
    for _ in 0..2 {
        assert_eq!(daemon.post(JSON, event(1)).json(), json!({"accepted": 1}));
    }
    assert_eq!(daemon.metric("hooks_events_duplicate_total"), None);
}

#[test]
fn tenants_do_not_know_each_other_s_events() {
    let daemon = Daemon::start(&[MEMORY, &file_hook("a")].concat());
    let of = |tenant: &str| event(1).replacen('{', &format!("{{\"tenant\":\"{tenant}\","), 1);
    for tenant in ["acme", "other"] {
        assert_eq!(daemon.post(JSON, of(tenant)).json(), json!({"accepted": 1}), "{tenant}");
    }
    assert_eq!(daemon.post(JSON, of("acme")).json(), json!({"accepted": 1, "duplicates": 1}));
}

#[test]
fn a_pipe_says_how_many_it_did_not_take_again() {
    let place = Place::new("[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }");
    let ended = place.pipe(lines([1, 2, 1, 3, 1]));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(
        ended.err.contains("5 lines read: 5 events (2 duplicates not taken again), 0 malformed, in "),
        "{}",
        ended.err
    );
    assert_eq!(place.read("a"), events(3));
}

#[test]
fn settings_that_can_t_be_are_named() {
    for (setting, problem) in [
        ("duplicate_window = '10ms'", "duplicate_window: must be at least 1s, or 0s"),
        ("duplicate_ids = 0", "duplicate_ids: 0 is not between 1 and 100000000"),
    ] {
        for kind in ["memory", "durable"] {
            let place = Place::new(&format!("bus = {{ kind = '{kind}', {setting} }}\n{}", file_hook("a")));
            let ended = place.run(&["check", "-c", "hooks.toml"]);
            assert_eq!(ended.code, Some(78), "{}", ended.out + &ended.err);
            let said = ended.out + &ended.err;
            assert!(said.contains(problem), "{said}");
        }
    }
}
