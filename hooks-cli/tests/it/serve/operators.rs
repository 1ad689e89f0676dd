//! The errors that operators get when they ask for what is not there.

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::durable::{operate, refusing};
use super::{Answer, Client, Daemon, JSON, file_hook, http_hook};
use crate::command::{Place, event};

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

/// What a client that speaks HTTP by hand is answered. `body`: JSON.
fn by_hand(place: &Place, line: &str, body: Option<&str>) -> Answer {
    let head = body.map(|body| format!("content-type: {JSON}\r\ncontent-length: {}\r\n", body.len()));
    let mut client = Client::operator(place);
    client.send(format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\n{}\r\n{}",
        head.unwrap_or_default(),
        body.unwrap_or_default()
    ));
    client.answer()
}

#[test]
fn whoever_speaks_http_can_operate_over_the_socket() {
    let (_receiver, daemon) = refusing();
    let ask = |line: &str, body: Option<&str>| {
        let answer = by_hand(&daemon.place, line, body);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(JSON)), "{line}: {}", answer.body);
        answer.json()
    };
    let status = ask("GET /v1/status", None);
    assert_eq!((&status["running"], &status["hooks"][0]["id"]), (&true.into(), &"a".into()), "{status}");
    assert!(ask("GET /v1/log", None)["segments"].is_array());
    assert_eq!(ask("POST /v1/hooks/a/disable", None), json!({ "changed": true }));
    assert_eq!(ask("GET /v1/status", None)["hooks"][0]["disabled"]["by"], "operator");
    assert_eq!(ask("POST /v1/hooks/a/enable", None), json!({ "changed": true }));

    let page = ask("GET /v1/hooks/a/dead-letters", None);
    let letter = &page["dead_letters"][0];
    assert_eq!((&letter["type"], &letter["event"]["id"]), (&"test.counted".into(), &"2".into()), "{page}");
    let id = letter["id"].as_u64().unwrap();
    let none = json!({ "dead_letters": [] });
    assert_eq!(ask(&format!("GET /v1/hooks/a/dead-letters?after={id}"), None), none);
    let replayed = ask("POST /v1/hooks/a/dead-letters/replay", Some("{\"types\":[\"test.*\"]}"));
    assert_eq!((&replayed["delivered"], &replayed["refused"]), (&0.into(), &1.into()), "{replayed}");
    let which = format!("{{\"ids\":[{id},999]}}");
    let dropped = ask("POST /v1/hooks/a/dead-letters/drop", Some(&which));
    assert_eq!(dropped, json!({ "dropped": 1, "missing": [999] }));
    assert_eq!(ask("GET /v1/hooks/a/dead-letters", None), none);

    // Taken out of the config.
    daemon.reload(&file_hook("b"));
    while by_hand(&daemon.place, "DELETE /v1/hooks/a", None).status != 200 {}
    assert_eq!(ask("GET /v1/status", None)["hooks"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_asked_wrongly_is_a_problem_that_says_why_and_changes_nothing() {
    let (_receiver, daemon) = refusing();
    let large = format!("{{\"types\":[\"{}\"]}}", "x".repeat(1 << 20));
    let drop = "POST /v1/hooks/a/dead-letters/drop";
    for (line, body, status, why) in [
        ("GET /v1/nothing", None, 404, "there is nothing here"),
        ("GET /v1/hooks/a/enable", None, 405, "this method is none of those"),
        ("POST /v1/hooks/b/disable", None, 404, "there is no hook `b`; known: a"),
        ("POST /v1/hooks/%20/disable", None, 400, "` ` is no hook id"),
        ("DELETE /v1/hooks/a", None, 409, "is in the config file and runs"),
        ("GET /v1/hooks/a/dead-letters?before=1", None, 400, "`?before=1` is not understood"),
        (drop, None, 415, "application/json"),
        (drop, Some(""), 400, "the body is empty: it has to be JSON; `{}` as the body picks all"),
        (drop, Some("[]"), 400, "the body names no dead letters"),
        (drop, Some("[[1]]"), 400, "expected an object, found an array"),
        (drop, Some("{\"id\":[999]}"), 400, "unknown field `id`"),
        (drop, Some(large.as_str()), 413, "more than 1048576 bytes"),
    ] {
        let answer = by_hand(&daemon.place, line, body);
        let problem = answer.json();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{line}"
        );
        assert_eq!(problem["status"], status, "{line}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{line}: {problem}");
    }
    assert_eq!(by_hand(&daemon.place, "GET /v1/hooks/a/enable", None).header("allow"), Some("post"));
    assert_eq!(letters(&daemon.place).len(), 1);
    assert_eq!(daemon.get("/v1/status").status, 403, "the host is no loopback name: a web page may have asked");
}
