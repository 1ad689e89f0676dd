//! `hooks listen`: prints, verifies, refuses, and misbehaves; and `hooks pipe` copes with all of it.

use serde_json::Value as Json;

use crate::command::{Ended, Place, Running, event, events};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A `hooks listen`, and a config whose only hook delivers to it.
struct Listener {
    running: Running,
    place: Place,
}

impl Listener {
    fn start(args: &[&str], settings: &str) -> Self {
        let args = [&["listen", "--port", "0"], args].concat();
        let mut running = Place::new("").start_with(&args);
        let line = running.wait_for("listening at ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let retry = "initial = '1ms', max = '5ms', attempt_timeout = '400ms', reject_hold = '50ms'";
        let place = Place::new(&format!(
            "[[hooks]]\nid = 'a'\nretry = {{ {retry} }}\n{settings}\nsink = {{ kind = 'http', url = '{url}/in?k=v', secret = '{SECRET}' }}"
        ));
        Self { running, place }
    }

    /// What the listener printed on both sides.
    fn end(self) -> Ended {
        self.running.signal("INT");
        self.running.wait()
    }
}

fn lines(out: &str) -> Vec<Json> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_arrives_is_printed() {
    let listener = Listener::start(&["--secret", SECRET, "--data"], "");
    let input = event(1).replace("\"type\"", "\"subject\":\"s/1\",\"type\"") + "\n" + &event(2);
    assert_eq!(listener.place.pipe(input).code, Some(0));
    let ended = listener.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert!(lines[0].contains("  200  POST /in  batch "), "{}", lines[0]);
    assert!(lines[0].contains("  2 events  ") && lines[0].ends_with("  signature ok"), "{}", lines[0]);
    let rest = ["    test.counted  s/1  1", "        {\"n\":1}", "    test.counted  2", "        {\"n\":2}"];
    assert_eq!(lines[1..], rest);
    let summary =
        "1 requests: 1 answered 200\n2 events arrived, 2 were accepted: 2 distinct, 0 repeated, 0 out of order\n";
    assert!(ended.err.ends_with(summary), "{}", ended.err);
}

#[test]
fn a_wrong_signature_is_answered_401() {
    let listener = Listener::start(&["--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "--json"], "");
    let args = ["pipe", "-c", "hooks.toml", "--timeout", "500ms"];
    let ended = listener.place.run_with(&args, event(1).as_bytes());
    assert!(ended.err.contains("401 Unauthorized"), "{}", ended.err);
    let ended = listener.end();
    let lines = lines(&ended.out);
    assert_eq!((&lines[0]["status"], &lines[0]["signature"]), (&Json::from(401), &Json::from("bad")));
    assert!(ended.err.contains("without a right signature"), "{}", ended.err);
    assert!(!ended.err.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{}", ended.err);
}

#[test]
fn refused_types_are_refused_alone() {
    for more in [&[][..], &["--item-failures"]] {
        let args = [&["--reject-type", "test.b*", "--json"], more].concat();
        let listener = Listener::start(&args, "batch.max_events = 4");
        let input: String = (1..=8).map(|n| event(n) + "\n").collect();
        let input = input.replace(
            "\"id\":\"3\",\"source\":\"/test\",\"type\":\"test.counted\"",
            "\"id\":\"3\",\"source\":\"/test\",\"type\":\"test.bad\"",
        );
        let ended = listener.place.pipe(input);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let ended = listener.end();
        assert!(
            ended.err.contains(" 7 were accepted: 7 distinct, 0 repeated, 0 out of order\n"),
            "{more:?}: {}",
            ended.err
        );
        let statuses: Vec<_> = lines(&ended.out).iter().map(|line| line["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses.contains(&400), more.is_empty(), "{statuses:?}");
    }
}

/// Fails so, at random but the same each time; everything arrives all the same.
fn arrives_through(args: &[&str]) -> Ended {
    let listener = Listener::start(args, "batch.max_events = 5");
    let ended = listener.place.pipe(events(50));
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.err);
    let ended = listener.end();
    assert!(ended.err.contains(" 50 distinct, 0 repeated, 0 out of order\n"), "{args:?}: {}", ended.err);
    ended
}

#[test]
fn failures_on_purpose() {
    let ended = arrives_through(&["--fail-rate", "0.4", "--seed", "1", "--delay", "1ms"]);
    assert!(ended.err.contains("answering 503 to 0.4 of requests; again with --seed 1\n"), "{}", ended.err);
    assert!(ended.err.contains(": 10 answered 200, ") && ended.err.contains(" answered 503\n"), "{}", ended.err);
    let again = arrives_through(&["--fail-rate", "0.4", "--seed", "1"]);
    assert_eq!(ended.err.lines().last(), again.err.lines().last(), "the same seed, the same failures");
    let ended = arrives_through(&["--fail-rate", "0.4", "--status", "429", "--seed", "1", "--max-body", "1KiB"]);
    assert!(ended.err.contains(" answered 429"), "{}", ended.err);
}

/// All at once: each has its own listener and waits for its own time-outs.
#[test]
fn mischief_costs_nothing_but_time() {
    let kinds = [
        "hang-up",
        "stall",
        "slow-read",
        "drip",
        "reset",
        "endless-headers",
        "endless-body",
        "interim",
        "wrong-length",
        "truncated-chunks",
        "bomb",
        "garbage",
    ];
    std::thread::scope(|scope| {
        let runs = kinds.map(|kind| {
            scope.spawn(move || arrives_through(&["--misbehave", kind, "--fail-rate", "0.3", "--seed", "5", "--json"]))
        });
        for (kind, run) in kinds.iter().zip(runs) {
            let ended = run.join().unwrap();
            let bad = lines(&ended.out).iter().filter(|line| line["mischief"] == *kind).count();
            assert!(
                bad > 0 && ended.err.contains(&format!("misbehaving ({kind}) at 0.3 of requests")),
                "{}",
                ended.err
            );
        }
        scope.spawn(|| arrives_through(&["--misbehave", "close-idle"])).join().unwrap();
    });
}

#[test]
fn a_connection_that_is_never_accepted_times_out() {
    let listener = Listener::start(&["--misbehave", "never-accept"], "");
    let ended = listener.place.run_with(&["pipe", "-c", "hooks.toml", "--timeout", "1s"], event(1).as_bytes());
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("no result within the attempt timeout"), "{}", ended.err);
    assert!(
        listener
            .end()
            .err
            .ends_with("0 requests\n0 events arrived, 0 were accepted: 0 distinct, 0 repeated, 0 out of order\n")
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let place = Place::new("");
    for (args, why) in [
        (&["--fail-rate", "0.5", "--status", "204"][..], "--status 204 is no failure"),
        (&["--misbehave", "close-idle", "--fail-rate", "0.5"], "leave out --fail-rate"),
        (&["--fail-rate", "1.5"], "from 0 to 1"),
        (&["--status", "99"], "200..=599"),
        (&["--item-failures"], "--reject-type"),
        (&["--secret", "open-sesame"], "--secret: key 1: "),
        (&["--hmac", "x"], "the name of a header"),
        (&["--delay", "5"], "with its unit"),
        (&["--misbehave", "nicely"], "never-accept"),
    ] {
        let ended = place.run(&[&["listen", "--port", "0"], args].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.err);
        assert!(ended.err.contains(why) && !ended.err.contains("open-sesame"), "{args:?}: {}", ended.err);
    }
}
