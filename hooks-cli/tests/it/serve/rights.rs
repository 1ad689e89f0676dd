//! Who may do what over HTTP: every route with every kind of token, and what must not show.

mod every_route;

use serde_json::json;

use super::{Answer, Daemon, MEMORY, file_hook};
use crate::command::event;

const TOKENS: &str = "[[api.tokens]]\nname = 'p'\ntoken = 'token-publish'\nmay = ['publish']
[[api.tokens]]\nname = 'r'\ntoken = 'token-read'\nmay = ['read']
[[api.tokens]]\nname = 'm'\ntoken = 'token-manage'\nmay = ['manage']
[[api.tokens]]\nname = 'all'\ntoken = 'token-all'\nmay = ['publish', 'read', 'manage']
[[api.tokens]]\nname = 'acme'\ntoken = 'token-acme'\nmay = ['publish', 'read', 'manage']\ntenant = 'acme'
";

/// Asks with this token, in a request with this body.
fn ask(daemon: &Daemon, token: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
    let bearer = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    ask_with(daemon, &format!("host: localhost\r\n{bearer}"), method, path, body)
}

fn ask_with(daemon: &Daemon, headers: &str, method: &str, path: &str, body: &str) -> Answer {
    let length = body.len();
    daemon.exchange(format!(
        "{method} {path} HTTP/1.1\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// A signed token.
fn make(daemon: &Daemon, token: Option<&str>, wanted: &serde_json::Value) -> String {
    let answer = ask(daemon, token, "POST", "/v1/tokens", &wanted.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// One with another payload under the same signature.
fn tampered(token: &str) -> String {
    let (payload, tag) = token.split_once('.').unwrap();
    let last = if payload.ends_with('A') { 'B' } else { 'A' };
    format!("{}{last}.{tag}", &payload[..payload.len() - 1])
}

#[test]
fn a_signed_token_never_allows_more_than_its_issuer() {
    let daemon = Daemon::start(&format!("{}{}", TOKENS, file_hook("a")));
    let refused = |token: &str, wanted: &str| ask(&daemon, Some(token), "POST", "/v1/tokens", wanted).status;
    assert_eq!(refused("token-manage", r#"{"may":["read"]}"#), 403);
    assert_eq!(refused("token-acme", r#"{"may":["read"],"tenant":"other"}"#), 403);
    for wrong in [
        r#"{"may":[]}"#,
        r#"{}"#,
        r#"{"may":["all"]}"#,
        r#"{"may":["read"],"expires_in":"31d"}"#,
        r#"{"may":["read"],"expires_in":"0s"}"#,
        r#"{"may":["read"],"tenant":"a b"}"#,
        r#"{"may":["read"],"x":1}"#,
        "",
    ] {
        assert_eq!(refused("token-all", wrong), 400, "{wrong}");
    }
    let short = make(&daemon, Some("token-all"), &json!({ "may": ["manage", "read"], "expires_in": "1m" }));
    assert_eq!(refused(&short, r#"{"may":["read"],"expires_in":"1h"}"#), 403);
    let shorter = make(&daemon, Some(&short), &json!({ "may": ["read"] }));
    assert_eq!(ask(&daemon, Some(&shorter), "GET", "/v1/status", "").status, 200);
    // Over a restart, with the key in the folder; and no longer than it lasts.
    let ending = make(&daemon, Some("token-all"), &json!({ "may": ["read"], "expires_in": "1s" }));
    let daemon = Daemon::again(daemon.kill());
    assert_eq!(ask(&daemon, Some(&shorter), "GET", "/v1/status", "").status, 200);
    while ask(&daemon, Some(&ending), "GET", "/v1/status", "").status == 200 {}
    assert_eq!(ask(&daemon, Some(&ending), "GET", "/v1/status", "").status, 401);
}

#[test]
fn a_tenant_s_token_publishes_its_events_alone_in_every_format() {
    let daemon = Daemon::start(&format!("{MEMORY}{}{}", TOKENS, file_hook("a")));
    let post = |headers: &str, body: &str| {
        daemon.post_with(&format!("authorization: Bearer token-acme\r\n{headers}\r\n"), body)
    };
    let (own, bare, other) = (r#"{"type":"t","tenant":"acme"}"#, r#"{"type":"t"}"#, r#"{"type":"t","tenant":"other"}"#);
    let single = "content-type: application/cloudevents+json";
    let batch = "content-type: application/cloudevents-batch+json";
    let lines = "content-type: application/x-ndjson";
    let binary = "ce-specversion: 1.0\r\nce-type: t\r\nce-id: 1\r\nce-source: s\r\ncontent-type: application/json";
    for (headers, good, bad, index) in [
        (single, bare.to_owned(), other.to_owned(), 0),
        (batch, format!("[{own},{bare}]"), format!("[{own},{bare},{other}]"), 2),
        (lines, format!("{own}\n{bare}\n"), format!("{own}\n{other}\n"), 1),
    ] {
        assert_eq!(post(headers, &good).status, 202);
        let answer = post(headers, &bad);
        assert_eq!((answer.status, &answer.json()["faults"][0]["index"]), (403, &json!(index)), "{answer:?}");
    }
    assert_eq!(post(binary, "7").status, 202);
    let answer = post(&format!("{binary}\r\nce-tenant: other"), "7");
    assert_eq!((answer.status, &answer.json()["faults"][0]["index"]), (403, &json!(0)), "{answer:?}");
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
    let written = std::fs::read_to_string(daemon.place.path("a")).unwrap();
    assert_eq!(written.lines().count(), 6);
    assert!(written.lines().all(|line| line.contains(r#""tenant":"acme""#)), "{written}");
}

#[test]
fn without_tokens_no_web_page_changes_anything() {
    let daemon = Daemon::start(&format!("{MEMORY}{}", file_hook("a")));
    let change = |headers: &str| ask_with(&daemon, headers, "POST", "/v1/hooks/a/disable", "");
    for foreign in [
        "host: localhost\r\norigin: https://evil.example\r\n",
        "host: localhost\r\norigin: null\r\n",
        "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n",
        // DNS rebinding: the name of the page stands for a loopback address by now.
        "host: evil.example\r\norigin: http://evil.example\r\nsec-fetch-site: same-origin\r\n",
        "host: evil.example:8080\r\n",
    ] {
        let answer = change(foreign);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (403, Some("application/problem+json")),
            "{foreign}"
        );
        assert!(answer.body.contains("api.tokens"), "{answer:?}");
    }
    let rebound = ask_with(&daemon, "host: evil.example\r\n", "GET", "/v1/status", "");
    assert_eq!(rebound.status, 403);
    let status = ask(&daemon, None, "GET", "/v1/status", "").json();
    assert_eq!(status["hooks"][0]["state"], "healthy", "{status}");
    assert_eq!(change("host: [::1]:8080\r\norigin: http://[::1]:8080\r\n").status, 200);
    // A token that says that it ends allows what it says, and nothing once it is not good.
    let token = make(&daemon, None, &json!({ "may": ["read"] }));
    assert_eq!(ask(&daemon, Some(&token), "POST", "/v1/hooks/a/enable", "").status, 403);
    assert_eq!(ask(&daemon, Some(&tampered(&token)), "GET", "/v1/status", "").status, 401);
    assert_eq!(ask(&daemon, Some("other"), "POST", "/v1/events", &event(1)).status, 202, "as before there were any");
}

#[test]
fn bodies_of_operators_have_their_limits() {
    let daemon = Daemon::start(&format!("ingest.body_timeout = '1s'\n{MEMORY}{}", file_hook("a")));
    let long = format!("{{\"ids\":[{}1]}}", "1,".repeat(600_000));
    let answer = ask(&daemon, None, "POST", "/v1/hooks/a/dead-letters/drop", &long);
    assert_eq!(answer.status, 413);
    let mut client = daemon.connect();
    client.send(
        "POST /v1/tokens HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    );
    assert_eq!(client.answer().status, 408);
    // Nothing is read of whoever may not ask.
    let mut client = daemon.connect();
    client.send("POST /v1/tokens HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.answer().status, 403);
}

#[test]
fn a_reload_takes_tokens_away_and_a_broken_file_keeps_those_before() {
    let config = |may: &str| {
        format!("{MEMORY}[[api.tokens]]\nname = 'a'\ntoken_file = 'file'\nmay = ['{may}']\n{}", file_hook("a"))
    };
    let place = crate::command::Place::new(&super::listening(&config("read")));
    std::fs::write(place.path("file"), "first\nsecond\n").unwrap();
    let mut daemon = Daemon::again(place);
    let reads = |daemon: &Daemon, token| ask(daemon, Some(token), "GET", "/v1/status", "").status;
    assert_eq!([reads(&daemon, "first"), reads(&daemon, "second")], [200, 200]);
    std::fs::write(daemon.place.path("file"), "not good\n").unwrap();
    daemon.running.signal("HUP");
    let line = daemon.running.wait_for("nothing was changed");
    assert!(!line.contains("not good"), "{line}");
    assert_eq!(reads(&daemon, "first"), 200);
    std::fs::write(daemon.place.path("file"), "second\n").unwrap();
    daemon.running.signal("HUP");
    daemon.running.wait_for("was read again and applied");
    assert_eq!([reads(&daemon, "first"), reads(&daemon, "second")], [401, 200]);
}
