//! Traces and metrics for a collector. What they say is read by `cargo xtask integration telemetry`.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks_test::http::Receiver;

use super::{Daemon, JSON, file_hook};
use crate::command::{Place, event};

#[test]
fn a_collector_that_refuses_costs_spans_and_no_event() {
    let refuses = Arc::new(AtomicBool::new(true));
    let is_down = refuses.clone();
    let collector = Receiver::on_thread(move |_| if is_down.load(Ordering::Relaxed) { 400 } else { 200 });
    let config = format!("telemetry = {{ endpoint = '{}', interval = '1s' }}\n", collector.url("/otlp"));
    let mut daemon = Daemon::start(&format!("{config}{}", file_hook("a")));
    assert_eq!(daemon.post(JSON, event(0)).status, 202);
    while daemon.metric("hooks_telemetry_spans_lost_total") != Some(2.0) {}
    assert_eq!(daemon.metric("hooks_events_delivered_total{hook=\"a\"}"), Some(1.0));
    daemon.running.wait_for("telemetry was not sent to the collector");
    refuses.store(false, Ordering::Relaxed);
    daemon.running.wait_for("the collector takes telemetry again");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(2.0) {}
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
    let spans: Vec<_> = collector.seen().into_iter().filter(|seen| seen.path() == "/otlp/v1/traces").collect();
    assert_eq!(spans.last().unwrap().header("content-type"), Some("application/x-protobuf"));
    assert!(spans.len() > 1, "those of the second event were sent at the end");
}

#[test]
fn a_collector_that_is_away_delays_nobody() {
    let config = "[telemetry]\nendpoint = 'http://127.0.0.1:1'\n";
    let mut daemon = Daemon::start(&format!("{config}{}", file_hook("a")));
    assert_eq!(daemon.post(JSON, event(0)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(1.0) {}
    daemon.running.wait_for("http://127.0.0.1:1/…/v1/");
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_a_collector_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let config = format!("telemetry = {{ endpoint = '{endpoint}', metrics = false }}\n{}", file_hook("a"));
    let mut daemon = Daemon::start(&config);
    assert_eq!(daemon.post(JSON, event(0)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(1.0) {}
    daemon.running.signal("TERM");
    daemon.running.wait_for("a second signal stops at once");
    let _hangs = listener.accept().unwrap();
    daemon.running.signal("TERM");
    daemon.running.wait_for("the daemon stopped at once");
    assert_eq!(daemon.running.wait().code, Some(0));
}

#[test]
fn a_pipe_says_how_many_spans_it_lost() {
    let collector = Receiver::on_thread(|_| 200);
    let place = Place::new(&format!("telemetry.endpoint = '{}'\n{}", collector.url(""), file_hook("a")));
    let ended = place.pipe(event(0));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lost = b"hooks_telemetry_spans_lost";
    assert!(collector.seen().iter().any(|seen| seen.body.windows(lost.len()).any(|part| part == lost)));
}
