//! `hooks publish`: to a real `hooks serve`, and to servers that have no room.

use std::sync::atomic::{AtomicUsize, Ordering};

use hooks_test::http::Receiver;

use crate::command::{Ended, Place, event, events, run};
use crate::serve::{Daemon, file_hook};

/// Publishes to an address.
fn publish(place: &Place, url: &str, args: &[&str], input: &str) -> Ended {
    place.run_with(&[&["publish", "--to", url], args].concat(), input.as_bytes())
}

/// The events that a scripted server accepted, by their numbers.
fn numbers(receiver: &Receiver, status: impl Fn(usize) -> u16) -> Vec<u64> {
    let requests = receiver.seen().into_iter().enumerate().filter(|(at, _)| status(*at) < 300);
    let lines: String = requests.map(|(_, seen)| seen.text().to_owned()).collect();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.map(|event| event["data"]["n"].as_u64().unwrap()).collect()
}

#[test]
fn everything_reaches_a_running_daemon_in_order() {
    let daemon = Daemon::start(&file_hook("a"));
    let url = format!("http://{}", daemon.address);
    let ended = publish(&daemon.place, &url, &["--batch", "300"], &events(2_000));
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    assert!(ended.err.starts_with("2000 lines read: 2000 events accepted, 0 malformed, in "), "{}", ended.err);
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(place.read("a"), events(2_000));
}

#[test]
fn a_token_is_sent_and_a_wrong_one_ends_it() {
    let place = Place::new("");
    std::fs::write(place.path("token"), "open-sesame-open-sesame-open-sesame\n").unwrap();
    std::fs::write(place.path("wrong"), "shut-sesame-shut-sesame-shut-sesame\n").unwrap();
    let token = place.path("token");
    let daemon = Daemon::start(&format!("ingest.token_file = '{}'\n{}", token.display(), file_hook("a")));
    let url = format!("http://{}", daemon.address);
    let ended = publish(&place, &url, &["--token-file", "token"], &event(1));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for args in [&["--token-file", "wrong"][..], &[]] {
        let ended = publish(&place, &url, args, &event(1));
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        assert!(ended.err.contains("401 Unauthorized: ") && !ended.err.contains("sesame"), "{}", ended.err);
    }
}

#[test]
fn lines_that_are_no_events_are_named_and_the_others_are_sent() {
    let receiver = Receiver::on_thread(|_| 202);
    let input = format!("{}\nnot JSON\n\n{{\"type\":\"hooks.x\"}}\n{}\n", event(1), event(2));
    let ended = publish(&Place::new(""), &receiver.url(""), &[], &input);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let lines: Vec<&str> = ended.err.lines().collect();
    assert!(lines[0].starts_with("line 2: ") && lines[1].starts_with("line 4: type `hooks.x`"), "{}", ended.err);
    assert!(lines[2].starts_with("5 lines read: 2 events accepted, 2 malformed, in "), "{}", ended.err);
    assert_eq!(numbers(&receiver, |_| 202), [1, 2]);
    assert_eq!(receiver.seen()[0].path(), "/v1/events");
}

/// The server answers each of these in turn, and then accepts everything.
#[test]
fn it_waits_and_goes_on_where_it_stopped() {
    const ANSWERS: [u16; 7] = [202, 503, 507, 202, 429, 500, 202];
    let status = |at: usize| ANSWERS.get(at).copied().unwrap_or(202);
    let requests = AtomicUsize::new(0);
    let receiver = Receiver::on_thread(move |_| status(requests.fetch_add(1, Ordering::Relaxed)));
    let ended = publish(&Place::new(""), &receiver.url("/"), &["--batch", "10"], &events(50));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(numbers(&receiver, status), (1..=50).collect::<Vec<u64>>());
    let bodies: Vec<String> = receiver.seen().into_iter().map(|seen| seen.text().to_owned()).collect();
    assert!(bodies[1] == bodies[2] && bodies[2] == bodies[3], "the same bytes each time");
    for line in
        ["waiting: 503 Service Unavailable\n", "waiting: 507 Insufficient Storage\n", "the server takes events again\n"]
    {
        assert!(ended.err.contains(line), "{}", ended.err);
    }
}

