//! `hooks test` and `hooks sinks`.

use hooks_test::http::Receiver;

use crate::command::Place;

fn place(receiver: &Receiver) -> Place {
    let url = receiver.url("/path");
    Place::new(&format!("[[hooks]]\nid = 'orders'\nenabled = false\nsink = {{ kind = 'http', url = '{url}' }}"))
}

#[test]
fn a_test_delivers_one_event_and_prints_the_answer_and_the_time() {
    let receiver = Receiver::on_thread(|_| 202);
    let ended = place(&receiver).run(&["test", "-c", "hooks.toml", "orders"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert!(ended.out.starts_with("hook `orders`: delivered in "), "{}", ended.out);
    assert!(ended.out.contains("s: 202 Accepted\n"), "{}", ended.out);
    let lines: Vec<_> = ended.out.lines().map(|line| line.split("  ").next().unwrap()).collect();
    for name in ["request", "connect", "first byte", "answer", "body", "total"] {
        assert!(lines.contains(&name), "{name}: {}", ended.out);
    }
    let request = format!("POST {}\n", receiver.url("/path"));
    assert!(ended.out.contains(&request) && !ended.out.contains("advice"), "{}", ended.out);
    let events = receiver.events("/path");
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("\"type\":\"hooks.test\""), "{}", events[0]);
}

/// A test delivery said "delivered" after only queueing in an earlier system.
#[test]
fn a_test_that_is_refused_or_fails_ends_with_1_and_the_receivers_answer() {
    for (status, said) in
        [(422, "422 Unprocessable Entity"), (503, "503 Service Unavailable"), (302, "302 Found"), (410, "410 Gone")]
    {
        let receiver = Receiver::on_thread(move |_| status);
        let ended = place(&receiver).run(&["test", "-c", "hooks.toml", "orders"]);
        assert_eq!(ended.code, Some(1), "{}", ended.out);
        assert!(ended.out.contains(said) && !ended.out.contains("delivered"), "{}", ended.out);
        assert_eq!(receiver.seen().len(), 1, "one attempt, no redirect followed");
    }
}

#[test]
fn a_test_with_nobody_there_says_so() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = place(&receiver);
    drop(receiver);
    let ended = place.run(&["test", "-c", "hooks.toml", "orders"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("can't connect"), "{}", ended.out);
    assert!(ended.out.contains("\nadvice ") && ended.out.contains("nothing listens there"), "{}", ended.out);
}

#[test]
fn what_may_not_be_meant_is_said_once_the_file_is_read() {
    let sink =
        "{ kind = 'http', url = 'https://example.com', guard = true, proxy = 'http://me:open-sesame@proxy:3128' }";
    let place = Place::new(&format!("[[hooks]]\nid = 'orders'\nsink = {sink}"));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(0));
    let warning = "hooks.toml: warning: hook `orders`: sink `http`: proxy: a proxy resolves names by itself";
    assert!(ended.err.starts_with(warning) && !ended.err.contains("sesame"), "{}", ended.err);
}

#[test]
fn a_variable_without_braces_is_a_warning_at_its_place() {
    let sink = "{ kind = 'http', url = 'https://example.com', bearer = '$OPEN_SESAME', headers = { a = '$$A $5' } }";
    let place = Place::new(&format!("[[hooks]]\nid = 'orders'\nsink = {sink}"));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    let warning = "hooks.toml:3:63: warning: a name behind `$` stays as it is: a variable is written `${NAME}`, and a plain dollar sign `$$`\n";
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), warning));
}

