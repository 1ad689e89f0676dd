//! The daemon's log when something is wrong with it, its folder or the process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Client, Daemon, JSON, file_hook};

/// An event that takes most of a segment of 4 KiB.
fn large() -> String {
    format!("{{\"type\":\"a\",\"data\":\"{}\"}}", "x".repeat(3000))
}

fn post(client: &mut Client, body: &str) -> super::Answer {
    let length = body.len();
    client.send(format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    client.answer()
}

fn get(client: &mut Client, path: &str) -> super::Answer {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    client.answer()
}

/// From now on a process may have files open up to this number.
fn limit_files(daemon: &Daemon, soft: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(i32::try_from(daemon.running.id()).unwrap());
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    prlimit(pid, Resource::Nofile, Rlimit { current: soft, maximum }).unwrap().current
}

#[test]
fn too_many_open_files_for_a_moment_refuse_events_for_that_moment_and_show_everywhere() {
    let daemon = Daemon::start(&["bus = { kind = 'durable', segment_size = '4KiB' }\n", &file_hook("a")].concat());
    let mut client = daemon.connect();
    assert_eq!((post(&mut client, &large()).status, get(&mut client, "/readyz").status), (202, 200));
    let mut operator = UnixStream::connect(daemon.place.path("hooks-data/operator.sock")).unwrap();
    let mut answers = BufReader::new(operator.try_clone().unwrap());
    let mut status = || {
        operator.write_all(b"\"status\"\n").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["status"]["trouble"].clone()
    };
    assert!(status().is_null());

    let before = limit_files(&daemon, Some(3));
    let refused = post(&mut client, &large());
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("another file of the log can't be begun now"), "{}", refused.body);
    let ready = get(&mut client, "/readyz");
    assert_eq!((ready.status, &*ready.body), (503, "unavailable\n"));
    assert!(get(&mut client, "/metrics").body.contains("\nhooks_bus_healthy 0\n"));
    assert!(status().as_str().unwrap().contains("can't be begun now"));

    limit_files(&daemon, before);
    while get(&mut client, "/readyz").status != 200 {}
    assert_eq!(post(&mut client, &large()).status, 202);
    assert!(get(&mut client, "/metrics").body.contains("\nhooks_bus_healthy 1\n"));
    assert!(status().is_null());
}
