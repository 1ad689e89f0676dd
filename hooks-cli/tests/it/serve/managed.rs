//! Hooks that are managed at run time, over HTTP.

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::durable::operate;
use super::{Answer, Daemon, JSON, MEMORY, file_hook, http_hook};
use crate::command::event;

/// Receivers of these tests are on this machine.
pub(crate) const LOOPBACK: &str = "[api.sink_options.http]\nallow_cidrs = ['127.0.0.0/8']\n";

pub(crate) const TENANTS: &str =
    "[[api.tokens]]\nname = 'all'\ntoken = 'token-all'\nmay = ['publish', 'read', 'manage']
[[api.tokens]]\nname = 'acme'\ntoken = 'token-acme'\nmay = ['publish', 'read', 'manage']\ntenant = 'acme'
[[api.tokens]]\nname = 'other'\ntoken = 'token-other'\nmay = ['publish', 'read', 'manage']\ntenant = 'other'
";

pub(crate) fn ask(daemon: &Daemon, method: &str, path: &str, body: &Json) -> Answer {
    ask_with(daemon, "", method, path, body)
}

pub(crate) fn ask_with(daemon: &Daemon, headers: &str, method: &str, path: &str, body: &Json) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    daemon.exchange(format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

pub(crate) fn as_tenant(daemon: &Daemon, tenant: &str, method: &str, path: &str, body: &Json) -> Answer {
    ask_with(daemon, &format!("authorization: Bearer token-{tenant}\r\n"), method, path, body)
}

pub(crate) fn to(receiver: &Receiver, path: &str) -> Json {
    json!({ "sink": { "kind": "http", "url": receiver.url(path) }, "retry": { "initial": "1s" } })
}

/// Waits until so many requests came to this path.
pub(super) fn until(daemon: &Daemon, receiver: &Receiver, path: &str, events: usize) {
    super::until(path, || {
        daemon.get("/healthz");
        receiver.events(path).len() >= events
    });
}

#[test]
fn a_hook_is_made_changed_and_removed_and_outlives_kill_9() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    let made = ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a"));
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")), "{made:?}");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && made.header("cache-control") == Some("no-store"), "{made:?}");
    let daemon = Daemon::again(daemon.kill());

    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    until(&daemon, &receiver, "/a", 1);
    assert!(receiver.seen()[0].header("webhook-signature").unwrap().starts_with("v1,"));
    // The same once more changes nothing, and shows nothing.
    let same = ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a"));
    assert_eq!(
        (same.status, same.header("etag"), same.json()["secret"].is_null()),
        (200, Some("\"1\""), true),
        "{same:?}"
    );
    let shown = ask(&daemon, "GET", "/v1/hooks/shop", &Json::Null);
    let hook = shown.json();
    assert_eq!(
        (&hook["origin"], &hook["revision"], &hook["status"]["state"]),
        (&json!("api"), &json!(1), &json!("healthy"))
    );
    assert_eq!(hook["settings"]["sink"], json!({ "kind": "http", "url": receiver.url("/a") }), "{shown:?}");

    let patch = json!({ "sink": { "url": receiver.url("/b") } });
    let stale = ask_with(&daemon, "if-match: \"7\"\r\n", "PATCH", "/v1/hooks/shop", &patch);
    assert_eq!(stale.status, 412, "{stale:?}");
    let changed = ask_with(&daemon, "if-match: \"1\"\r\n", "PATCH", "/v1/hooks/shop", &patch);
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{changed:?}");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    let daemon = Daemon::again(daemon.kill());
    until(&daemon, &receiver, "/b", 1);
    let signed = receiver.seen().last().unwrap().header("webhook-signature").unwrap().split(' ').count();
    assert_eq!(signed, 1, "by the secret that it had");

    let forget = operate(&daemon.place, &["forget", "shop"]);
    assert!(forget.0 == Some(1) && forget.1.contains("hooks delete"), "it runs: {forget:?}");
    let again = ask_with(&daemon, "if-none-match: *\r\n", "PUT", "/v1/hooks/shop", &to(&receiver, "/a"));
    assert_eq!(again.status, 412, "{again:?}");
    assert_eq!(ask(&daemon, "DELETE", "/v1/hooks/shop", &Json::Null).status, 200);
    assert_eq!(ask(&daemon, "DELETE", "/v1/hooks/shop", &Json::Null).status, 404);
    assert_eq!(ask(&daemon, "GET", "/v1/hooks/shop", &Json::Null).status, 404);
    let daemon = Daemon::again(daemon.kill());
    assert_eq!(ask(&daemon, "GET", "/v1/hooks", &Json::Null).json(), json!({ "hooks": [] }));
    // One of the same name begins anew.
    let anew = ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/c"));
    assert_eq!((anew.status, anew.json()["revision"].as_u64() > Some(2)), (201, true), "{anew:?}");
    assert_eq!(daemon.post(JSON, event(3)).status, 202);
    until(&daemon, &receiver, "/c", 1);
    assert_eq!(receiver.events("/c"), [event(3)]);
}

