//! Every example of `docs/receivers.md` against a receiver that checks what its service documents, and answers as that
//! does.

mod chats;
mod services;

use hooks_test::http::{Receiver, Seen, answer};

use crate::command::{Place, examples};

/// An answer: status and body. The error is one that refuses.
type Answer = Result<(u16, String), (u16, String)>;

/// The config under this heading.
fn example(heading: &str) -> String {
    let text = std::fs::read_to_string(examples().join("../docs/receivers.md")).unwrap();
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned()
}

fn github_events() -> String {
    std::fs::read_to_string(examples().join("github-events.ndjson")).unwrap()
}

/// The example events of this type.
fn of_type(event_type: &str) -> Vec<serde_json::Value> {
    let events = github_events();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["type"].as_str().unwrap().starts_with(event_type)).collect()
}

/// The config under this heading, delivering to a receiver.
struct Example {
    config: String,
    receiver: Receiver,
}

impl Example {
    fn new(heading: &str, judge: fn(&Seen) -> Answer) -> Self {
        let receiver = Receiver::answering(move |seen| {
            let (status, body) = judge(seen).unwrap_or_else(|refused| refused);
            answer(status, &body)
        });
        let config = example(heading);
        let url = config.split("url").nth(1).unwrap().split('"').nth(1).unwrap().to_owned();
        let path = url.splitn(4, '/').nth(3).unwrap();
        // Faster than the service lets anybody be.
        let config = config.replace(&url, &receiver.url(&format!("/{path}"))).replace("/s\"", "000/s\"");
        Self { config, receiver }
    }

    /// The requests for all example events, each of which the receiver took.
    fn delivered(&self) -> Vec<Seen> {
        let ended = Place::new(&self.config).pipe(github_events());
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        self.receiver.seen()
    }
}

/// Refuses a receiver that takes anything: what it shows would be nothing.
fn refuses_others(judge: fn(&Seen) -> Answer, seen: &Seen) {
    let plain = br#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"}]"#;
    for body in [&plain[..], b"{}", b"text"] {
        let mut other = Seen { body: body.to_vec(), ..seen.clone() };
        other.headers.remove("content-encoding");
        assert!(judge(&other).is_err(), "{}", other.text());
    }
    let mut other = seen.clone();
    other.method = http::Method::DELETE;
    assert!(judge(&other).is_err());
}

/// Fails with this answer unless something holds.
fn need(holds: bool, status: u16, body: impl Into<String>) -> Result<(), (u16, String)> {
    if holds { Ok(()) } else { Err((status, body.into())) }
}

/// The request is a POST of JSON to such a path.
fn json(seen: &Seen, path: &str, fault: &str) -> Result<serde_json::Value, (u16, String)> {
    need(seen.method == http::Method::POST, 405, "method not allowed")?;
    need(seen.path().starts_with(path), 404, "no such path")?;
    need(seen.header("content-type") == Some("application/json"), 400, fault)?;
    serde_json::from_slice(&seen.body).map_err(|_| (400, fault.to_owned()))
}

/// The length of a text in characters, if it is one.
fn length(value: &serde_json::Value) -> Option<usize> {
    value.as_str().map(|text| text.chars().count())
}
