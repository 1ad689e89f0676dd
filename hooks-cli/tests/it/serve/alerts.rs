//! Events about failing endpoints, dead letters and a full log, delivered as `docs/alerts.md` says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks_test::http::Receiver;
use serde_json::{Value as Json, json};

use super::{Daemon, JSON, LINES, http_hook};

/// The config of the document, its hooks leading to this receiver.
fn config(receiver: &Receiver) -> String {
    let text = include_str!("../../../../docs/alerts.md");
    let config = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = config.replace("http://127.0.0.1:9000", receiver.url("").trim_end_matches('/'));
    // Sooner than anybody would want to hear it.
    config.replace("\"2m\" ", "\"1ms\"") + "[defaults.retry]\ninitial = \"10ms\"\nmax = \"20ms\"\n"
}

fn lines(daemon: &Daemon, name: &str) -> Vec<Json> {
    let text = std::fs::read_to_string(daemon.place.path(name)).unwrap_or_default();
    // The last line may be half there.
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

/// What came to this path.
fn alerts(receiver: &Receiver) -> Vec<Json> {
    let bodies = receiver.seen().into_iter().filter(|seen| seen.path() == "/alerts");
    bodies.map(|seen| serde_json::from_str(seen.text()).unwrap()).collect()
}

#[test]
fn a_failing_endpoint_is_told_of_and_a_refused_event_is_routed_to_a_file() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let receiver = Receiver::on_thread(move |seen| match (seen.path(), seen.text()) {
        ("/orders", _) if down.load(Ordering::Relaxed) => 503,
        ("/orders", text) if text.contains("order.bad") => 422,
        _ => 200,
    });
    let daemon = Daemon::start(&config(&receiver));
    assert_eq!(daemon.post(JSON, r#"{"type":"order.paid"}"#).status, 202);
    while alerts(&receiver).is_empty() {}
    is_down.store(false, Ordering::Relaxed);
    while alerts(&receiver).len() < 2 {}
    let told = alerts(&receiver);
    let failing = told[0]["text"].as_str().unwrap();
    assert!(failing.starts_with("hooks.endpoint.failing: orders: POST ") && failing.contains("503"), "{told:?}");
    assert_eq!(told[1], json!({ "text": "hooks.endpoint.recovered: orders" }));

    let bad = r#"{"specversion":"1.0","id":"7","source":"/shop","time":"2026-11-23T10:00:00Z","type":"order.bad","data":{"number":7}}"#;
    assert_eq!(daemon.post(LINES, format!("{bad}\n{{\"type\":\"order.paid\"}}\n")).status, 202);
    while lines(&daemon, "dead-letters.jsonl").is_empty() {}
    let routed = &lines(&daemon, "dead-letters.jsonl")[0];
    assert_eq!((&routed["type"], &routed["subject"]), (&json!("hooks.dead_letter.created"), &json!("orders")));
    let event: Json = serde_json::from_str(bad).unwrap();
    assert_eq!((&routed["data"]["event"], &routed["data"]["kept"]), (&event, &json!(true)));
    assert!(routed["data"]["detail"].as_str().unwrap().contains("422"), "{routed}");
    assert_eq!(daemon.metric("hooks_operational_events_lost_total"), Some(0.0));
}

#[test]
fn a_log_that_fills_is_told_of_before_it_is_full() {
    let receiver = Receiver::on_thread(|seen| if seen.path() == "/orders" { 503 } else { 200 });
    let bus = "[bus]\nkind = 'durable'\nmax_bytes = '2MiB'\nsegment_size = '64KiB'\n";
    let alerts_hook = format!("{}types = ['hooks.log.filling']\n", http_hook("alerts", &receiver.url("/alerts")));
    let orders = format!("{}types = ['order.*']\n", http_hook("orders", &receiver.url("/orders")));
    let daemon = Daemon::start(&format!("{bus}{alerts_hook}{orders}"));
    let event = json!({ "type": "order.paid", "data": "x".repeat(10_000) }).to_string();
    for _ in 0..180 {
        assert_eq!(daemon.post(JSON, &event).status, 202);
    }
    while alerts(&receiver).is_empty() {}
    let alert = &alerts(&receiver)[0][0];
    assert_eq!((&alert["type"], &alert["data"]["max_bytes"]), (&json!("hooks.log.filling"), &json!(2 << 20)));
    assert_eq!((&alert["data"]["hook"], &alert["data"]["left_out"]), (&json!("orders"), &json!(0)));
    assert!(alert["data"]["bytes"].as_u64().unwrap() >= (2 << 20) * 8 / 10, "{alert}");
}
