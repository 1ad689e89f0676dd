//! `hooks listen`: prints, verifies, refuses, and misbehaves; and `hooks pipe` copes with all of it.

use std::io::{Read, Write};

use serde_json::Value as Json;

use crate::command::{Ended, Place, Running, event, events};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A `hooks listen`, and a config with a hook that delivers to it, and one that writes a file.
struct Listener {
    running: Running,
    place: Place,
    address: String,
}

impl Listener {
    fn start(args: &[&str], settings: &str) -> Self {
        Self::start_with(args, settings, "")
    }

    /// With an attempt timeout, which slow machines may exceed without any fault.
    fn start_impatient(args: &[&str], settings: &str) -> Self {
        Self::start_with(args, settings, ", attempt_timeout = '400ms'")
    }

    fn start_with(args: &[&str], settings: &str, timeout: &str) -> Self {
        let args = [&["listen", "--port", "0"], args].concat();
        let mut running = Place::new("").start_with(&args);
        let line = running.wait_for("listening at ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let retry = "initial = '1ms', max = '5ms', reject_hold = '50ms'";
        let place = Place::new(&format!(
            "[[hooks]]\nid = 'b'\nsink = {{ kind = 'file', path = '${{CONFIG_DIR}}/b' }}\n[[hooks]]\nid = 'a'\nretry = {{ {retry}{timeout} }}\n{settings}\nsink = {{ kind = 'http', url = '{url}/in?k=v', secret = '{SECRET}' }}"
        ));
        Self { running, place, address: url.trim_start_matches("http://").to_owned() }
    }

    /// Posts a body with further headers, and returns the status.
    fn post(&self, headers: &str, body: &str) -> u16 {
        let length = body.len();
        let head = format!("POST / HTTP/1.1\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n");
        self.exchange(&(head + body)).0
    }

    /// Sends this on a connection of its own, and returns the status and the whole answer.
    fn exchange(&self, text: &str) -> (u16, String) {
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// A delivery to it fails and says this; then it is given up.
    fn fails_with(&self, why: &str) {
        let mut pipe = self.place.start();
        pipe.write(&(event(1) + "\n"));
        pipe.wait_for(why);
        pipe.signal("TERM");
        pipe.wait_for("reading no more");
        pipe.signal("TERM");
        assert_eq!(pipe.wait().code, Some(1));
    }

    /// The output of the listener on both sides.
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
    let summary = "1 request: 1 answered 200\n2 events arrived, 2 accepted: 2 distinct, 0 repeated, 0 out of order\n";
    assert!(ended.err.ends_with(summary), "{}", ended.err);
}

#[test]
fn binary_mode_and_what_holds_no_events_are_shown() {
    let listener = Listener::start(&["--data"], "");
    let of_event = "ce-specversion: 1.0\r\nce-id: a%20%C3%A9\r\nce-source: /s\r\nce-type: t\r\n";
    assert_eq!(listener.post(of_event, "{\"n\": 1}"), 200);
    assert_eq!(listener.post(&format!("{of_event}content-type: text/plain\r\n"), "a text"), 200);
    assert_eq!(listener.post("", "{\n\"text\":\"hello\"\n}"), 200);
    let ended = listener.end();
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[1..3], ["    t  a é", "        {\"n\": 1}"]);
    assert_eq!(lines[4..6], ["    t  a é  REPEATED", "        \"a text\""]);
    assert!(lines[6].contains("0 events") && lines[6].contains("no CloudEvents"), "{}", lines[6]);
    assert_eq!(lines[7..], ["    {", "    \"text\":\"hello\"", "    }"]);
}

/// Whatever a JSON reader would make of it, and whatever else is in its batch.
#[test]
fn json_shows_what_came_as_it_came() {
    let listener = Listener::start(&["--json", "--data"], "");
    let members = [
        r#""id":"1","source":"/s","type":"t","data":{"n": 1.50, "n":1e400, "big":12345678901234567890123,"s":"\ud800\/"}"#,
        r#""id":"2","source":"/s","type":"t","partitionkey":7,"sequence":10,"ok":true,"data_base64":"AP8=""#,
        r#""id":"\udfff","source":"/s","type":"t","env":"a","env":"b","datacontenttype":"text/plain","data":"x""#,
        r#""id":3,"source":"/s","type":"t","subject":null"#,
    ];
    let body = format!("[{},\n7]", members.map(|members| format!("{{\n{members}\r\n}}")).join(","));
    assert_eq!(listener.post("", &body), 200);
    let ended = listener.end();
    assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
    for part in [
        r#""id":"1","source":"/s","type":"t","subject":null,"#,
        r#""data":{"n": 1.50, "n":1e400, "big":12345678901234567890123,"s":"\ud800\/"}"#,
        r#""data":null,"data_base64":"AP8=","attributes":{"partitionkey":7,"sequence":10,"ok":true}}"#,
        r#""id":"\udfff""#,
        r#""data":"x","attributes":{"env":"a","env":"b","datacontenttype":"text/plain"}}"#,
        r#""id":3"#,
        r#""fault":"no CloudEvents: event 5: invalid type: integer `7`, expected an event"#,
    ] {
        assert!(ended.out.contains(part), "{part} is not in {}", ended.out);
    }
    assert!(ended.err.contains("4 events arrived, 4 accepted: 4 distinct"), "{}", ended.err);
}

#[test]
fn secrets_come_from_a_file_too() {
    let place = Place::new("");
    let file = place.path("secrets");
    std::fs::write(&file, format!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\n{SECRET}\n")).unwrap();
    let listener = Listener::start(&["--secret-file", file.to_str().unwrap(), "--json"], "");
    assert_eq!(listener.place.pipe(event(1)).code, Some(0));
    assert_eq!(lines(&listener.end().out)[0]["signature"], Json::from("ok"));
    for (text, why) in [("", "there is none"), ("open-sesame\n", "key 1: ")] {
        std::fs::write(&file, text).unwrap();
        let ended = place.run(&["listen", "--port", "0", "--secret-file", "secrets"]);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.starts_with("--secret-file secrets: ") && ended.err.contains(why), "{}", ended.err);
        assert!(!ended.err.contains("sesame"), "{}", ended.err);
    }
}

#[test]
fn a_wrong_signature_is_answered_401() {
    let listener = Listener::start(&["--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "--json"], "");
    listener.fails_with("401 Unauthorized");
    let ended = listener.end();
    let lines = lines(&ended.out);
    assert_eq!((&lines[0]["status"], &lines[0]["signature"]), (&Json::from(401), &Json::from("bad")));
    assert!(ended.err.contains("without a right signature"), "{}", ended.err);
    assert!(!ended.err.contains("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "{}", ended.err);
}

#[test]
fn the_plain_hmac_is_verified_too() {
    // GitHub's example.
    let body = "Hello, World!";
    let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let secret = "X-Hub-Signature-256=It's a Secret to Everybody";
    let listener = Listener::start(&["--hmac", secret, "--json"], "");
    for (signature, status) in [(good, 200), (&good.replace('7', "8"), 401)] {
        assert_eq!(listener.post(&format!("x-hub-signature-256: {signature}\r\n"), body), status);
    }
    assert_eq!(listener.post("", body), 401);
    let signatures: Vec<_> =
        lines(&listener.end().out).iter().map(|line| line["signature"].as_str().unwrap().to_owned()).collect();
    assert_eq!(signatures, ["ok", "bad", "none"]);
}

#[test]
fn what_is_no_delivery_is_answered_and_printed() {
    let listener = Listener::start(&["--status", "410", "--retry-after", "2s", "--max-body", "100"], "");
    assert_eq!(listener.exchange("GET /health HTTP/1.1\r\nconnection: close\r\n\r\n").0, 405);
    let (status, answer) = listener.exchange("POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    assert!(status == 410 && answer.contains("\r\nretry-after: 2\r\n"), "{answer}");
    assert_eq!(listener.post("", &"x".repeat(101)), 413);
    assert_eq!(listener.exchange("\u{1b}[31mred\r\n\r\n").0, 400);
    let ended = listener.end();
    for (line, expected) in ended.out.lines().zip([
        "405  GET /health  0 events  0 B  not signed",
        "410  POST /  0 events  5 B  not signed  (no CloudEvents: expected value at line 1 column 1)",
        "413  - -  0 events  0 B  not signed  (larger than 100 bytes)",
        "400  - -  0 events  0 B  not signed  (no HTTP/1.1: invalid token)",
    ]) {
        assert!(line.ends_with(expected), "{line}");
    }
    assert_eq!(ended.out.lines().count(), 4);
    assert!(ended.err.contains("4 requests: 1 answered 405, 1 answered 410, 2 not answered well\n"), "{}", ended.err);
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
        assert!(ended.err.contains(" 7 accepted: 7 distinct, 0 repeated, 0 out of order\n"), "{more:?}: {}", ended.err);
        let statuses: Vec<_> = lines(&ended.out).iter().map(|line| line["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses.contains(&400), more.is_empty(), "{statuses:?}");
    }
}

/// Fails so, at random but the same each time; everything arrives all the same.
fn arrives_through(args: &[&str]) -> Ended {
    let ended = arrives(Listener::start(args, "batch.max_events = 5"));
    assert!(ended.err.contains(" 50 distinct, 0 repeated, 0 out of order\n"), "{args:?}: {}", ended.err);
    ended
}

fn arrives(listener: Listener) -> Ended {
    let ended = listener.place.pipe(events(50));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(listener.place.read("b"), events(50), "the other hook is unharmed");
    let ended = listener.end();
    assert!(ended.err.contains(" 50 distinct, ") && ended.err.ends_with(" 0 out of order\n"), "{}", ended.err);
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

/// All at once: each has a listener of its own.
fn arrives_through_each<const N: usize>(kinds: [&str; N], start: fn(&[&str], &str) -> Listener) {
    std::thread::scope(|scope| {
        let runs = kinds.map(|kind| {
            let args = ["--misbehave", kind, "--fail-rate", "0.3", "--seed", "5", "--json"];
            (kind, scope.spawn(move || arrives(start(&args, "batch.max_events = 5"))))
        });
        for (kind, run) in runs {
            let ended = run.join().unwrap();
            let bad = lines(&ended.out).iter().filter(|line| line["mischief"] == kind).count();
            let said = format!("misbehaving ({kind}) at 0.3 of requests");
            assert!(bad > 0 && ended.err.contains(&said), "{}", ended.err);
            let is_repeated = !ended.err.contains(" 0 repeated");
            assert!(!is_repeated || SLOW.contains(&kind), "{kind}: {}", ended.err);
        }
    });
}

/// Faults that end by a timeout only.
const SLOW: [&str; 4] = ["stall", "slow-read", "drip", "interim"];

#[test]
fn faults_lose_and_repeat_nothing() {
    let kinds =
        ["hang-up", "reset", "endless-headers", "endless-body", "wrong-length", "truncated-chunks", "bomb", "garbage"];
    arrives_through_each(kinds, Listener::start);
    arrives_through(&["--misbehave", "close-idle"]);
}

#[test]
fn a_fault_that_never_ends_costs_nothing_but_time() {
    arrives_through_each(SLOW, Listener::start_impatient);
}

#[test]
fn a_connection_that_is_never_accepted_times_out() {
    let listener = Listener::start_impatient(&["--misbehave", "never-accept"], "");
    listener.fails_with("no result within the attempt timeout");
    assert!(
        listener
            .end()
            .err
            .ends_with("0 requests\n0 events arrived, 0 accepted: 0 distinct, 0 repeated, 0 out of order\n")
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

#[test]
fn senders_who_ask_are_granted_what_was_told() {
    let question = "OPTIONS /in HTTP/1.1\r\nconnection: close\r\nwebhook-request-origin: events.example.com\r\n\r\n";
    for (args, rate, printed) in [
        (&[][..], Some("*"), "granted to events.example.com"),
        (&["--allowed-rate", "60"], Some("60"), "granted to events.example.com, 60 a minute"),
        (&["--no-grant"], None, "not granted to events.example.com"),
    ] {
        let listener = Listener::start(args, "");
        let (status, answer) = listener.exchange(question);
        assert_eq!(status, 200);
        let granted =
            rate.map(|rate| format!("webhook-allowed-origin: events.example.com\r\nwebhook-allowed-rate: {rate}"));
        assert_eq!(answer.contains("webhook-allowed"), granted.is_some(), "{answer}");
        assert!(granted.is_none_or(|granted| answer.contains(&granted)), "{answer}");
        let out = listener.end().out;
        assert!(out.ends_with(&format!("  200  OPTIONS /in  {printed}\n")), "{out}");
    }
    // Without the question it is a request like any other.
    let listener = Listener::start(&["--json"], "");
    assert_eq!(listener.exchange(&question.replace("request-origin", "x")).0, 405);
    assert_eq!(listener.exchange(question).0, 200);
    let lines = lines(&listener.end().out);
    assert_eq!((&lines[0]["grant"], &lines[1]["grant"]), (&Json::Null, &Json::from("granted to events.example.com")));
}

#[test]
fn a_hook_asks_a_listener_and_delivers() {
    let listener = Listener::start(&["--allowed-rate", "600000"], "");
    let config = listener
        .place
        .read("hooks.toml")
        .replace("secret = ", "verify = 'cloudevents', origin = 'me.example', secret = ");
    std::fs::write(listener.place.path("hooks.toml"), config).unwrap();
    assert_eq!(listener.place.pipe(events(3)).code, Some(0));
    let out = listener.end().out;
    assert!(out.lines().next().unwrap().ends_with("OPTIONS /in  granted to me.example, 600000 a minute"), "{out}");
    assert!(out.contains("  3 events  "), "{out}");
}
