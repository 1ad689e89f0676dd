//! The daemon's logs: one line per change, for people or programs, and never a secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hooks_test::http::Receiver;
use serde_json::Value;

use super::{Daemon, JSON, http_hook};
use crate::command::event;

#[test]
fn every_line_is_json_where_that_is_asked_for() {
    let receiver = Receiver::on_thread(|_| 200);
    let mut daemon = Daemon::with(&http_hook("a", &receiver.url("/")), &["--log-format", "json"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.reload("nonsense");
    daemon.running.wait_for("nothing was changed");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lines: Vec<Value> = ended.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find =
        |message: &str| lines.iter().find(|line| line["message"].as_str().unwrap().starts_with(message)).unwrap();
    assert_eq!((&find("serving")["level"], &find("serving")["hooks"]), (&"INFO".into(), &1.into()));
    assert_eq!(find("nothing was changed")["level"], "ERROR");
    let ledger = find("ledger");
    assert_eq!(
        (&ledger["hook"], &ledger["taken"], &ledger["delivered"], &ledger["left_behind"]),
        (&"a".into(), &1.into(), &1.into(), &0.into())
    );
}

/// However often it fails, the log has one line when it begins and one when it ends.
#[test]
fn a_failing_hook_is_one_line_and_its_recovery_another() {
    let (fails, attempts) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (fails_now, counted) = (fails.clone(), attempts.clone());
    let receiver = Receiver::on_thread(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        if fails_now.load(Ordering::SeqCst) { 503 } else { 200 }
    });
    let mut daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    while attempts.load(Ordering::SeqCst) < 20 {
        receiver.wait();
    }
    fails.store(false, Ordering::SeqCst);
    daemon.running.wait_for("delivery works again");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.err.matches("delivery fails").count(), 1, "{}", ended.err);
    assert_eq!(ended.err.matches("delivery works again").count(), 1, "{}", ended.err);
}

#[test]
fn secrets_are_in_no_line_and_no_answer() {
    let receiver = Receiver::on_thread(|_| 500);
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let config = |more: &str| {
        let url = receiver.url("/path-s3cr3t").replace("http://", "http://user:p4ssw0rd@");
        format!(
            "[[hooks]]\nid = 'a'\nretry = {{ initial = '1ms', max = '2ms' }}\nsink = {{ kind = 'http', url = '{url}', secret = '{secret}' }}\n{more}"
        )
    };
    let mut daemon = Daemon::with(&config(""), &["--log", "trace", "--grace", "0s"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.reload(&config("lanes = 0"));
    daemon.running.wait_for("nothing was changed");
    daemon.reload(&config("lanes = 2"));
    daemon.running.wait_for("applied");
    let page = daemon.get("/metrics").body;
    let ended = daemon.stop();
    for text in [&page, &ended.err] {
        for hidden in ["C2FVsBQIhrscChlQIMV", "p4ssw0rd"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
}