/// Made, answered, killed at once: each time it is there, and gets what is accepted next.
#[test]
fn whatever_was_answered_is_true_after_kill_9() {
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = Daemon::start(LOOPBACK);
    for round in 0..8 {
        let (hook, path) = (format!("/v1/hooks/h{round}"), format!("/{round}"));
        assert_eq!(ask(&daemon, "PUT", &hook, &to(&receiver, &path)).status, 201);
        if round % 2 == 0 {
            assert_eq!(daemon.post(JSON, event(round)).status, 202);
        }
        daemon = Daemon::again(daemon.kill());
        if round % 2 == 1 {
            assert_eq!(daemon.post(JSON, event(round)).status, 202);
        }
        until(&daemon, &receiver, &path, 1);
        assert_eq!(receiver.events(&path)[0], event(round));
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_pointers() {
    let daemon = Daemon::start(&format!("{LOOPBACK}{}", file_hook("mine")));
    let table = json!({
        "tipes": ["a"],
        "lanes": 0,
        "sink": { "kind": "http", "url": "ftp://x", "bearer_file": "/etc/passwd", "secret": "hunter2" },
    });
    let refused = ask(&daemon, "PUT", "/v1/hooks/x", &table);
    assert_eq!((refused.status, refused.header("content-type")), (422, Some("application/problem+json")));
    let problem = refused.json();
    let pointers: Vec<_> =
        problem["faults"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    for pointer in ["/tipes", "/lanes", "/sink/bearer_file"] {
        assert!(pointers.contains(&pointer), "{refused:?}");
    }
    assert!(!refused.body.contains("hunter2") && refused.body.contains("did you mean `types`?"), "{refused:?}");
    for (method, path, body, status, said) in [
        (
            "PUT",
            "/v1/hooks/x",
            json!({ "sink": { "kind": "file", "path": "/tmp/x" } }),
            422,
            "operator's own hooks only",
        ),
        (
            "PUT",
            "/v1/hooks/x",
            json!({ "sink": { "kind": "http", "url": "http://user:pass@localhost/" } }),
            422,
            "/sink/url",
        ),
        (
            "PUT",
            "/v1/hooks/x",
            json!({ "id": "y", "sink": { "kind": "http", "url": "http://localhost/" } }),
            422,
            "id: it is not `x`",
        ),
        ("PUT", "/v1/hooks/x", json!([]), 422, "expected an object"),
        (
            "PUT",
            "/v1/hooks/mine",
            json!({ "sink": { "kind": "http", "url": "http://localhost/" } }),
            409,
            "in the config file",
        ),
        ("PATCH", "/v1/hooks/mine", json!({ "lanes": 2 }), 409, "in the config file"),
        ("PATCH", "/v1/hooks/x", json!({ "lanes": 2 }), 404, "there is no hook `x`"),
        ("PUT", "/v1/hooks/a%20b", json!({}), 400, "hook id"),
        ("GET", "/v1/hooks?limitt=1", Json::Null, 400, "limit"),
        ("GET", "/v1/hooks?limit=0", Json::Null, 400, "from 1 to 1000"),
        ("POST", "/v1/hooks/mine/rotate-secret", json!({}), 409, "in the config file"),
        ("DELETE", "/v1/hooks/mine", Json::Null, 409, "config file"),
    ] {
        let answer = ask(&daemon, method, path, &body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.body.contains(said), "{method} {path}: {answer:?}");
    }
    let text = |headers: &str, body: &str| {
        let length = body.len();
        daemon.exchange(format!(
            "PUT /v1/hooks/x HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ))
    };
    assert_eq!(text("content-type: application/json\r\n", "{\"a\":").status, 400);
    assert_eq!(text("content-type: text/plain\r\n", "{}").status, 415);
    assert_eq!(text("content-type: application/json\r\nif-match: 1\r\n", "{}").status, 400);
    assert_eq!(text("content-type: application/json\r\n", &"x".repeat(2 << 20)).status, 413);
    let shown = ask(&daemon, "GET", "/v1/hooks", &Json::Null).json();
    assert_eq!(shown["hooks"].as_array().unwrap().len(), 1, "nothing was made: {shown}");
    assert_eq!(shown["hooks"][0]["origin"], "file");
}

#[test]
fn an_old_secret_signs_beside_the_new_one_until_the_overlap_is_over() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 201);
    let rotated = ask(&daemon, "POST", "/v1/hooks/shop/rotate-secret", &json!({ "overlap": "10s" }));
    assert!(rotated.status == 200 && rotated.json()["secret"].as_str().unwrap().starts_with("whsec_"), "{rotated:?}");
    let signatures = |number: usize| {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
        until(&daemon, &receiver, "/a", number);
        receiver.seen().last().unwrap().header("webhook-signature").unwrap().split(' ').count()
    };
    assert_eq!(signatures(1), 2);
    let mut number = 1;
    while {
        number += 1;
        signatures(number) == 2
    } {}
    assert_eq!(signatures(number + 1), 1);
    assert_eq!(ask(&daemon, "POST", "/v1/hooks/shop/rotate-secret", &json!({ "overlap": "31d" })).status, 400);
}

#[test]
fn a_second_rotation_never_ends_an_old_secret_before_its_time() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 201);
    let rotate = |body: &Json| ask(&daemon, "POST", "/v1/hooks/shop/rotate-secret", body);
    assert_eq!(rotate(&json!({})).status, 200);
    let refused = rotate(&json!({ "overlap": "1h" }));
    assert!(refused.status == 409 && refused.json()["detail"].as_str().unwrap().contains("\"0s\""), "{refused:?}");
    let signatures = |number: usize| {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
        until(&daemon, &receiver, "/a", number);
        receiver.seen().last().unwrap().header("webhook-signature").unwrap().split(' ').count()
    };
    assert_eq!(signatures(1), 2);
    // Somebody has the old ones: they end now.
    assert_eq!(rotate(&json!({ "overlap": "0s" })).status, 200);
    assert_eq!(signatures(2), 1);
    assert_eq!(rotate(&json!({})).status, 200);
}

#[test]
fn a_patch_that_enables_a_hook_enables_it() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 201);
    let state = || ask(&daemon, "GET", "/v1/hooks/shop", &Json::Null).json()["status"]["state"].clone();
    assert_eq!(ask(&daemon, "POST", "/v1/hooks/shop/disable", &Json::Null).status, 200);
    // What says nothing of it, or describes the hook, leaves it disabled.
    assert_eq!(ask(&daemon, "PATCH", "/v1/hooks/shop", &json!({ "metadata": { "a": "b" } })).status, 200);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 200);
    assert_eq!(state(), "disabled");
    let enabled = ask(&daemon, "PATCH", "/v1/hooks/shop", &json!({ "enabled": true }));
    assert_eq!((enabled.status, &enabled.json()["status"]["state"]), (200, &json!("healthy")), "{enabled:?}");
    assert_eq!(ask(&daemon, "PATCH", "/v1/hooks/shop", &json!({ "enabled": false })).status, 200);
    assert_eq!(state(), "disabled");
    let refused = ask(&daemon, "POST", "/v1/hooks/shop/enable", &Json::Null);
    assert!(refused.status == 409 && refused.body.contains("PATCH"), "{refused:?}");
    assert_eq!(ask(&daemon, "PATCH", "/v1/hooks/shop", &json!({ "enabled": true })).status, 200);
    assert_eq!(state(), "healthy");
}

