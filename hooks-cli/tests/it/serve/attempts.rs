//! The history of attempts: what was tried, when, and what came back.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use hooks_test::http::{Receiver, answer};
use serde_json::{Value as Json, json};

use super::managed::LOOPBACK;
use super::{Answer, Client, Daemon, JSON, LINES, MEMORY, file_hook, http_hook};
use crate::command::{Place, event, events};

/// Attempts as `hooks attempts --json` prints them.
fn attempts(place: &Place, arguments: &[&str]) -> Vec<Json> {
    let ended = place.run(&[&["attempts", "-c", "hooks.toml", "--json"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asks without a token.
fn get(daemon: &Daemon, path: &str) -> Answer {
    daemon.exchange(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
}

fn of<'a>(attempts: &'a [Json], name: &str) -> Vec<&'a Json> {
    attempts.iter().map(|attempt| &attempt[name]).collect()
}

/// Answers the first request with 503, and echoes what it is asked.
fn moody() -> Receiver {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Receiver::answering(move |seen| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => answer(503, &format!("no: {} {}", seen.uri, seen.header("authorization").unwrap_or_default())),
        _ => answer(200, "thanks"),
    })
}

#[test]
fn what_was_tried_is_told_also_after_the_daemon_and_after_a_crash() {
    let receiver = moody();
    let url = receiver.url("/in?token=query-sesame").replace("http://", "http://user:userinfo-sesame@");
    let hook = format!("{}metadata = {{ mark = 'x' }}\n", http_hook("a", &url));
    let daemon = Daemon::start(&hook);
    assert_eq!(daemon.post(LINES, events(3)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(3.0) {}
    let told = attempts(&daemon.place, &[]);
    assert_eq!(of(&told, "outcome"), ["failed", "delivered"]);
    let (failed, delivered) = (&told[0], &told[1]);
    for (name, value) in [
        ("hook", json!("a")),
        ("positions", json!([[0, 2]])),
        ("events", json!(3)),
        ("attempt", json!(1)),
        ("trigger", json!("live")),
        ("class", json!("retry")),
        ("status", json!(503)),
        ("address", json!(receiver.address.to_string())),
    ] {
        assert_eq!(failed[name], value, "{name} of {failed}");
    }
    assert!(failed["error"].as_str().unwrap().ends_with("/…: 503 Service Unavailable"), "{failed}");
    assert_eq!(failed["answer"], "no: /in?[secret] [secret]");
    assert!(failed["phases_ms"]["connect"].as_f64() > Some(0.0) && failed["took_ms"].as_f64() > Some(0.0), "{failed}");
    assert_eq!((&delivered["attempt"], &delivered["answer"]), (&json!(2), &json!("thanks")));
    assert_eq!(delivered["batch"], failed["batch"]);
    assert!(delivered["began"].as_str() > failed["began"].as_str());

    assert_eq!(attempts(&daemon.place, &["a", "--failed"]), std::slice::from_ref(failed));
    assert_eq!(attempts(&daemon.place, &["--limit", "1"]), std::slice::from_ref(delivered));
    assert_eq!(attempts(&daemon.place, &["--position", "2"]), told);
    assert_eq!(attempts(&daemon.place, &["--position", "3"]).len(), 0);
    assert_eq!(attempts(&daemon.place, &["--until", "1h"]).len(), 0);
    let table = daemon.place.run(&["attempts", "-c", "hooks.toml", "a"]).out;
    assert!(table.lines().count() == 3 && table.contains("0-2") && table.contains("thanks"), "{table}");
    let page = get(&daemon, "/v1/hooks/a/attempts?limit=1").json();
    assert_eq!((&page["attempts"][0], &page["next"]), (delivered, &delivered["id"]));
    assert_eq!(
        get(&daemon, &format!("/v1/events/1/attempts?after={}", page["next"])).json()["attempts"],
        json!([failed])
    );
    assert_eq!(get(&daemon, "/v1/hooks/a/attempts?outcome=sometimes").status, 400);
    assert_eq!(get(&daemon, "/v1/hooks/nobody/attempts").status, 404);
    assert_eq!(daemon.metric("hooks_history_attempts_total"), Some(2.0));

    // What was asked for is written.
    let place = daemon.kill();
    assert_eq!(attempts(&place, &[]), told);
    let place_of = ["--dir", "hooks-data", "--json"];
    assert_eq!(place.run(&[&["attempts"], &place_of[..]].concat()).out.lines().count(), 2);
    let daemon = Daemon::again(place);
    assert_eq!(daemon.post(JSON, event(4)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(1.0) {}
    let place = daemon_ended(daemon);
    let told = attempts(&place, &["--since", "1h"]);
    assert_eq!(of(&told, "status"), [503, 200, 200]);
    assert_eq!(told[2]["positions"], json!([[3, 3]]), "what a daemon that ends has made is there");
    for file in std::fs::read_dir(place.path("hooks-data/history")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("sesame"));
    }
}

fn daemon_ended(daemon: Daemon) -> Place {
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    place
}

#[test]
fn attempts_are_followed_until_the_daemon_ends() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&[http_hook("a", &receiver.url("/")), file_hook("b")].concat());
    let mut followers = Vec::new();
    for way in [&["-c", "hooks.toml"][..], &["--url", &format!("http://{}", daemon.address)]] {
        let mut command = daemon.place.hooks(&[&["attempts", "a", "--follow", "--json"], way].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        followers.push((child, lines));
    }
    // Those who came before it see each attempt once; nothing tells when they have come.
    let mut number = 0;
    for (_, lines) in &mut followers {
        let (seen, publishing) = (std::sync::atomic::AtomicBool::new(false), &daemon);
        let line = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                    number += 1;
                    assert_eq!(publishing.post(JSON, event(number)).status, 202);
                }
            });
            let line = lines.next().unwrap().unwrap();
            seen.store(true, std::sync::atomic::Ordering::Relaxed);
            line
        });
        let attempt: Json = serde_json::from_str(&line).unwrap();
        assert_eq!((&attempt["hook"], &attempt["outcome"]), (&json!("a"), &json!("delivered")), "{attempt}");
    }
    daemon_ended(daemon);
    for (mut child, lines) in followers {
        let mut last = 0;
        for line in lines.map_while(Result::ok) {
            let attempt: Json = serde_json::from_str(&line).unwrap();
            let id = attempt["id"].as_u64().unwrap();
            assert!(attempt["hook"] == "a" && id > last, "{attempt}");
            last = id;
        }
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}

