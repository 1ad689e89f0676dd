//! The keys that seal hooks which were made over the API: rotated, and taken out too early.

use std::process::Stdio;

use hooks_server::Keys;
use hooks_test::http::{Receiver, answer};
use http::Method;
use serde_json::{Value as Json, json};

use super::durable::operate;
use super::managed::{LOOPBACK, ask, to, until};
use super::{Daemon, JSON, listening};
use crate::command::{Place, event};

const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const NEW: &str = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn id(key: &str) -> String {
    Keys::parse(key).unwrap().ids().next().unwrap()
}

fn start(config: &str, keys: &str) -> Daemon {
    let place = Place::new(&listening(&format!("api.secrets_key_file = 'keys'\n{config}")));
    write(&place, keys);
    Daemon::again(place)
}

fn write(place: &Place, keys: &str) {
    std::fs::write(place.path("keys"), keys).unwrap();
}

/// Has these keys read.
fn reload(daemon: &Daemon, keys: &str) {
    write(&daemon.place, keys);
    daemon.running.signal("HUP");
}

fn rekey(place: &Place) -> (Option<i32>, String) {
    operate(place, &["secrets", "rekey"])
}

fn settings(daemon: &Daemon, hook: &str) -> Json {
    ask(daemon, "GET", &format!("/v1/hooks/{hook}"), &Json::Null).json()["settings"].clone()
}

