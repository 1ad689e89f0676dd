//! The ends of runs: receivers that refuse, fail or go away, timeouts and signals.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_test::http::Receiver;

use crate::command::{Place, event, events};

/// One webhook hook with these settings.
fn place(receiver: &Receiver, settings: &str) -> Place {
    let url = receiver.url("/");
    Place::new(&format!("[[hooks]]\nid = 'orders'\n{settings}\nsink = {{ kind = 'http', url = '{url}' }}"))
}

#[test]
fn a_receiver_that_fails_at_first_gets_everything_in_order() {
    let attempts = AtomicUsize::new(0);
    let receiver = Receiver::on_thread(move |_| if attempts.fetch_add(1, Ordering::Relaxed) < 3 { 503 } else { 200 });
    let place = place(&receiver, "retry = { initial = '1ms' }\nbatch.max_events = 2");
    let ended = place.pipe(events(5));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let seen = receiver.seen();
    let bodies: Vec<_> = seen.iter().map(|seen| seen.text()).collect();
    let (first, second, third) = (bodies[0], bodies[4], bodies[5]);
    assert_eq!(bodies, [first, first, first, first, second, third]);
    let ids: String = [first, second, third].concat();
    assert_eq!(
        ids,
        [[event(1), event(2)], [event(3), event(4)]].map(|pair| format!("[{}]", pair.join(","))).concat()
            + &format!("[{}]", event(5))
    );
}

#[test]
fn a_refused_event_ends_with_1_and_the_others_are_delivered() {
    let receiver = Receiver::on_thread(|seen| if seen.text().contains("\"n\":3}") { 400 } else { 200 });
    let ended = place(&receiver, "").pipe(events(6));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(
        ended.err.contains("orders      6          5  1 (1 refused)              0            0\n"),
        "{}",
        ended.err
    );
    assert!(
        ended.err.contains("not everything was delivered: hook `orders`: 1 event dropped (1 refused)"),
        "{}",
        ended.err
    );
    // Refused events are said one by one.
    assert!(ended.err.contains("id=\"3\""), "{}", ended.err);
}

#[test]
fn a_receiver_that_refuses_everything_does_not_hold_the_end_up() {
    let receiver = Receiver::on_thread(|_| 422);
    let ended = place(&receiver, "retry = { initial = '1ms' }").pipe(events(3));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("hook `orders`: 3 events dropped (3 refused)"), "{}", ended.err);
}

/// More events than are set aside: the hook is held, which is said once, with what the receiver answered.
#[test]
fn a_hook_that_is_held_because_of_refusals_says_so() {
    let receiver = Receiver::on_thread(|_| 422);
    let place = place(&receiver, "retry = { initial = '1ms', max = '2ms', reject_hold = '1h' }");
    let mut running = place.start();
    running.write(&events(40));
    running.wait_for("state=held");
    running.signal("INT");
    running.wait_for("reading no more");
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.err.matches("state=held").count(), 1, "{}", ended.err);
    assert!(ended.err.contains("422 Unprocessable Entity"), "{}", ended.err);
    assert_eq!(ended.code, Some(1));
}

#[test]
fn running_out_of_retries_ends_with_1_and_the_count() {
    let receiver = Receiver::on_thread(|_| 503);
    let ended = place(&receiver, "retry = { initial = '1ms', max = '2ms', max_elapsed = '3s' }").pipe(events(4));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("hook `orders`: 4 events dropped (4 expired)"), "{}", ended.err);
    assert!(receiver.seen().len() > 1);
}

#[test]
fn a_hook_disabled_by_its_receiver_ends_the_run_although_the_input_is_open() {
    let receiver = Receiver::on_thread(|_| 410);
    let place = place(&receiver, "");
    let mut running = place.start();
    running.write(&events(3));
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("stopped after line 3: hook `orders` was disabled by its receiver\n"), "{}", ended.err);
    let expected = "not everything was delivered: hook `orders`: disabled by its receiver, 3 events left behind: POST ";
    assert!(ended.err.contains(expected), "{}", ended.err);
    assert_eq!(receiver.seen().len(), 1);
}

