//! Secrets of hooks that are managed: nobody sees them who has the disk, the log, or every answer.

use std::fmt::Write as _;
use std::path::Path;

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::managed::{LOOPBACK, ask, to, until};
use super::{Daemon, JSON};
use crate::command::{Place, event};

/// A signing secret, and the beginning of the others.
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHERS: &str = "open-sesame";

/// Logs everything.
pub(super) const TRACE: [&str; 4] = ["--log", "trace", "--grace", "0s"];

/// Gives a hook secrets, asks the daemon everything about it, and ends it. Returns all that was answered and logged.
pub(super) fn everything_said(daemon: Daemon) -> (Place, String) {
    let receiver = Receiver::on_thread(|seen| if seen.path() == "/refuses" { 400 } else { 401 });
    let table = json!({
        "sink": { "kind": "http", "url": receiver.url("/a"), "secret": SIGNING, "bearer": format!("{OTHERS}-1"),
            "headers": { "x-key": format!("{OTHERS}-2") } },
    });
    let mut said = String::new();
    let mut say = |method: &str, path: &str, body: &Json| {
        let answer = ask(&daemon, method, path, body);
        write!(said, "{answer:?}").unwrap();
        answer
    };
    assert_eq!(say("PUT", "/v1/hooks/a", &table).status, 201);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    say("POST", "/v1/hooks/a/test", &Json::Null);
    until(&daemon, &receiver, "/a", 1);
    assert_eq!(say("PUT", "/v1/hooks/a", &table).status, 200);
    assert_eq!(say("PATCH", "/v1/hooks/a", &json!({ "lanes": 2 })).status, 200);
    let mut wrong = table.clone();
    wrong["sink"]["headers"] = json!({ "bad header": format!("{OTHERS}-3") });
    assert_eq!(say("PUT", "/v1/hooks/a", &wrong).status, 422);
    assert_eq!(say("PUT", "/v1/hooks/b", &to(&receiver, "/refuses")).json()["id"], "b");
    assert_eq!(say("PATCH", "/v1/hooks/b", &json!({ "sink": table["sink"] })).status, 200);
    for path in ["a", "b", "?q=sesame", "a/dead-letters"] {
        let slash = if path.starts_with('?') { "" } else { "/" };
        assert_eq!(say("GET", &format!("/v1/hooks{slash}{path}"), &Json::Null).status, 200, "{path}");
    }
    for path in ["/v1/hooks", "/v1/status", "/v1/log", "/metrics"] {
        assert_eq!(say("GET", path, &Json::Null).status, 200, "{path}");
    }
    for command in [&["log", "info"][..], &["status"]] {
        let ended = daemon.place.run(&[command, &["-c", "hooks.toml"]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        write!(said, "{ended:?}").unwrap();
    }
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    (place, said + &running.wait().err)
}

/// Every file in a folder and below it.
pub(super) fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { bytes_below(&path) } else { std::fs::read(&path).unwrap_or_default() });
    }
    bytes
}

pub(super) fn no_secret_is_in(bytes: &[u8]) {
    for secret in [&SIGNING["whsec_".len()..], OTHERS] {
        assert!(!holds(bytes, secret), "{secret}");
    }
}

pub(super) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn no_secret_comes_out_anywhere() {
    let (folder, said) = everything_said(Daemon::with(LOOPBACK, &TRACE));
    no_secret_is_in(said.as_bytes());
    let kept = bytes_below(&folder.path("hooks-data"));
    assert!(holds(&kept, "test.counted"), "the log is among them");
    no_secret_is_in(&kept);
}