/// A query often holds a token. Whoever may only read sees that there is one.
#[test]
fn the_query_of_an_address_is_for_those_who_manage() {
    let receiver = Receiver::on_thread(|_| 200);
    let tokens = "[[api.tokens]]\nname = 'r'\ntoken = 'token-reads'\nmay = ['read']\n";
    let of_file = http_hook("mine", &receiver.url("/m?key=open-sesame-1"));
    let daemon = Daemon::start(&format!("{TENANTS}{tokens}{LOOPBACK}{of_file}"));
    let hook = to(&receiver, "/a?key=open-sesame-2&open-sesame-3");
    assert_eq!(as_tenant(&daemon, "all", "PUT", "/v1/hooks/shop", &hook).status, 201);
    for path in ["/v1/hooks", "/v1/hooks/shop", "/v1/hooks/mine", "/v1/status", "/v1/log", "/metrics"] {
        let seen = as_tenant(&daemon, "reads", "GET", path, &Json::Null);
        assert!(seen.status == 200 && !seen.body.contains("sesame"), "{path}: {seen:?}");
    }
    let seen = as_tenant(&daemon, "reads", "GET", "/v1/hooks/shop", &Json::Null).json();
    assert_eq!(seen["settings"]["sink"]["url"], format!("{}?key=…&…", receiver.url("/…")));
    // Nor can it be guessed letter by letter.
    let found = |name: &str, text: &str| {
        let page = as_tenant(&daemon, name, "GET", &format!("/v1/hooks?q={text}"), &Json::Null).json();
        page["hooks"].as_array().unwrap().len()
    };
    assert_eq!((found("reads", "open-s"), found("reads", "key="), found("all", "open-s")), (0, 2, 2));
}