#[test]
fn a_hook_disabled_by_its_receiver_does_not_keep_others_from_their_events() {
    let receiver = Receiver::on_thread(|seen| if seen.path() == "/gone" { 410 } else { 200 });
    let place = Place::new(&format!(
        "[[hooks]]\nid = 'gone'\nsink = {{ kind = 'http', url = '{}' }}\n[[hooks]]\nid = 'ok'\nsink = {{ kind = 'http', url = '{}' }}",
        receiver.url("/gone"),
        receiver.url("/ok")
    ));
    let ended = place.pipe(events(3));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert_eq!(receiver.events("/ok").len(), 3);
    assert!(!ended.err.contains("hook `ok`"), "{}", ended.err);
}

#[test]
fn a_timeout_names_the_hook_that_is_waited_for_and_its_last_error() {
    let receiver = Receiver::on_thread(|_| 503);
    let place = place(&receiver, "");
    let ended = place.run_with(&["pipe", "-c", "hooks.toml", "--timeout", "3s"], events(2).as_bytes());
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("timed out after 3s, waiting for hook `orders`\n"), "{}", ended.err);
    let expected = "hook `orders`: 2 events left behind: POST http";
    assert!(ended.err.contains(expected) && ended.err.contains("503 Service Unavailable"), "{}", ended.err);
    // Each failing hook is one line in the log.
    assert_eq!(ended.err.matches("delivery fails; events are kept and tried again").count(), 1, "{}", ended.err);
}

#[test]
fn a_timeout_while_nothing_comes_says_so() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = place(&receiver, "");
    let mut command = place.hooks(&["pipe", "-c", "hooks.toml", "--timeout", "50ms"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(input);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("timed out after 50ms, waiting for more input\n"), "{said}");
}

/// A parent that reads it without waiting can leave it so.
#[test]
fn input_where_reading_waits_for_nothing_is_waited_for() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = place(&receiver, "batch.max_age = '0s'");
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    let child = place.hooks(&["pipe", "-c", "hooks.toml"]).stdin(reader).stderr(Stdio::piped()).spawn().unwrap();
    writer.write_all(format!("{}\n", event(1)).as_bytes()).unwrap();
    // Once it is delivered, there is nothing to read.
    receiver.wait();
    writer.write_all(format!("{}\n", event(2)).as_bytes()).unwrap();
    drop(writer);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(receiver.events("/").len(), 2);
}

#[test]
fn a_signal_ends_reading_and_delivers_what_was_read() {
    for name in ["INT", "TERM"] {
        let receiver = Receiver::closed();
        let place = place(&receiver, "");
        let mut running = place.start();
        running.write(&events(3));
        receiver.wait();
        running.signal(name);
        running.wait_for(&format!("SIG{name}: reading no more, delivering what was read; once more to stop at once"));
        receiver.open();
        let ended = running.wait();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains(&format!("stopped by SIG{name} after line 3\n")), "{}", ended.err);
        assert_eq!(receiver.events("/").len(), 3);
    }
}

#[test]
fn a_second_signal_stops_at_once_and_says_what_is_left_behind() {
    let receiver = Receiver::closed();
    let place = place(&receiver, "");
    let mut running = place.start();
    running.write(&events(3));
    receiver.wait();
    running.signal("INT");
    running.wait_for("reading no more");
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("not everything was delivered: stopped at once by a second signal\n"), "{}", ended.err);
    assert!(ended.err.contains("hook `orders`: 3 events left behind"), "{}", ended.err);
}

#[test]
fn a_full_hook_makes_reading_wait_and_what_finds_no_room_is_counted() {
    let receiver = Receiver::closed();
    let place = place(&receiver, "batch.max_events = 1\nqueue.max_events = 1");
    let ended = place.run_with(&["pipe", "-c", "hooks.toml", "--timeout", "3s"], events(10).as_bytes());
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let lines: Vec<&str> = ended.err.lines().collect();
    let said = lines.iter().find(|line| line.contains("events read and not delivered to every hook: go on from line "));
    assert!(said.is_some_and(|said| said.ends_with(", or earlier for what hooks have left behind")), "{}", ended.err);
    assert!(ended.err.contains("waiting for hook `orders`"), "{}", ended.err);
}