#[test]
fn single_events_and_batches_contradict_each_other() {
    let sink = "{ kind = 'http', url = 'https://example.com', mode = 'single' }";
    let place = Place::new(&format!("[[hooks]]\nid = 'orders'\nbatch = {{ max_events = 5 }}\nsink = {sink}"));
    let ended = place.run(&["check", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.err.contains("hooks.toml:3:24: hook `orders`: batch.max_events: 5 events"), "{}", ended.err);
}

#[test]
fn a_test_of_an_unknown_hook_names_the_nearest() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = place(&receiver);
    for (id, near) in [("order", ", did you mean `orders`?"), ("x", "; its hooks: orders")] {
        let ended = place.run(&["test", "-c", "hooks.toml", id]);
        let elsewhere = format!("a hook that was made over the API is tested by its daemon: POST /v1/hooks/{id}/test");
        assert_eq!((ended.code, ended.err), (Some(1), format!("hooks.toml has no hook `{id}`{near}\n{elsewhere}\n")));
    }
}

#[test]
fn sinks_are_listed_with_their_options() {
    let place = Place::new("");
    let ended = place.run(&["sinks"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for expected in [
        "file: Appends events to a file",
        "http: Delivers batches as webhooks",
        "  url  (string, required)\n",
        "  hmac.header  (string, required)\n",
        "  hmac.secret  (secret)\n",
        "  http_version  (\"1.1\" or \"2\" or \"auto\", default \"1.1\")\n",
        "  create_dirs  (boolean, default false)\n",
    ] {
        assert!(ended.out.contains(expected), "{expected}\n{}", ended.out);
    }
    assert!(!ended.out.contains("```"), "{}", ended.out);
    assert!(!place.run(&["sinks", "file"]).out.contains("http"));
    let unknown = place.run(&["sinks", "nats"]);
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (Some(2), "no sink of kind `nats`; linked into this binary: `file`, `http`\n")
    );
}

#[test]
fn buses_are_listed_with_their_options() {
    let place = Place::new("");
    let ended = place.run(&["buses"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for expected in [
        "durable: Keeps events on disk",
        "memory: Keeps events in this process",
        "nats: Keeps events in a NATS JetStream stream",
        "  dir  (string, default \"hooks-data\")\n",
        "  dead_letters.max_events  (integer, default 10000)\n",
        "  password  (secret)\n",
    ] {
        assert!(ended.out.contains(expected), "{expected}\n{}", ended.out);
    }
    assert!(!place.run(&["buses", "memory"]).out.contains("segment_size"));
    let unknown = place.run(&["buses", "file"]);
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (Some(2), "no bus of kind `file`; linked into this binary: `durable`, `memory`, `nats`, `postgres`\n")
    );
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    let place = Place::new("");
    for args in [
        &["pipe"][..],
        &["pip"],
        &["check"],
        &["pipe", "-c", "x", "--timeout", "0s"],
        &["test", "-c", "x"],
        &["sinks", "--log", "louder"],
        &[],
    ] {
        let ended = place.run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.err);
        assert!(!ended.err.is_empty() && ended.out.is_empty(), "{args:?}");
    }
    for args in [&["--help"][..], &["pipe", "--help"], &["check", "-h"], &["test", "--help"], &["sinks", "--help"]] {
        let ended = place.run(args);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{args:?}");
        assert!(ended.out.contains("Examples:\n"), "{args:?}: {}", ended.out);
    }
}

#[test]
fn connecting_takes_less_than_an_attempt() {
    let place = |limit: &str| {
        let sink = format!("{{ kind = 'http', url = 'https://example.com' {limit} }}");
        Place::new(&format!("[[hooks]]\nid = 'orders'\nretry.attempt_timeout = '5s'\nsink = {sink}"))
    };
    for limit in ["", ", connect_timeout = '4s'"] {
        let ended = place(limit).run(&["check", "-c", "hooks.toml"]);
        assert_eq!(ended.code, Some(0), "{limit}: {}", ended.err);
    }
    for limit in [", connect_timeout = '5s'", ", connect_timeout = '1m'"] {
        let ended = place(limit).run(&["check", "-c", "hooks.toml"]);
        assert_eq!(ended.code, Some(78), "{limit}");
        assert!(
            ended.err.contains("hooks.toml:3:25: hook `orders`: retry.attempt_timeout: 5s is over"),
            "{}",
            ended.err
        );
    }
}
