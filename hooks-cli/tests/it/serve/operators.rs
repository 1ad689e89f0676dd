//! The errors that operators get when they ask for what is not there.

use serde_json::Value as Json;

use super::durable::{operate, refusing};
use super::{Daemon, JSON, file_hook, http_hook};
use crate::command::{Place, event};
use crate::receiver::Receiver;

#[test]
fn ids_of_letters_that_are_not_there_are_named() {
    let (_receiver, daemon) = refusing();
    let place = &daemon.place;
    let id = letters(place)[0]["id"].to_string();
    let missing = "hook `a` has no dead letters 998, 999 that fit\n";
    let named = ["--id", "999", "--id", &id, "--id", "998", "--id", "999"];
    let ask = |what: &[&str]| operate(place, &[&["dead-letters"], what, &named].concat());

    let (code, out) = ask(&["show", "a"]);
    assert!(code == Some(1) && out.contains(&event(2)) && out.ends_with(missing), "{out}");
    let (code, out) = ask(&["list"]);
    assert!(code == Some(1) && out.ends_with("no hook has dead letters 998, 999 that fit\n"), "{out}");
    let (code, out) = ask(&["replay", "a", "--dry-run"]);
    assert_eq!((code, out), (Some(1), format!("1 dead letter would be delivered once more\n{missing}")));
    let (code, out) = ask(&["replay", "a"]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with("0 delivered, 1 refused again, 0 not tried\n") && out.ends_with(missing), "{out}");
    let other = ["dead-letters", "drop", "a", "--type", "other", "--id", &id];
    let said = format!("0 dead letters dropped\nhook `a` has no dead letter {id} that fits\n");
    assert_eq!(operate(place, &other), (Some(1), said));
    assert_eq!(ask(&["drop", "a"]), (Some(1), format!("1 dead letter dropped\n{missing}")));
    assert_eq!(operate(place, &["dead-letters", "show", "a"]), (Some(0), String::new()));
}

fn letters(place: &Place) -> Vec<Json> {
    let (code, out) = operate(place, &["dead-letters", "list", "--json"]);
    assert_eq!(code, Some(0), "{out}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn letters_are_listed_as_json_without_their_events() {
    let (_receiver, daemon) = refusing();
    let letters = letters(&daemon.place);
    assert_eq!(letters.len(), 1);
    for (name, value) in [("hook", "a"), ("reason", "refused"), ("type", "test.counted")] {
        assert_eq!(letters[0][name], value);
    }
    assert!(letters[0]["detail"].as_str().unwrap().contains("422") && letters[0].get("event").is_none(), "{letters:?}");
}

/// Whatever is asked of a hook that does not exist, the answer is the same, and so is the exit code.
#[test]
fn a_hook_that_does_not_exist_is_answered_with_those_that_do() {
    let daemon = Daemon::start(&[file_hook("a"), file_hook("b")].concat());
    let unknown = (Some(1), "there is no hook `c`; known: a, b\n".to_owned());
    let requests: [&[&str]; 7] = [
        &["enable", "c"],
        &["disable", "c"],
        &["forget", "c"],
        &["dead-letters", "list", "c"],
        &["dead-letters", "show", "c"],
        &["dead-letters", "replay", "c"],
        &["dead-letters", "drop", "c", "--all"],
    ];
    let answers = |place: &Place| requests.iter().for_each(|request| assert_eq!(operate(place, request), unknown));
    answers(&daemon.place);
    // From then on the log knows its hooks.
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let place = daemon.kill();
    answers(&place);
    assert_eq!(operate(&place, &["test", "c"]).0, Some(1));

    let ended = place.run(&["dead-letters", "replay", "--dir", "hooks-data", "a"]);
    assert_eq!(ended.err, "hook `a` does not run here: a replay takes the config file it is in\n");
}

#[test]
fn a_daemon_that_stops_says_so_and_what_to_do() {
    let receiver = Receiver::closed();
    let mut daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.running.signal("TERM");
    daemon.running.wait_for("taking no more events");
    let why =
        "the daemon is stopping, and hook `a` was not changed: do it again once the daemon has ended, or runs again";
    for request in [["disable", "a"], ["enable", "a"]] {
        assert_eq!(operate(&daemon.place, &request), (Some(1), format!("{why}\n")));
    }
    receiver.open();
    assert_eq!(daemon.running.wait().code, Some(0));
}

#[test]
fn a_folder_without_a_log_is_an_error_where_nothing_else_says_what_it_is() {
    let place = Place::new("");
    std::fs::create_dir(place.path("empty")).unwrap();
    for request in [&["status"][..], &["dead-letters", "list"], &["log", "info"], &["enable", "a"]] {
        let ended = place.run(&[request, &["--dir", "typo"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        let why = "`typo` holds no log (No such file or directory (os error 2)): --dir takes the `bus.dir`";
        assert!(ended.err.starts_with(why), "{}", ended.err);
        let ended = place.run(&[request, &["--dir", "empty"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        assert!(ended.err.starts_with("`empty` holds no log (it has no file `format`)"), "{}", ended.err);
    }
}

#[test]
fn times_are_rfc_3339_for_programs_too() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let (_, out) = operate(&daemon.place, &["log", "info", "--json"]);
    let info: Json = serde_json::from_str(&out).unwrap();
    let begun = info["segments"][0]["begun"].as_str().unwrap_or_else(|| panic!("{info}"));
    assert!(begun.parse::<jiff::Timestamp>().is_ok(), "{begun}");
    assert_eq!(operate(&daemon.place, &["disable", "a"]).0, Some(0));
    let status: Json = serde_json::from_str(&operate(&daemon.place, &["status", "--json"]).1).unwrap();
    let since = status["disabled"]["since"].as_str().unwrap_or_else(|| panic!("{status}"));
    assert!(since.parse::<jiff::Timestamp>().is_ok(), "{since}");
    // Not the `behind` of `status`, which counts what the filter lets pass.
    assert!(info["hooks"][0]["to_end"].is_u64() && info["hooks"][0].get("behind").is_none(), "{info}");
}
