//! A replay of dead letters that is cut off: whoever asked for it hears how far it came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use hooks_test::http::Receiver;

use super::durable::operate;
use super::{Daemon, LINES, http_hook};
use crate::command::{Ended, Place, Running, event};

/// Refused the second and the third event; a replay delivers the second and hangs with the third.
struct Hanging {
    daemon: Daemon,
    receiver: Receiver,
    /// Ends the hanging when it is dropped, which has to be before the receiver is.
    release: SyncSender<()>,
}

impl Hanging {
    fn start() -> Self {
        let (healed, (release, hangs)) = (Arc::new(AtomicBool::new(false)), sync_channel(1));
        let (is_healed, hangs) = (healed.clone(), Mutex::new(hangs));
        let receiver = Receiver::on_thread(move |seen| {
            let has = |id: u32| seen.text().contains(&format!("\"id\":\"{id}\""));
            match (is_healed.load(Ordering::Relaxed), has(2), has(3)) {
                (false, true, _) | (false, _, true) => 422,
                (true, _, true) => hangs.lock().unwrap().recv().map_or(200, |()| 200),
                _ => 200,
            }
        });
        let config = http_hook("a", &receiver.url("/")) + "batch.max_events = 1\n";
        let daemon = Daemon::with(&config, &["--grace", "1s"]);
        let lines: String = (1..5).map(|number| event(number) + "\n").collect();
        assert_eq!(daemon.post(LINES, lines).status, 202);
        while daemon.metric("hooks_dead_letters{hook=\"a\"}") != Some(2.0) {}
        healed.store(true, Ordering::Relaxed);
        Self { daemon, receiver, release }
    }

    /// Replays until it hangs.
    fn replay(place: &Place, receiver: &Receiver) -> Running {
        let before = receiver.seen().len();
        let replay = place.start_with(&["dead-letters", "replay", "-c", "hooks.toml", "a"]);
        (0..before + 2).for_each(|_| receiver.wait());
        replay
    }
}

fn check(ended: &Ended) {
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), "1 delivered, 0 refused again, 1 not tried\n"));
    assert!(ended.err.contains("changed or stopped meanwhile: do it again"), "{}", ended.err);
}

fn only_the_third_is_left(place: &Place) {
    let (_, out) = operate(place, &["dead-letters", "list", "--json"]);
    assert!(out.lines().count() == 1 && out.contains("\"event_id\":\"3\""), "{out}");
}

#[test]
fn the_end_of_the_daemon_cuts_a_replay_off() {
    let Hanging { daemon, receiver, release } = Hanging::start();
    let replay = Hanging::replay(&daemon.place, &receiver);
    daemon.running.signal("TERM");
    check(&replay.wait());
    drop(release);
    only_the_third_is_left(&daemon.kill());
}

/// An event that arrived is no dead letter any more, whatever becomes of the rest.
#[test]
fn a_crash_in_the_middle_of_a_replay_leaves_what_did_not_arrive() {
    let Hanging { daemon, receiver, release } = Hanging::start();
    let replay = Hanging::replay(&daemon.place, &receiver);
    while daemon.metric("hooks_dead_letters{hook=\"a\"}") != Some(1.0) {}
    let place = daemon.kill();
    assert_eq!(replay.wait().code, Some(1));
    drop(release);
    only_the_third_is_left(&place);
    let (code, out) = operate(&place, &["dead-letters", "replay", "a"]);
    assert_eq!((code, out.as_str()), (Some(0), "1 delivered, 0 refused again, 0 not tried\n"));
}

#[test]
fn a_signal_cuts_a_replay_off_where_no_daemon_runs() {
    let Hanging { daemon, receiver, release } = Hanging::start();
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    let replay = Hanging::replay(&place, &receiver);
    replay.signal("INT");
    check(&replay.wait());
    drop(release);
    only_the_third_is_left(&place);
}

#[test]
fn a_signal_leaves_a_replay_to_the_daemon() {
    let Hanging { mut daemon, receiver, release } = Hanging::start();
    let replay = Hanging::replay(&daemon.place, &receiver);
    replay.signal("INT");
    let ended = replay.wait();
    assert!(
        ended.code == Some(1) && ended.err.starts_with("SIGINT: a daemon that delivers them goes on"),
        "{}",
        ended.err
    );
    drop(release);
    // As it does where somebody waits for the answer.
    let line = daemon.running.wait_for("an operator replayed dead letters of the hook");
    assert!(line.contains("delivered=2"), "{line}");
    assert_eq!(daemon.metric("hooks_dead_letters{hook=\"a\"}"), Some(0.0));
}
