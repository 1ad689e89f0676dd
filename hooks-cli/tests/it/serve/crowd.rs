//! More connections than there is room for: whoever asks how it is gets an answer, whatever the others do, and whoever
//! does nothing makes room for whoever publishes.

use std::process::Command;

use hooks_test::http::Receiver;

use super::{Answer, Client, Daemon, JSON, file_hook, http_hook};
use crate::command::{Place, Running, event};

/// Two connections, and nobody leaves because time is up.
fn daemon() -> Daemon {
    with("publish_timeout = '1h'")
}

fn with(setting: &str) -> Daemon {
    Daemon::start(&format!(
        "ingest = {{ listen = '127.0.0.1:0', max_connections = 2, head_timeout = '1h', body_timeout = '1h', {setting} }}\n{}",
        file_hook("a")
    ))
}

fn request(number: usize) -> String {
    let body = event(number);
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Connections that have begun to send this.
fn begun(daemon: &Daemon, count: usize, text: &str) -> Vec<Client> {
    (0..count)
        .map(|_| {
            let mut client = daemon.connect();
            // Whoever is sent away already has not heard it.
            client.try_send(text);
            client
        })
        .collect()
}

fn says_how_it_is(daemon: &Daemon) {
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = daemon.get(path);
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{path}");
    }
}

#[test]
fn probes_are_answered_whatever_others_do() {
    for half in ["", "GET /heal", &request(1)[..request(1).len() - 1]] {
        let daemon = daemon();
        let held = begun(&daemon, 2, half);
        // The first two have their places, and not only their connections.
        if half.starts_with("POST") {
            says_how_it_is(&daemon);
        }
        let more = begun(&daemon, 200, half);
        says_how_it_is(&daemon);
        drop((held, more));
    }
}

#[test]
fn whoever_publishes_gets_the_place_of_whoever_is_idle_longest() {
    let daemon = daemon();
    let mut clients = [daemon.connect(), daemon.connect()];
    for client in &mut clients {
        client.send("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.answer().header("connection"), None);
    }
    let mut third = daemon.connect();
    third.send(request(1));
    assert_eq!(third.answer().status, 202);
    let [mut first, mut second] = clients;
    assert_eq!(first.try_answer(), None, "it was idle longest");
    for client in [&mut second, &mut third] {
        client.send(request(2));
        assert_eq!(client.answer().status, 202, "both have a place");
    }
}

#[test]
fn whoever_publishes_waits_while_all_are_busy() {
    let daemon = daemon();
    let whole = request(1);
    let (most, last) = whole.split_at(whole.len() - 1);
    let mut busy = begun(&daemon, 2, most);
    let mut third = daemon.connect();
    third.send(&whole);
    // The two are known to be busy when a third has to be asked for its seat.
    says_how_it_is(&daemon);
    busy[0].send(last);
    let answer: Answer = busy[0].answer();
    assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
    assert_eq!(third.answer().status, 202);

    let daemon = with("publish_timeout = '1ms'");
    let busy = begun(&daemon, 2, most);
    says_how_it_is(&daemon);
    let answer = daemon.exchange(&whole);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.body.contains("all of ingest.max_connections are busy"), "{}", answer.body);
    drop(busy);
}

#[test]
fn whoever_waits_for_a_place_hears_that_the_daemon_stops() {
    let receiver = Receiver::closed();
    // Publishing the second event takes as long as the receiver does.
    let daemon = Daemon::with(
        &format!(
            "bus = {{ kind = 'memory' }}\ningest = {{ listen = '127.0.0.1:0', max_connections = 1, max_events = 1, \
             publish_timeout = '1h' }}\n{}batch = {{ max_events = 1, max_age = '0s' }}\n\
             queue = {{ max_events = 1, overflow = 'block' }}\n",
            http_hook("a", &receiver.url("/"))
        ),
        &["--grace", "1h"],
    );
    assert_eq!(daemon.post(JSON, event(1)).status, 202);
    let mut publishing = daemon.connect();
    publishing.send(request(2));
    says_how_it_is(&daemon);
    let mut waiting = daemon.connect();
    waiting.send(request(3));
    says_how_it_is(&daemon);
    daemon.running.signal("TERM");
    let answer = waiting.answer();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert!(answer.body.contains("the server is about to stop"), "{}", answer.body);
    receiver.open();
    assert_eq!(publishing.answer().status, 202);
}

/// `hooks serve` that may have so many files open.
fn limited(limit: &str) -> Daemon {
    let place = Place::new(&super::listening(&file_hook("a")));
    let hooks = place.hooks(&["serve", "-c", "hooks.toml"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(hooks.get_program());
    command.args(hooks.get_args()).current_dir(place.path(""));
    Daemon::of(place, Running::of(command))
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
    let daemon = limited("-S -n 64");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.running.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert!(words[3] == words[4] && words[3] != "64", "{line}");
}

#[test]
fn connections_leave_descriptors_for_the_log() {
    let daemon = limited("-n 64");
    let idle = begun(&daemon, 200, "");
    for number in 0..3 {
        assert_eq!(daemon.post(JSON, event(number)).status, 202);
    }
    assert_eq!(daemon.get("/readyz").status, 200);
    drop(idle);
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("Too many open files"), "{}", ended.err);
}