#[test]
fn a_key_is_rotated_while_hooks_run_and_no_receiver_notices() {
    let receiver = Receiver::answering(|seen| {
        let mut answer = answer(200, "");
        if seen.method == Method::OPTIONS {
            answer.headers_mut().insert("webhook-allowed-origin", "*".parse().unwrap());
        }
        answer
    });
    let mut daemon = start(&format!("{LOOPBACK}origin = 'events.example.com'\n"), OLD);
    let sink = json!({ "kind": "http", "url": receiver.url("/a"), "secret": SECRET, "verify": "cloudevents" });
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &json!({ "sink": sink, "tenant": "acme" })).status, 201);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/b", &to(&receiver, "/b")).status, 201);
    let (a, b) = (settings(&daemon, "a"), settings(&daemon, "b"));
    let publish = |daemon: &Daemon, number: usize| {
        assert_eq!(daemon.post(JSON, event(number).replacen('{', r#"{"tenant":"acme","#, 1)).status, 202);
        let posted =
            || receiver.seen().iter().filter(|seen| seen.method == Method::POST && seen.path() == "/a").count();
        while posted() < number {
            daemon.get("/healthz");
        }
    };
    publish(&daemon, 1);

    reload(&daemon, &format!("{NEW}{OLD}"));
    let line = daemon.running.wait_for("sealed with an old key");
    assert!(line.contains(&id(OLD)) && line.contains("definitions=2"), "{line}");
    daemon.running.wait_for("read again and applied");
    let would = operate(&daemon.place, &["secrets", "rekey", "--dry-run"]);
    assert!(would.1.starts_with("2 definitions would be sealed anew"), "{would:?}");
    let done = rekey(&daemon.place);
    assert_eq!(
        done,
        (Some(0), format!("2 definitions sealed anew with key {}; 0 had it already\n", id(NEW))),
        "{done:?}"
    );
    assert!(rekey(&daemon.place).1.starts_with("0 definitions sealed anew"), "once is enough");
    assert_eq!((settings(&daemon, "a"), settings(&daemon, "b")), (a, b));
    publish(&daemon, 2);

    reload(&daemon, NEW);
    daemon.running.wait_for("read again and applied");
    let daemon = Daemon::again(daemon.kill());
    publish(&daemon, 3);
    let asked = receiver.seen().iter().filter(|seen| seen.method == Method::OPTIONS).count();
    assert_eq!(asked, 2, "by each of the two daemons");
    let before = ask(&daemon, "GET", "/v1/hooks/a", &Json::Null).json()["revision"].clone();
    let same = ask(&daemon, "PUT", "/v1/hooks/a", &json!({ "sink": sink, "tenant": "acme" }));
    assert_eq!((same.status, &same.json()["revision"]), (200, &before), "the secret is the one that it had");
}

#[test]
fn changes_that_come_meanwhile_stay() {
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = start(LOOPBACK, OLD);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    for most in 2..10 {
        let (first, second) = if most % 2 == 0 { (NEW, OLD) } else { (OLD, NEW) };
        reload(&daemon, &format!("{first}{second}"));
        daemon.running.wait_for("read again and applied");
        let (changed, sealed) = std::thread::scope(|scope| {
            let sealed = scope.spawn(|| ask(&daemon, "POST", "/v1/secrets/rekey", &Json::Null));
            let changed = ask(&daemon, "PATCH", "/v1/hooks/a", &json!({ "batch": { "max_events": most } }));
            (changed, sealed.join().unwrap())
        });
        assert_eq!((changed.status, sealed.status, sealed.json()["failed"].clone()), (200, 200, json!([])));
        assert_eq!(settings(&daemon, "a")["batch"]["max_events"], most);
        write(&daemon.place, first);
        daemon = Daemon::again(daemon.kill());
        assert_eq!(settings(&daemon, "a")["batch"]["max_events"], most);
    }
}

/// Cut off anywhere, each definition is sealed with the one key or with the other.
#[test]
fn without_a_daemon_definitions_are_sealed_in_the_folder_also_when_it_is_killed_in_between() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = start(LOOPBACK, OLD);
    for number in 0..40 {
        assert_eq!(ask(&daemon, "PUT", &format!("/v1/hooks/h{number}"), &to(&receiver, "/a")).status, 201);
    }
    let place = daemon.kill();
    write(&place, &format!("{NEW}{OLD}"));
    for _ in 0..6 {
        let mut child = place.hooks(&["secrets", "rekey", "-c", "hooks.toml"]);
        let mut child = child.stdout(Stdio::null()).spawn().unwrap();
        // It may be anywhere by now.
        operate(&place, &["status"]);
        child.kill().unwrap();
        child.wait().unwrap();
        let left = operate(&place, &["secrets", "rekey", "--dry-run"]);
        let numbers: Vec<usize> = left.1.split([' ', '\n']).filter_map(|word| word.parse().ok()).collect();
        assert_eq!((left.0, numbers.iter().sum::<usize>()), (Some(0), 40), "{left:?}");
    }
    assert_eq!(rekey(&place).0, Some(0));
    write(&place, NEW);
    let daemon = Daemon::again(place);
    let page = ask(&daemon, "GET", "/v1/hooks", &Json::Null).json();
    let running = page["hooks"].as_array().unwrap().iter().filter(|hook| hook["status"]["state"] == "healthy");
    assert_eq!(running.count(), 40);
}

#[test]
fn a_key_that_is_taken_out_too_early_is_named_and_its_hooks_count() {
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = start(&format!("api.max_hooks = 1\n{LOOPBACK}"), OLD);
    let of = |path: &str| json!({ "tenant": "acme", "sink": { "kind": "http", "url": receiver.url(path) } });
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &of("/a")).status, 201);
    reload(&daemon, NEW);
    let says = |line: &str| {
        let parts = [&id(OLD), "hooks=\"a\"", "put that key back", "hooks secrets rekey"];
        parts.iter().all(|part| line.contains(part))
    };
    let line = daemon.running.wait_for("key that is not here");
    assert!(line.contains("ERROR") && says(&line), "{line}");
    daemon.running.wait_for("read again and applied");
    // It goes on, and can't be changed.
    let patched = ask(&daemon, "PATCH", "/v1/hooks/a", &json!({ "lanes": 2 }));
    assert!(patched.status == 503 && patched.body.contains("api.secrets_key_file"), "{patched:?}");
    let failed = rekey(&daemon.place);
    assert_eq!(failed.0, Some(1), "{failed:?}");
    assert_eq!(daemon.post(JSON, event(1).replacen('{', r#"{"tenant":"acme","#, 1)).status, 202);
    until(&daemon, &receiver, "/a", 1);

    let place = daemon.kill();
    let mut running = crate::command::Running::of(place.hooks(&["serve", "-c", "hooks.toml"]));
    let line = running.wait_for("key that is not here");
    assert!(says(&line), "{line}");
    let mut daemon = Daemon::of(place, running);
    // Its definition is there, though nobody can read it now.
    let (code, said) = operate(&daemon.place, &["forget", "a"]);
    assert!(code == Some(1) && said.contains("was made over the API"), "{said}");
    let full = ask(&daemon, "PUT", "/v1/hooks/a2", &of("/a2"));
    assert_eq!(full.status, 429, "{full:?}");

    reload(&daemon, &format!("{NEW}{OLD}"));
    daemon.running.wait_for("read again and applied");
    assert_eq!(rekey(&daemon.place).0, Some(0));
    reload(&daemon, NEW);
    daemon.running.wait_for("read again and applied");
    assert_eq!(ask(&daemon, "PATCH", "/v1/hooks/a", &json!({ "lanes": 2 })).status, 200);
    assert_eq!(ask(&daemon, "DELETE", "/v1/hooks/a", &Json::Null).status, 200);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a2", &of("/a2")).status, 201);
}

/// The key that a daemon made for itself is rotated in the bus's folder.
#[test]
fn the_key_in_the_folder_is_read_again_too() {
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    let file = daemon.place.path("hooks-data/secrets.key");
    let own = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{NEW}{own}")).unwrap();
    // The daemon does not know it yet: sealed with the key that goes, nothing could be opened.
    for place in [&["-c", "hooks.toml"][..], &["--dir", "hooks-data"]] {
        let early = daemon.place.run(&[&["secrets", "rekey"], place].concat());
        assert_eq!((early.code, early.out.as_str()), (Some(1), ""), "{early:?}");
        assert!(early.err.contains("nothing was sealed anew") && early.err.contains(&id(NEW)), "{}", early.err);
    }
    daemon.running.signal("HUP");
    daemon.running.wait_for("read again and applied");
    assert!(rekey(&daemon.place).1.starts_with("1 definition sealed anew"));
    std::fs::remove_file(&file).unwrap();
    daemon.running.signal("HUP");
    let line = daemon.running.wait_for("nothing was changed");
    assert!(line.contains("secrets.key"), "no other key is made in its place: {line}");
    std::fs::write(&file, NEW).unwrap();
    let daemon = Daemon::again(daemon.kill());
    assert_eq!(ask(&daemon, "GET", "/v1/hooks/a", &Json::Null).json()["status"]["state"], "healthy");
}
