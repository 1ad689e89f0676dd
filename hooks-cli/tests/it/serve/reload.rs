//! SIGHUP: only hooks that changed are touched, and errors change nothing.

use hooks_test::http::Receiver;

use super::{Daemon, JSON, file_hook, http_hook};
use crate::command::event;

#[test]
fn hooks_come_go_and_change_and_the_others_do_not_notice() {
    let receiver = Receiver::closed();
    let same = http_hook("same", &receiver.url("/same"));
    let mut daemon = Daemon::start(&[same.clone(), file_hook("gone"), file_hook("changed")].concat());
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    // Its attempt is under way and is not made again.
    receiver.wait();
    let changed = file_hook("changed") + "types = ['other']\n";
    daemon.reload(&[same, changed.clone(), file_hook("new")].concat());
    let line = daemon.running.wait_for("removed");
    assert!(line.contains("hook=gone ledger=\"taken 1 = "), "{line}");
    daemon.running.wait_for("replaced hook=changed");
    daemon.running.wait_for("added hook=new");
    daemon.running.wait_for("applied hooks=3");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    receiver.open();
    let place = daemon.place;
    daemon.running.signal("TERM");
    let ended = daemon.running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(receiver.events("/same"), [event(1), event(2)]);
    assert_eq!(receiver.seen().len(), 2, "one request each");
    assert_eq!(place.read("new"), event(2) + "\n");
    assert_eq!(place.read("changed"), event(1) + "\n");
    assert_eq!(place.read("gone"), event(1) + "\n");
}

#[test]
fn a_secret_that_changed_in_its_file_takes_effect() {
    let receiver = Receiver::on_thread(|_| 200);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "first\n").unwrap();
    let sink =
        format!("{{ kind = 'http', url = '{}', bearer_file = '${{CREDENTIALS_DIRECTORY}}/token' }}", receiver.url("/"));
    let config = format!("[[hooks]]\nid = 'a'\nbatch = {{ max_age = '0s' }}\nsink = {sink}\n{}", file_hook("other"));
    let mut daemon = Daemon::in_environment(&config, &[("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    std::fs::write(&token, "second").unwrap();
    daemon.reload(&config);
    daemon.running.wait_for("replaced hook=a");
    daemon.running.wait_for("applied hooks=2");
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    receiver.wait();
    daemon.running.signal("TERM");
    let ended = daemon.running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let sent: Vec<_> =
        receiver.seen().into_iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    // The first attempt may have been under way when the hook was replaced: then it is made again.
    assert_eq!((sent[0].as_str(), &sent[1..]), ("Bearer first", &vec!["Bearer second".to_owned(); sent.len() - 1][..]));
    assert!(receiver.events("/").contains(&event(2)));
}

#[test]
fn a_config_with_errors_changes_nothing() {
    let mut daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.metric("hooks_config_last_reload_successful"), Some(1.0));
    let applied_at = daemon.metric("hooks_config_last_reload_success_timestamp_seconds").unwrap();
    daemon.reload(&(file_hook("b") + "typs = ['x']\n"));
    daemon.running.wait_for("nothing was changed:");
    daemon.running.wait_for("hook `b`: unknown field `typs`, did you mean `types`?");
    daemon.running.wait_for("hooks.toml: 1 error");
    assert_eq!(daemon.metric("hooks_config_last_reload_successful"), Some(0.0));
    assert_eq!(daemon.metric("hooks_config_last_reload_success_timestamp_seconds"), Some(applied_at));
    // The hook of the file that runs nowhere is not there, and why stands below.
    let status = daemon.place.run(&["status", "--dir", "hooks-data"]);
    assert!(status.code == Some(0) && status.out.contains("a     healthy"), "{status:?}");
    let why = "the daemon runs with what it had before the last reload: nothing was changed:\n";
    assert!(status.err.starts_with(why) && status.err.contains("did you mean `types`?"), "{}", status.err);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    // The next one is right.
    daemon.reload(&file_hook("a"));
    daemon.running.wait_for("applied hooks=1");
    assert_eq!(daemon.metric("hooks_config_last_reload_successful"), Some(1.0));
    assert_eq!(daemon.place.run(&["status", "--dir", "hooks-data"]).err, "");
    let path = daemon.place.path("a");
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
    assert_eq!(std::fs::read_to_string(path).unwrap(), event(1) + "\n");
}

#[test]
fn what_takes_a_restart_is_named_and_nothing_else_is_changed_either() {
    let mut daemon = Daemon::start(&file_hook("a"));
    daemon.reload(&format!("ingest = {{ listen = '127.0.0.1:9', max_connections = 7 }}\nbus = {{ kind = 'memory', max_memory = '32MiB' }}\n{}", file_hook("b")));
    daemon
        .running
        .wait_for("nothing was changed: a new value takes a restart: ingest.listen, ingest.max_connections, bus");
    assert_eq!(daemon.metric("hooks_config_last_reload_successful"), Some(0.0));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let path = daemon.place.path("a");
    daemon.running.signal("TERM");
    assert_eq!(daemon.running.wait().code, Some(0));
    assert!(path.exists());
}

#[test]
fn limits_of_requests_change_at_once() {
    let mut daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    daemon.reload(&format!(
        "ingest = {{ listen = '127.0.0.1:0', max_body = '10' }}\nevents.source = '/new'\n{}",
        file_hook("a")
    ));
    daemon.running.wait_for("applied");
    assert_eq!(daemon.post(JSON, event(1)).status, 413);
    daemon.reload(&format!("events.max_bytes = 20\n{}", file_hook("a")));
    daemon.running.wait_for("applied");
    assert_eq!(daemon.post(JSON, event(1)).status, 400);
}

/// The hook fails, and the others run: but whoever starts or reloads the daemon hears of it then, not with the first event.
#[test]
fn a_template_file_that_is_missing_or_broken_is_said_at_once() {
    let hook = "[[hooks]]\nid = 'a'\nsink = { kind = 'http', url = 'http://127.0.0.1:9/', body = { template_file = '${CONFIG_DIR}/a.j2' } }\n";
    let config = hook.to_owned() + &file_hook("other");
    let mut daemon = Daemon::start(&config);
    std::fs::write(daemon.place.path("a.j2"), "\n{{ nothing }}").unwrap();
    daemon.reload(&config);
    let line = daemon.running.wait_for("line 2 of the template: there is no `nothing`");
    assert!(line.contains("ERROR"), "{line}");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let said = daemon.stop().err;
    let at_start = said.lines().find(|line| line.contains("a.j2: No such file")).expect("the start says it");
    assert!(at_start.contains("ERROR") && at_start.contains("hook `a`: sink `http`: body.template_file"), "{at_start}");
}