#[test]
fn a_tenant_sees_and_changes_its_own_hooks_alone() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&format!("api.max_hooks = 2\n{TENANTS}{LOOPBACK}{}", file_hook("mine")));
    let made = as_tenant(&daemon, "acme", "PUT", "/v1/hooks/a", &to(&receiver, "/a"));
    assert_eq!((made.status, &made.json()["settings"]["tenant"]), (201, &json!("acme")), "{made:?}");
    assert_eq!(as_tenant(&daemon, "other", "PUT", "/v1/hooks/o", &to(&receiver, "/o")).status, 201);
    for (method, path, body) in [
        ("GET", "/v1/hooks/a", Json::Null),
        ("PUT", "/v1/hooks/a", to(&receiver, "/x")),
        ("PATCH", "/v1/hooks/a", json!({ "lanes": 2 })),
        ("DELETE", "/v1/hooks/a", Json::Null),
        ("POST", "/v1/hooks/a/test", Json::Null),
        ("POST", "/v1/hooks/a/rotate-secret", json!({})),
        ("POST", "/v1/hooks/a/disable", Json::Null),
        ("POST", "/v1/hooks/a/enable", Json::Null),
        ("GET", "/v1/hooks/a/dead-letters", Json::Null),
        ("POST", "/v1/hooks/a/dead-letters/drop", json!({})),
        ("GET", "/v1/hooks/mine", Json::Null),
    ] {
        let answer = as_tenant(&daemon, "other", method, path, &body);
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
    }
    let others = json!({ "tenant": "other", "sink": { "kind": "http", "url": receiver.url("/a") } });
    assert_eq!(as_tenant(&daemon, "acme", "PUT", "/v1/hooks/b", &others).status, 403);
    let ids = |tenant: &str, query: &str| {
        let page = as_tenant(&daemon, tenant, "GET", &format!("/v1/hooks{query}"), &Json::Null).json();
        let hooks = page["hooks"].as_array().unwrap().iter();
        hooks.map(|hook| hook["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("acme", ""), ["a"]);
    assert!(ids("acme", "?tenant=other").is_empty());
    assert_eq!(ids("all", ""), ["a", "mine", "o"]);
    assert_eq!(ids("all", "?tenant=other"), ["o"]);
    assert_eq!(ids("all", "?origin=file"), ["mine"]);
    assert_eq!(ids("all", "?q=/A"), ["a"]);
    assert_eq!(ids("all", "?after=a&limit=1"), ["mine"]);

    assert_eq!(as_tenant(&daemon, "acme", "PUT", "/v1/hooks/a2", &to(&receiver, "/a2")).status, 201);
    let full = as_tenant(&daemon, "acme", "PUT", "/v1/hooks/a3", &to(&receiver, "/a3"));
    assert!(full.status == 429 && full.body.contains("has 2 hooks"), "{full:?}");
    assert_eq!(as_tenant(&daemon, "acme", "DELETE", "/v1/hooks/a2", &Json::Null).status, 200);
    assert_eq!(as_tenant(&daemon, "acme", "PUT", "/v1/hooks/a3", &to(&receiver, "/a3")).status, 201);

    let publish = |tenant: &str, number: usize| {
        daemon
            .post_with(&format!("authorization: Bearer token-{tenant}\r\ncontent-type: {JSON}\r\n"), event(number))
            .status
    };
    assert_eq!((publish("other", 1), publish("acme", 2)), (202, 202));
    until(&daemon, &receiver, "/a", 1);
    until(&daemon, &receiver, "/o", 1);
    assert!(receiver.events("/a").iter().all(|event| event.contains("\"tenant\":\"acme\"")));
    assert!(receiver.events("/o").iter().all(|event| event.contains("\"tenant\":\"other\"")));
}

#[test]
fn a_hook_of_the_file_can_t_take_a_name_that_the_api_has() {
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 201);
    daemon.reload(&format!("{LOOPBACK}{}{}", file_hook("shop"), file_hook("new")));
    let line = daemon.running.wait_for("not everything was changed");
    assert!(line.contains("shop") && line.contains("already"), "{line}");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    until(&daemon, &receiver, "/a", 1);
    let listed = ask(&daemon, "GET", "/v1/hooks/new", &Json::Null);
    assert_eq!((listed.status, &listed.json()["origin"]), (200, &json!("file")), "{listed:?}");
}

#[test]
fn on_the_memory_bus_a_hook_lasts_as_long_as_the_process() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&format!("{MEMORY}{LOOPBACK}"));
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/shop", &to(&receiver, "/a")).status, 201);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    until(&daemon, &receiver, "/a", 1);
    let tested = ask(&daemon, "POST", "/v1/hooks/shop/test", &Json::Null).json();
    assert_eq!(tested["delivered"], true, "{tested}");
    let daemon = Daemon::again(daemon.kill());
    assert_eq!(ask(&daemon, "GET", "/v1/hooks/shop", &Json::Null).status, 404);
}