#[test]
fn missing_ids_are_the_same_when_an_event_is_sent_again() {
    let requests = AtomicUsize::new(0);
    let receiver = Receiver::on_thread(move |_| if requests.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 202 });
    let ended = publish(&Place::new(""), &receiver.url("/"), &["--source", "/me"], r#"{"type":"a","data":{"n":1}}"#);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let seen = receiver.seen();
    assert_eq!((seen.len(), &seen[0].body), (2, &seen[1].body));
    assert!(seen[0].text().contains(r#""source":"/me""#), "{}", seen[0].text());
}

#[test]
fn too_large_requests_are_split() {
    let receiver = Receiver::on_thread(|seen| if seen.text().lines().count() > 3 { 413 } else { 202 });
    let ended = publish(&Place::new(""), &receiver.url("/"), &[], &events(20));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let accepted = |at: usize| if receiver.seen()[at].text().lines().count() > 3 { 413 } else { 202 };
    assert_eq!(numbers(&receiver, accepted), (1..=20).collect::<Vec<u64>>());
}

#[test]
fn what_the_daemon_refuses_is_named_by_its_line() {
    let daemon = Daemon::start(&format!("events.max_bytes = 200\n{}", file_hook("a")));
    let long = event(2).replace("{\"n\":2}", &format!("\"{}\"", "x".repeat(200)));
    let input = format!("{}\n\n{long}\n{}\n", event(1), event(3));
    let url = format!("http://{}/v1/events", daemon.address);
    let ended = publish(&daemon.place, &url, &[], &input);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.starts_with("line 3: ") && ended.err.contains("limit of 200"), "{}", ended.err);
    assert!(ended.err.contains("2 events accepted, 0 malformed, 1 refused by the server"), "{}", ended.err);
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(place.read("a"), format!("{}\n{}\n", event(1), event(3)));
}

#[test]
fn what_the_daemon_refuses_is_named_so_often_and_then_counted() {
    let daemon = Daemon::start(&format!("events.max_bytes = 20\n{}", file_hook("a")));
    let ended = publish(&daemon.place, &format!("http://{}", daemon.address), &[], &events(300));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert_eq!(ended.err.lines().filter(|line| line.starts_with("line ")).count(), 200, "{}", ended.err);
    assert!(ended.err.contains("\nfrom line 201 on, what is refused is only counted\n"), "{}", ended.err);
    assert!(ended.err.contains(": 0 events accepted, 0 malformed, 300 refused by the server, in "), "{}", ended.err);
}

#[test]
fn what_never_works_ends_it_and_says_how_far_it_came() {
    let requests = AtomicUsize::new(0);
    let receiver = Receiver::on_thread(move |_| if requests.fetch_add(1, Ordering::Relaxed) < 2 { 202 } else { 404 });
    let ended = publish(&Place::new(""), &receiver.url("/"), &["--batch", "10"], &events(50));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let why = "not everything was sent: 404 Not Found; line 20 is the last that was accepted\n";
    assert!(
        ended.err.ends_with(why) && ended.err.contains("20 events accepted, 0 malformed, 30 not sent"),
        "{}",
        ended.err
    );
}

#[test]
fn a_server_that_is_not_there_is_waited_for() {
    let place = Place::new("");
    // Its port is kept, and nobody listens there.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let ended = publish(&place, &format!("http://{}", bound.local_addr().unwrap()), &["--timeout", "5s"], &event(1));
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("waiting: no answer: ") && ended.err.contains("Connection refused"), "{}", ended.err);
    assert!(ended.err.contains("timed out after 5s") && ended.err.contains("nothing was accepted"), "{}", ended.err);
}

/// The server may have accepted what it never answered, or could not say anything about.
#[test]
fn what_may_have_been_accepted_is_not_said_to_be_refused() {
    let receiver = Receiver::closed();
    let place = Place::new("");
    let mut running = place.start_with(&["publish", "--to", &receiver.url("")]);
    running.write(&events(3));
    receiver.wait();
    running.signal("TERM");
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains(": 0 events accepted, 0 malformed, 3 perhaps accepted, in "), "{}", ended.err);
    assert!(ended.err.ends_with("; nothing is known to be accepted\n"), "{}", ended.err);

    // Also when the last of several answers is clear.
    let requests = AtomicUsize::new(0);
    let receiver = Receiver::on_thread(move |_| [202, 503, 404][requests.fetch_add(1, Ordering::Relaxed)]);
    let ended = publish(&place, &receiver.url(""), &["--batch", "2"], &events(5));
    assert!(
        ended.err.contains(": 2 events accepted, 0 malformed, 2 perhaps accepted, 1 not sent, in "),
        "{}",
        ended.err
    );
    assert!(ended.err.ends_with("404 Not Found; line 2 is the last that is known to be accepted\n"), "{}", ended.err);
}

#[test]
fn a_signal_ends_it_after_what_was_accepted() {
    let receiver = Receiver::on_thread(|_| 202);
    let place = Place::new("");
    let mut running = place.start_with(&["publish", "--to", &receiver.url("")]);
    running.write(&(event(1) + "\n"));
    receiver.wait();
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.ends_with("stopped by a signal; line 1 is the last that was accepted\n"), "{}", ended.err);
}

#[test]
fn the_rate_is_kept() {
    let receiver = Receiver::on_thread(|_| 202);
    let started = std::time::Instant::now();
    let ended = publish(&Place::new(""), &receiver.url("/"), &["--rate", "200"], &events(100));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // Five requests of 20 events: the last leaves after 0.4 s. A slow machine takes longer, never shorter.
    assert!(started.elapsed().as_millis() >= 400, "{:?}", started.elapsed());
    assert_eq!(receiver.seen().len(), 5);
}

#[test]
fn wrong_arguments_are_refused() {
    let place = Place::new("");
    std::fs::write(place.path("empty"), "\n").unwrap();
    for (args, why) in [
        (&["--to", "localhost:8080"][..], "http://host:port"),
        (&["--to", "http://h", "--rate", "0"], "at least 0.001"),
        (&["--to", "http://h", "--batch", "0"], "'--batch <NUMBER>'"),
        (&["--to", "http://h", "--token-file", "none"], "--token-file none: "),
        (&["--to", "http://h", "--token-file", "empty"], "it is empty"),
        (&[], "--to <URL>"),
    ] {
        let mut command = place.hooks(&["publish"]);
        command.args(args);
        let ended = run(command, b"");
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.err);
        assert!(ended.err.contains(why), "{args:?}: {}", ended.err);
    }
}
