//! Hooks that are managed at run time, by several daemons in front of one NATS.

use hooks_test::http::{Receiver, answer};
use serde_json::json;

use super::super::sealed::{TRACE, bytes_below, everything_said, holds, no_secret_is_in};
use super::super::{Answer, Daemon, JSON};
use super::{SHORT, Server};
use crate::command::{Running, event};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(super) fn config(server: &Server) -> String {
    let api = "[api.sink_options.http]\nallow_cidrs = ['127.0.0.0/8']\n";
    format!("api.secrets_key_file = 'keys'\n{}", server.with_lease(SHORT, api))
}

pub(super) fn start(config: &str) -> Daemon {
    let place = crate::command::Place::new(config);
    std::fs::write(place.path("keys"), KEY).unwrap();
    Daemon::again(place)
}

pub(super) fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> Answer {
    let length = body.len();
    daemon.exchange(format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// Made at one, published at another at once, and the one that was asked killed in between.
#[test]
fn a_hook_made_at_one_daemon_gets_what_any_accepts_next() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = config(&server);
    let other = start(&config);
    let third = start(&config);
    for round in 0..4 {
        let one = start(&config);
        let hook = json!({ "sink": { "kind": "http", "url": receiver.url(&format!("/{round}")) } });
        let made = ask(&one, "PUT", &format!("/v1/hooks/h{round}"), &hook.to_string());
        assert_eq!(made.status, 201, "{made:?}");
        let at = if round % 2 == 0 { &other } else { &third };
        assert_eq!(at.post(JSON, event(round)).status, 202);
        let _ = one.kill();
        while receiver.events(&format!("/{round}")).is_empty() {
            other.get("/healthz");
        }
        assert_eq!(receiver.events(&format!("/{round}"))[0], event(round));
    }
    // Each of them can change it, and all follow.
    assert_eq!(ask(&third, "DELETE", "/v1/hooks/h0", "").status, 200);
    while ask(&other, "GET", "/v1/hooks/h0", "").status == 200 {}
}

/// The key goes to all daemons first; then one command seals what they share.
#[test]
fn a_key_is_rotated_for_all_daemons() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::on_thread(|_| 200);
    let config = config(&server);
    let (mut one, mut other) = (start(&config), start(&config));
    let hook = json!({ "sink": { "kind": "http", "url": receiver.url("/a") } });
    assert_eq!(ask(&one, "PUT", "/v1/hooks/a", &hook.to_string()).status, 201);
    while ask(&other, "GET", "/v1/hooks/a", "").status != 200 {}
    let new = KEY.replacen("AAEC", "AQEC", 1);
    let reload = |daemon: &mut Daemon| {
        std::fs::write(daemon.place.path("keys"), format!("{new}\n{KEY}")).unwrap();
        daemon.running.signal("HUP");
        daemon.running.wait_for("read again and applied");
    };
    let rekey = |daemon: &Daemon| daemon.place.run(&["secrets", "rekey", "-c", "hooks.toml"]);
    reload(&mut one);
    let refused = rekey(&one);
    assert!(refused.code == Some(1) && refused.err.contains("nothing was sealed anew"), "{refused:?}");
    reload(&mut other);
    let done = rekey(&one);
    assert!(done.code == Some(0) && done.out.starts_with("1 definition sealed anew"), "{done:?}");

    let place = other.kill();
    std::fs::write(place.path("keys"), &new).unwrap();
    let other = Daemon::again(place);
    let _ = one.kill();
    assert_eq!(other.post(JSON, event(1)).status, 202);
    while receiver.events("/a").is_empty() {
        other.get("/healthz");
    }
    // While none runs, too.
    let place = other.kill();
    std::fs::write(place.path("keys"), format!("{KEY}\n{new}")).unwrap();
    let done = place.run(&["secrets", "rekey", "-c", "hooks.toml"]);
    assert!(done.out.starts_with("1 definition sealed anew"), "{done:?}");
}

/// Whichever daemon the receiver's call comes to.
#[test]
fn a_receiver_s_call_reaches_the_daemon_that_asked_it() {
    let Some(server) = Server::start() else { return };
    let receiver = Receiver::answering(|_| answer(200, ""));
    let config = format!("api.public_url = 'https://e.example'\n{}", config(&server) + "origin = 'e.example'\n");
    let daemons = [start(&config), start(&config), start(&config)];
    let hook = json!({ "sink": { "kind": "http", "url": receiver.url("/a"), "verify": "cloudevents" } });
    assert_eq!(ask(&daemons[0], "PUT", "/v1/hooks/a", &hook.to_string()).status, 201);
    assert_eq!(daemons[0].post(JSON, event(1)).status, 202);
    let callback = loop {
        let seen = receiver.seen();
        if let Some(callback) = seen.first().and_then(|seen| seen.header("webhook-request-callback")) {
            break callback.strip_prefix("https://e.example").unwrap().to_owned();
        }
        daemons[0].get("/healthz");
    };
    let statuses: Vec<u16> = daemons.iter().map(|daemon| daemon.get(&callback).status).collect();
    assert_eq!(statuses, [200, 404, 404], "the first one reaches it, and then it was heard");
    while !receiver.seen().iter().any(|seen| seen.method == http::Method::POST) {
        daemons[0].get("/healthz");
    }
}

#[test]
fn no_secret_is_in_what_nats_keeps_or_anybody_says() {
    let Some(mut server) = Server::start() else { return };
    let place = crate::command::Place::new(&config(&server));
    std::fs::write(place.path("keys"), KEY).unwrap();
    let mut command = place.hooks(&["serve", "-c", "hooks.toml"]);
    command.args(TRACE);
    let (_folder, said) = everything_said(Daemon::of(place, Running::of(command)));
    no_secret_is_in(said.as_bytes());
    server.kill();
    let kept = bytes_below(server.folder.path());
    assert!(holds(&kept, "test.counted") && holds(&kept, "KV_hooks-hooks"), "streams are among them");
    no_secret_is_in(&kept);
    assert!(!holds(&kept, KEY) && !holds(said.as_bytes(), KEY), "the key that seals them");
}

#[test]
fn without_keys_that_all_daemons_share_no_hook_is_made() {
    let Some(server) = Server::start() else { return };
    let daemon = Daemon::start(&server.config("[api]\n"));
    let hook = r#"{"sink":{"kind":"http","url":"http://localhost/"}}"#;
    let refused = ask(&daemon, "PUT", "/v1/hooks/a", hook);
    assert!(refused.status == 501 && refused.body.contains("api.secrets_key_file"), "{refused:?}");
}
