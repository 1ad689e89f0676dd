//! Hooks that are managed by several at once, or while the config changes.

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::managed::{LOOPBACK, TENANTS, as_tenant, ask, ask_with, to, until};
use super::{Daemon, JSON, file_hook};
use crate::command::event;

/// Two tenants want the same name at once: one has it, and for the other there is no such hook.
#[test]
fn of_two_tenants_that_want_a_name_one_gets_it() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(&format!("{TENANTS}{LOOPBACK}"));
    for round in 0..10 {
        let path = format!("/v1/hooks/h{round}");
        let put =
            |tenant: &'static str| as_tenant(&daemon, tenant, "PUT", &path, &to(&receiver, &format!("/{tenant}")));
        let (acme, other) = std::thread::scope(|scope| {
            let acme = scope.spawn(|| put("acme"));
            let other = put("other");
            (acme.join().unwrap(), other)
        });
        let mut statuses = [acme.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 404], "{acme:?} {other:?}");
        let (winner, made) = if acme.status == 201 { ("acme", acme) } else { ("other", other) };
        assert_eq!(made.json()["settings"]["sink"]["url"], receiver.url(&format!("/{winner}")), "{made:?}");
        assert_eq!(as_tenant(&daemon, winner, "GET", &path, &Json::Null).json()["settings"]["tenant"], winner);
    }
}

/// Readers see settings and revision that belong together, while a writer counts them up.
#[test]
fn a_revision_is_shown_with_its_own_settings() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    let mut hook = to(&receiver, "/0");
    hook["tenant"] = json!("acme");
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &hook).status, 201);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..40_u64 {
                let patch = json!({ "metadata": { "number": number } });
                let changed = ask(&daemon, "PATCH", "/v1/hooks/a", &patch).json();
                assert_eq!(changed["settings"]["metadata"]["number"], number, "{changed}");
                assert_eq!(changed["revision"], number + 1, "{changed}");
            }
        });
        while !writer.is_finished() {
            let shown = ask(&daemon, "GET", "/v1/hooks/a", &Json::Null).json();
            let listed = ["", "?tenant=acme"].map(|query| {
                let page = ask(&daemon, "GET", &format!("/v1/hooks{query}"), &Json::Null).json();
                page["hooks"][0].clone()
            });
            for shown in listed.into_iter().chain([shown]) {
                let number = shown["settings"]["metadata"]["number"].as_u64().unwrap_or_default();
                assert_eq!(shown["revision"], number + 1, "{shown}");
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_could_not_run_at_start_runs_once_the_config_is_put_right() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    let place = daemon.kill();
    std::fs::write(place.path("hooks.toml"), "ingest.listen = '127.0.0.1:0'\n[api]\n").unwrap();
    let mut daemon = Daemon::again(place);
    let shown = ask(&daemon, "GET", "/v1/hooks/a", &Json::Null).json();
    assert!(shown["error"].as_str().is_some_and(|error| error.contains("127.0.0.1")), "{shown}");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    daemon.reload(LOOPBACK);
    daemon.running.wait_for("run again");
    until(&daemon, &receiver, "/a", 1);

    // A file's hook of that name does not keep the daemon from starting.
    let place = daemon.kill();
    let config = format!("ingest.listen = '127.0.0.1:0'\n{LOOPBACK}{}{}", file_hook("a"), file_hook("b"));
    std::fs::write(place.path("hooks.toml"), config).unwrap();
    let daemon = Daemon::again(place);
    let origins = ask(&daemon, "GET", "/v1/hooks", &Json::Null).json();
    let origins: Vec<_> = origins["hooks"].as_array().unwrap().iter().map(|hook| &hook["origin"]).collect();
    assert_eq!(origins, ["api", "file"]);
}

#[test]
fn a_secret_is_rotated_at_a_revision_and_ends_after_a_restart_too() {
    let receiver = Receiver::on_thread(|_| 200);
    let daemon = Daemon::start(LOOPBACK);
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    let path = "/v1/hooks/a/rotate-secret";
    assert_eq!(ask_with(&daemon, "if-match: \"9\"\r\n", "POST", path, &json!({})).status, 412);
    assert_eq!(ask_with(&daemon, "if-match: \"1\"\r\n", "POST", path, &json!({ "overlap": "1s" })).status, 200);
    let daemon = Daemon::again(daemon.kill());
    while ask(&daemon, "GET", "/v1/hooks/a", &Json::Null).json()["revision"] == 2 {}
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    until(&daemon, &receiver, "/a", 1);
    assert_eq!(receiver.seen()[0].header("webhook-signature").unwrap().split(' ').count(), 1);
}
