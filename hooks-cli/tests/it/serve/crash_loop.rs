//! A daemon that is killed again and again gets on in each life.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use hooks_test::LATE;
use hooks_test::http::Receiver;
use serde_json::Value as Json;

use super::{Daemon, LINES, http_hook};
use crate::command::{Place, event};

/// Events of a batch.
const BATCH: usize = 10;

/// Lives that end with `kill -9`.
const LIVES: usize = 8;

/// More than are delivered in all of them.
const EVENTS: usize = (LIVES + 3) * BATCH;

/// A hook with small batches.
pub(super) fn hook(receiver: &Receiver) -> String {
    http_hook("a", &receiver.url("/")) + &format!("batch = {{ max_events = {BATCH} }}\n")
}

/// In each life the receiver answers one batch and has the next one in hand when the daemon is killed, once the position
/// behind the first is kept. So nothing that was answered may come again.
pub(super) fn lives(mut daemon: Daemon, receiver: &Receiver, is_kept: impl Fn(&Place, usize) -> bool) {
    let lines: String = (0..EVENTS).map(|number| event(number) + "\n").collect();
    assert_eq!(daemon.post(LINES, lines).status, 202);
    for life in 1..=LIVES {
        receiver.wait();
        receiver.answer_one();
        receiver.wait();
        let begin = Instant::now();
        while !is_kept(&daemon.place, life * BATCH) {
            assert!(begin.elapsed() < LATE, "life {life} keeps no position");
        }
        daemon = Daemon::again(daemon.kill());
    }
    receiver.open();
    let begin = Instant::now();
    while receiver.events("/").last() != Some(&event(EVENTS - 1)) {
        assert!(begin.elapsed() < LATE, "{:?}", receiver.events("/").last());
        std::thread::yield_now();
    }
    let expected: Vec<String> = (0..EVENTS).map(event).collect();
    assert_eq!(receiver.events("/"), expected);
}

/// True if a restart would begin behind so many events, as a copy of the folder shows.
fn is_kept(place: &Place, position: usize) -> bool {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(place.path("hooks-data")).arg(copy.path()).status().unwrap();
    let folder: &Path = &copy.path().join("hooks-data");
    let info = place.run(&["log", "info", "--json", "--dir", folder.to_str().unwrap()]);
    // While it is written, a copy may be of no use.
    let Some(info) = copied.success().then(|| serde_json::from_str::<Json>(&info.out).ok()).flatten() else {
        return false;
    };
    info["hooks"][0]["position"].as_u64() >= Some(position as u64)
}

#[test]
fn a_daemon_that_is_killed_again_and_again_gets_on_in_each_life() {
    let receiver = Receiver::closed();
    lives(Daemon::start(&hook(&receiver)), &receiver, is_kept);
}
