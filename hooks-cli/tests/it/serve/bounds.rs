//! What a reload of the operator's bounds does to hooks that were made over the API and run.

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::durable::operate;
use super::managed::{LOOPBACK, TENANTS, as_tenant, ask, to, until};
use super::{Daemon, JSON, file_hook};
use crate::command::event;

fn hook(daemon: &Daemon, id: &str) -> Json {
    ask(daemon, "GET", &format!("/v1/hooks/{id}"), &Json::Null).json()
}

fn reload(daemon: &mut Daemon, config: &str) {
    daemon.reload(config);
    daemon.running.wait_for("read again and applied");
}

#[test]
fn a_hook_that_the_bounds_forbid_by_now_stops_and_goes_on_when_they_allow_it() {
    let receiver = Receiver::on_thread(|_| 200);
    let other = file_hook("other");
    let mut daemon = Daemon::start(&format!("api.sinks = ['http', 'file']\n{LOOPBACK}{other}"));
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    daemon.reload(&format!("api.sinks = ['file']\n{other}"));
    let line = daemon.running.wait_for("can't run");
    assert!(line.contains("hook=a") && line.contains("allowed here: `file`"), "{line}");
    daemon.running.wait_for("read again and applied");
    let stopped = hook(&daemon, "a");
    assert!(stopped["status"].is_null() && stopped["error"].as_str().unwrap().contains("allowed here"), "{stopped}");
    let status = operate(&daemon.place, &["status"]).1;
    assert!(status.contains("not running") && status.contains("hook `a`: hook `a`: sink"), "{status}");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    reload(&mut daemon, &format!("{LOOPBACK}{other}"));
    until(&daemon, &receiver, "/a", 1);
    assert_eq!(receiver.events("/a"), [event(1)], "its events were kept");
}

#[test]
fn options_of_the_operator_reach_hooks_at_once_and_leave_others_alone() {
    let receiver = Receiver::on_thread(|_| 200);
    let of = |origin: &str| format!("{LOOPBACK}origin = '{origin}'\n{}", file_hook("other"));
    let mut daemon = Daemon::start(&of("a.example"));
    assert_eq!(ask(&daemon, "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    let sent_as = |daemon: &Daemon, number: usize| {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
        until(daemon, &receiver, "/a", number);
        receiver.seen().last().unwrap().header("webhook-request-origin").map(str::to_owned)
    };
    assert_eq!(sent_as(&daemon, 1).as_deref(), Some("a.example"));
    let revision = hook(&daemon, "a")["revision"].clone();
    reload(&mut daemon, &of("b.example"));
    assert_eq!(sent_as(&daemon, 2).as_deref(), Some("b.example"));
    assert_eq!(hook(&daemon, "a")["revision"], revision);
    // The guard, too.
    daemon.reload(&of("b.example").replace("'127.0.0.0/8'", ""));
    let line = daemon.running.wait_for("can't run");
    assert!(line.contains("url: the address guard refuses 127.0.0.1"), "{line}");
}

/// What counts for a tenant it can see, and delete.
#[test]
fn a_tenant_sees_its_hooks_that_the_bounds_stopped_and_can_delete_them() {
    let receiver = Receiver::on_thread(|_| 200);
    let of = |bounds: &str| format!("api.max_hooks = 1\n{TENANTS}{bounds}{}", file_hook("mine"));
    let mut daemon = Daemon::start(&of(LOOPBACK));
    assert_eq!(as_tenant(&daemon, "acme", "PUT", "/v1/hooks/a", &to(&receiver, "/a")).status, 201);
    reload(&mut daemon, &of(""));
    let other = json!({ "sink": { "kind": "http", "url": "https://hooks.example/" } });
    let full = as_tenant(&daemon, "acme", "PUT", "/v1/hooks/b", &other);
    assert!(full.status == 429 && full.body.contains("delete one first"), "{full:?}");
    let shown = |tenant: &str| as_tenant(&daemon, tenant, "GET", "/v1/hooks", &Json::Null).json()["hooks"].clone();
    let own = shown("acme");
    assert!(own[0]["id"] == "a" && own[1].is_null() && own[0]["error"].is_string(), "{own}");
    assert_eq!(shown("other"), json!([]));
    for (tenant, method, status) in [
        ("other", "GET", 404),
        ("other", "DELETE", 404),
        ("acme", "GET", 200),
        ("acme", "DELETE", 200),
        ("acme", "DELETE", 404),
    ] {
        let answer = as_tenant(&daemon, tenant, method, "/v1/hooks/a", &Json::Null);
        assert_eq!(answer.status, status, "{tenant} {method}: {answer:?}");
    }
    assert_eq!(shown("acme"), json!([]));
    assert_eq!(as_tenant(&daemon, "acme", "PUT", "/v1/hooks/b", &other).status, 201);
}