/// A client that has gone leaves its place to others.
#[test]
fn few_follow_at_a_time_and_who_goes_is_not_waited_for() {
    let daemon = Daemon::start(&file_hook("b"));
    let follow = || {
        let mut client = Client::connect(daemon.address);
        client.send("GET /v1/attempts?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n");
        client
    };
    let begun = |client: &mut Client| client.answer().status;
    let mut clients: Vec<_> = (0..8).map(|_| follow()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(begun(client), 200));
    assert_eq!(begun(&mut follow()), 429);
    clients.pop();
    while begun(&mut follow()) != 200 {}
}

#[test]
fn a_later_hook_of_the_same_name_shows_no_attempts_of_another_tenant() {
    let receiver = Receiver::on_thread(|_| 200);
    let tokens: String = ["acme", "other"]
        .map(|tenant| {
            format!("[[api.tokens]]\nname = '{tenant}'\ntoken = 'token-{tenant}'\nmay = ['publish', 'read', 'manage']\ntenant = '{tenant}'\n")
        })
        .concat();
    let operator = "[[api.tokens]]\nname = 'all'\ntoken = 'token-all'\nmay = ['read']\n";
    let daemon = Daemon::start(&format!("{LOOPBACK}{tokens}{operator}"));
    let ask = |tenant: &str, method: &str, path: &str, body: &str| {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token-{tenant}\r\n");
        daemon.exchange(format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"))
    };
    let definition =
        json!({ "batch": { "max_age": "0s" }, "sink": { "kind": "http", "url": receiver.url("/") } }).to_string();
    let ids = |tenant: &str| {
        let page = ask(tenant, "GET", "/v1/hooks/shop/attempts", "").json();
        page["attempts"].as_array().map_or(0, Vec::len)
    };
    for (tenant, deletes) in [("acme", true), ("other", false)] {
        assert_eq!(ask(tenant, "PUT", "/v1/hooks/shop", &definition).status, 201);
        assert_eq!(ask(tenant, "POST", "/v1/events", &event(1)).status, 202);
        receiver.wait();
        while ids(tenant) != 1 {}
        if deletes {
            assert_eq!(ask(tenant, "DELETE", "/v1/hooks/shop", "").status, 200);
        }
    }
    assert_eq!(ask("acme", "GET", "/v1/hooks/shop/attempts", "").status, 404);
    assert_eq!(ask("acme", "GET", "/v1/attempts", "").json()["attempts"][0]["tenant"], "acme");
    assert_eq!(ask("other", "GET", "/v1/attempts", "").json()["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(ids("all"), 2);
}

#[test]
fn a_test_is_told_from_what_is_delivered() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    let tested = daemon.exchange("POST /v1/hooks/a/test HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(tested.status, 200, "{tested:?}");
    let told = attempts(&daemon.place, &["a"]);
    assert_eq!((told.len(), &told[0]["trigger"], &told[0]["positions"]), (1, &json!("test"), &json!([])));
    assert_eq!(told[0]["status"], 200);
}

#[test]
fn where_no_history_is_kept_the_answer_says_so() {
    for config in [MEMORY, "history.max_bytes = 0\n"] {
        let daemon = Daemon::start(&[config, &file_hook("b")].concat());
        let none = get(&daemon, "/v1/attempts");
        assert!(none.status == 501 && none.body.contains("no history of attempts is kept here"), "{none:?}");
        assert!(!daemon.place.path("hooks-data/history").exists());
        assert_eq!(daemon.metric("hooks_history_bytes"), None);
    }
    let place = Place::new(&format!("{MEMORY}history.max_age = '1d'\n{}", file_hook("b")));
    let ended = place.run(&["check", "-c", "hooks.toml", "--for", "serve"]);
    assert!(ended.code == Some(78) && ended.err.contains("the `memory` bus has no folder"), "{}", ended.err);
}

#[test]
fn a_pipe_keeps_a_history_where_it_is_told_to() {
    let receiver = moody();
    let hook = http_hook("a", &receiver.url("/"));
    let place = Place::new(&format!("history.folder = 'attempts'\n{hook}"));
    assert_eq!(place.pipe(events(2)).code, Some(0));
    let names = |place: &Place| {
        let files = std::fs::read_dir(place.path("attempts")).unwrap().map(|file| file.unwrap().file_name());
        files.filter_map(|name| name.to_str()?.rsplit_once('.').map(|(_, kind)| kind.to_owned())).collect::<Vec<_>>()
    };
    let mut kinds = names(&place);
    kinds.sort();
    assert_eq!(kinds, ["delivered", "failed"]);
}
