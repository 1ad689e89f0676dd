//! Operators' commands to a daemon at its address, with a token.

use std::net::TcpListener;

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::{Daemon, JSON, MEMORY, file_hook, http_hook};
use crate::command::{Ended, Place, event};

const TOKENS: &str = "[[api.tokens]]\nname = 'all'\ntoken = 'token-all'\nmay = ['publish', 'read', 'manage']
[[api.tokens]]\nname = 'r'\ntoken = 'token-read'\nmay = ['read']\n";

/// Somebody on another machine: with files of tokens, and no config.
struct Operator {
    place: Place,
    url: String,
}

impl Operator {
    fn new(daemon: &Daemon) -> Self {
        let place = Place::new("");
        for token in ["all", "read", "wrong"] {
            std::fs::write(place.path(token), format!("token-{token}\n")).unwrap();
        }
        Self { place, url: format!("http://{}", daemon.address) }
    }

    fn run(&self, command: &[&str], token: &str) -> Ended {
        self.place.run(&[command, &["--url", &self.url, "--token-file", token]].concat())
    }

    /// What is printed when it is done.
    fn done(&self, command: &[&str]) -> String {
        let Ended { code, out, err } = self.run(command, "all");
        assert_eq!((code, err.as_str()), (Some(0), ""), "{command:?}");
        out
    }

    fn status(&self) -> Json {
        serde_json::from_str(self.done(&["status", "--json"]).lines().next().unwrap()).unwrap()
    }
}

fn post(daemon: &Daemon, body: &str) {
    let headers = format!("authorization: Bearer token-all\r\ncontent-type: {JSON}\r\n");
    assert_eq!(daemon.post_with(&headers, body).status, 202);
}

#[test]
fn every_command_reaches_a_daemon_at_its_address() {
    let receiver = Receiver::on_thread(|seen| if seen.text().contains("\"id\":\"2\"") { 422 } else { 200 });
    let daemon = Daemon::start(&format!("{TOKENS}{}", http_hook("a", &receiver.url("/"))));
    (1..4).for_each(|number| post(&daemon, &event(number)));
    let operator = Operator::new(&daemon);
    while operator.status()["dead_letters"] != 1 {}
    assert!(operator.done(&["status"]).contains("healthy"));
    assert!(operator.done(&["log", "info"]).contains("segments:"));

    assert_eq!(operator.done(&["disable", "a"]), "hook `a` is disabled\n");
    assert_eq!(operator.status()["disabled"]["by"], "operator");
    assert_eq!(operator.done(&["enable", "a"]), "hook `a` is enabled\n");
    assert!(operator.done(&["dead-letters", "list"]).contains("test.counted"));
    assert!(operator.done(&["dead-letters", "show", "a"]).contains(&event(2)));
    assert_eq!(
        operator.done(&["dead-letters", "replay", "a", "--dry-run"]),
        "1 dead letter would be delivered once more\n"
    );
    let ended = operator.run(&["dead-letters", "replay", "a"], "all");
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), "0 delivered, 1 refused again, 0 not tried\n"));
    assert_eq!(operator.done(&["dead-letters", "drop", "a", "--all"]), "1 dead letter dropped\n");

    let ended = operator.run(&["forget", "a"], "all");
    assert!(ended.code == Some(1) && ended.err.contains("is in the config file"), "{}", ended.err);
    daemon.reload(&format!("{TOKENS}{}", file_hook("b")));
    while operator.run(&["forget", "a"], "all").code != Some(0) {}
}

#[test]
fn a_daemon_that_keeps_nothing_answers_at_its_address() {
    let daemon = Daemon::start(&format!("{MEMORY}{}", file_hook("a")));
    for url in [format!("http://{}", daemon.address), format!("http://{}/", daemon.address)] {
        let ended = daemon.place.run(&["status", "--url", &url]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        assert!(ended.out.contains("healthy"), "{}", ended.out);
    }
    let ended = daemon.place.run(&["status", "-c", "hooks.toml"]);
    assert!(ended.code == Some(1) && ended.err.contains("--url"), "{}", ended.err);
}

#[test]
fn a_token_that_does_not_do_names_what_to_change() {
    let daemon = Daemon::start(&format!("{MEMORY}{TOKENS}{}", file_hook("a")));
    let operator = Operator::new(&daemon);
    let url = format!("{}/", operator.url);
    let refused = |ended: Ended, code, parts: &[&str]| {
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{}", ended.err);
        assert!(parts.iter().all(|part| ended.err.contains(part)), "{parts:?}: {}", ended.err);
        assert!(!ended.err.contains("token-wrong") && !ended.err.contains("token-read"), "{}", ended.err);
    };
    refused(operator.place.run(&["status", "--url", &url]), 1, &[&url, "takes a token", "--token-file"]);
    refused(operator.run(&["status"], "wrong"), 1, &[&url, "`wrong`", "`api.tokens`"]);
    refused(operator.run(&["enable", "a"], "read"), 1, &["`manage`", "`api.tokens`"]);
    refused(operator.run(&["status"], "nowhere"), 2, &["--token-file nowhere", "No such file"]);
    std::fs::write(operator.place.path("empty"), "\n").unwrap();
    refused(operator.run(&["status"], "empty"), 2, &["--token-file empty", "it is empty"]);
    refused(operator.place.run(&["status", "-c", "hooks.toml", "--token-file", "all"]), 2, &["--token-file", "cannot"]);
    refused(operator.run(&["enable", ".."], "all"), 1, &["`..`", "-c"]);
    refused(operator.place.run(&["status", "--url", &url, "--dir", "x"]), 2, &["cannot be used with"]);
    refused(operator.place.run(&["status", "--url", "events.example.com"]), 2, &["expected http://host:port"]);
}

#[test]
fn whoever_is_no_daemon_is_named() {
    let place = Place::new("");
    let asked = |url: &str| {
        let ended = place.run(&["status", "--url", url]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
        assert!(ended.err.starts_with(url), "{url}: {}", ended.err);
        ended.err
    };
    // Nobody listens at an address that was just given back.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = asked(&format!("http://{free}/"));
    assert!(error.contains("can't be reached: ") && error.contains("does `hooks serve` run there"), "{error}");
    for (status, why) in [(200, "as no daemon does"), (404, "as no daemon does"), (302, "is not followed")] {
        let receiver = Receiver::on_thread(move |_| status);
        let error = asked(&receiver.url("/"));
        assert!(error.contains(&status.to_string()) && error.contains(why), "{error}");
    }
}
