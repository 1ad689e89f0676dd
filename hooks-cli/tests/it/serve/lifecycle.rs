//! Starting, draining and ending; and what the service manager hears.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use hooks_test::http::Receiver;

use super::{Daemon, JSON, MEMORY, file_hook, http_hook};
use crate::command::{Place, Running, event};

#[test]
fn a_signal_delivers_what_was_accepted_and_takes_no_more() {
    for signal in ["TERM", "INT"] {
        let receiver = Receiver::closed();
        let mut daemon = Daemon::start(&http_hook("a", &receiver.url("/")));
        assert_eq!(daemon.post(JSON, event(1)).status, 202);
        receiver.wait();
        assert_eq!(daemon.post(JSON, event(2)).status, 202);
        daemon.running.signal(signal);
        daemon.running.wait_for("taking no more events");
        // It still says how it is.
        while daemon.get("/readyz").status != 503 {}
        assert_eq!(daemon.get("/healthz").status, 200);
        let answer = daemon.post(JSON, event(3));
        assert_eq!(
            (answer.status, answer.header("retry-after"), answer.header("connection")),
            (503, Some("1"), Some("close"))
        );
        receiver.open();
        let ended = daemon.running.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains("hook  taken  delivered  dropped  dead-lettered  left behind\na         2          2        0              0            0\n"), "{}", ended.err);
        assert_eq!(receiver.events("/"), [event(1), event(2)]);
    }
}

#[test]
fn when_the_grace_is_over_what_is_left_is_named() {
    let receiver = Receiver::closed();
    let daemon = Daemon::with(&(MEMORY.to_owned() + &http_hook("a", &receiver.url("/"))), &["--grace", "50ms"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("left behind: they are lost hook=a events=1"), "{}", ended.err);
}

#[test]
fn a_second_signal_stops_at_once() {
    let receiver = Receiver::closed();
    let mut daemon = Daemon::with(&(MEMORY.to_owned() + &http_hook("a", &receiver.url("/"))), &["--grace", "1h"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.running.signal("TERM");
    daemon.running.wait_for("taking no more events");
    daemon.running.wait_for("still delivering hook=a events=1");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("stopped at once signal=\"SIGTERM\""), "{}", ended.err);
}

/// The events that a hook has not read are part of its row, too.
#[test]
fn the_rows_of_the_final_table_add_up() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(1.0) {}
    assert_eq!(daemon.place.run(&["disable", "-c", "hooks.toml", "a"]).code, Some(0));
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    assert_eq!(daemon.post(JSON, event(3)).status, 202);
    let ended = daemon.stop();
    assert!(ended.err.contains("\na         3          1        0              0            2\n"), "{}", ended.err);
}

#[test]
fn what_is_left_behind_in_a_log_is_delivered_by_the_next_run() {
    let receiver = Receiver::closed();
    let config = format!("bus = {{ kind = 'durable', dir = 'data' }}\n{}", http_hook("a", &receiver.url("/")));
    let daemon = Daemon::with(&config, &["--grace", "0s"]);
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.running.signal("TERM");
    let (ended, place) = (daemon.running.wait(), daemon.place);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("left behind: the log keeps them hook=a events=1"), "{}", ended.err);
    receiver.open();
    let again = Running::of(place.hooks(&["serve", "-c", "hooks.toml"]));
    let daemon = Daemon::of(place, again);
    assert_eq!(daemon.post(JSON, event(2)).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(2.0) {}
    assert_eq!(daemon.stop().code, Some(0));
    let mut arrived = receiver.events("/");
    // The attempt that was given up may have arrived all the same.
    arrived.dedup();
    assert_eq!(arrived, [event(1), event(2)]);
}

/// Connections that wait for nothing, and one whose body is not there yet.
#[test]
fn idle_and_unfinished_connections_do_not_hold_up_the_end() {
    let daemon = Daemon::with(&file_hook("a"), &["--grace", "1h"]);
    let silent = daemon.connect();
    let mut idle = daemon.connect();
    idle.send("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    let mut unfinished = daemon.connect();
    unfinished
        .send(format!("POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: 500\r\n\r\n{{"));
    daemon.running.signal("TERM");
    assert_eq!(unfinished.answer().status, 503);
    let ended = daemon.running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    drop((silent, idle));
}

#[test]
fn what_can_not_start_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended =
        Place::new(&format!("ingest.listen = '{address}'\n{}", file_hook("a"))).run(&["serve", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains(&format!("ingest.listen: can't listen at {address}: Address already in use")),
        "{}",
        ended.err
    );

    let place = Place::new(&format!("ingest.token_file = 'nothing'\n{}", file_hook("a")));
    let ended = place.run(&["serve", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.contains("ingest: token_file: ") && ended.err.contains("nothing: No such file"), "{}", ended.err);

    let small = format!(
        "bus = {{ kind = 'memory', max_memory = '1MiB' }}\n{}batch = {{ max_events = 100 }}\nqueue = {{ max_events = 100, overflow = 'block' }}\n",
        file_hook("a")
    );
    let ended = Place::new(&small).run(&["serve", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(78));
    for expected in [
        "hooks.toml:6:40: hook `a`: queue.max_events: a request of ingest.max_events, 10000, would be accepted in pieces",
        "hooks.toml: ingest: max_body: a body of 8MiB never fits into bus.max_memory, 1MiB",
    ] {
        assert!(ended.err.contains(expected), "{}", ended.err);
    }
}

#[test]
fn the_service_manager_hears_every_step() {
    let place = Place::new(&super::listening(&file_hook("a")));
    let path = place.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = place.hooks(&["serve", "-c", "hooks.toml"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    let daemon = Daemon::of(place, Running::of(command));
    let next = |beginning: &str| {
        let mut buffer = [0; 512];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let message = String::from_utf8(buffer[..length].into()).unwrap();
            if message.starts_with(beginning) {
                return message;
            }
        }
    };
    assert_eq!(next("READY"), format!("READY=1\nSTATUS=serving at {}", daemon.address));
    assert_eq!([next("WATCHDOG"), next("WATCHDOG")], ["WATCHDOG=1", "WATCHDOG=1"]);
    daemon.running.signal("HUP");
    assert!(next("RELOADING").starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next("READY"), "READY=1\nSTATUS=serving");
    let receiver = Receiver::closed();
    daemon.reload(&http_hook("a", &receiver.url("/")));
    next("READY");
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    receiver.wait();
    daemon.running.signal("TERM");
    assert_eq!(next("STOPPING"), "STOPPING=1\nSTATUS=delivering what was accepted");
    assert_eq!(next("EXTEND"), "EXTEND_TIMEOUT_USEC=6000000");
    receiver.open();
    assert_eq!(daemon.running.wait().code, Some(0));
}
