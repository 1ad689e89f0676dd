//! Tenants beside each other: what one has pending is no matter of another.

use super::{Answer, Daemon, MEMORY, file_hook};

const API: &str = "[api]\nmax_pending = '2KiB'
[[api.tokens]]\nname = 'acme'\ntoken = 'token-acme'\nmay = ['publish']\ntenant = 'acme'
[[api.tokens]]\nname = 'other'\ntoken = 'token-other'\nmay = ['publish']\ntenant = 'other'
[[api.tokens]]\nname = 'operator'\ntoken = 'token-operator'\nmay = ['publish']
";

fn publish(daemon: &Daemon, token: &str) -> Answer {
    let event =
        format!(r#"{{"type":"a","tenant":"{}","data":"{}"}}"#, token.replace("operator", "acme"), "x".repeat(600));
    daemon.post_with(&format!("authorization: Bearer token-{token}\r\ncontent-type: application/json\r\n"), event)
}

#[test]
fn a_tenant_whose_receivers_are_too_far_behind_publishes_nothing_and_others_go_on() {
    for bus in ["bus.kind = 'memory'\n", ""] {
        let hook = |id: &str, more: &str| format!("{}tenant = '{id}'\n{more}", file_hook(id));
        let others = format!("{bus}{API}{}{}", hook("other", ""), file_hook("operators"));
        let mut daemon = Daemon::start(&format!("{others}{}", hook("acme", "enabled = false\n")));
        assert_eq!([publish(&daemon, "acme").status, publish(&daemon, "acme").status], [202; 2]);
        let full = publish(&daemon, "acme");
        assert_eq!((full.status, full.header("retry-after")), (429, Some("1")), "{full:?}");
        assert!(
            full.body.contains("bytes of tenant `acme` wait for its receivers, and 2KiB may (api.max_pending)"),
            "{full:?}"
        );
        assert_eq!(publish(&daemon, "other").status, 202);
        assert_eq!(publish(&daemon, "other").status, 202, "what waits for another tenant does not count");
        assert_eq!(publish(&daemon, "operator").status, 202, "whoever publishes for all is not one of the tenants");
        assert_eq!(publish(&daemon, "acme").status, 429);
        daemon.reload(&others);
        daemon.running.wait_for("applied");
        assert_eq!(publish(&daemon, "acme").status, 202);
        assert_eq!(daemon.stop().code, Some(0));
    }
}

/// Delivered or not: what is in the log counts, also after a restart.
#[test]
fn a_tenant_whose_events_fill_its_share_of_the_log_publishes_nothing_more_and_others_go_on() {
    let hooks = format!("{}tenant = 'acme'\n{}", file_hook("acme"), file_hook("operators"));
    let config = |share: &str| format!("{}{hooks}", API.replacen("'2KiB'", &format!("'1MiB'\n{share}"), 1));
    let daemon = Daemon::start(&config("max_retained = '2KiB'"));
    let full = |daemon: &Daemon| {
        let full = publish(daemon, "acme");
        assert_eq!(full.status, 507, "{full:?}");
        assert!(
            full.body.contains("events of tenant `acme` take ") && full.body.contains("(api.max_retained)"),
            "{full:?}"
        );
        for other in ["other", "operator"] {
            assert_eq!(publish(daemon, other).status, 202, "{other}");
        }
    };
    assert_eq!([publish(&daemon, "acme").status, publish(&daemon, "acme").status], [202; 2]);
    full(&daemon);
    let mut daemon = Daemon::again(daemon.kill());
    full(&daemon);
    daemon.reload(&config(""));
    daemon.running.wait_for("applied");
    assert_eq!(publish(&daemon, "acme").status, 202);
    daemon.reload(&config("max_retained = '3KiB'"));
    daemon.running.wait_for("applied");
    full(&daemon);
}

#[test]
fn a_share_of_the_log_takes_a_bus_that_counts_it() {
    let place = crate::command::Place::new(&format!("{MEMORY}[api]\nmax_retained = '1MiB'\n"));
    let ended = place.run(&["check", "-c", "hooks.toml", "--for", "serve"]);
    assert_eq!(ended.code, Some(78));
    let why = "hooks.toml:3:16: api: max_retained: has no effect on the `memory` bus, which does not count what a tenant's events take: set bus.kind = \"durable\"";
    assert!(ended.err.contains(why), "{}", ended.err);
}
