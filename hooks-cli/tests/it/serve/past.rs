//! Past events, over the API and on the command line.

use std::os::unix::fs::FileExt as _;

use super::{Answer, Daemon, LINES, MEMORY, file_hook};
use crate::command::Place;

const TOKENS: &str = "[[api.tokens]]\nname = 'acme'\ntoken = 'token-acme'\nmay = ['publish', 'read']\ntenant = 'acme'
[[api.tokens]]\nname = 'operator'\ntoken = 'token-operator'\nmay = ['publish', 'read']
";

/// Two of `acme` among others, one spelled oddly.
fn lines() -> Vec<String> {
    let event = |number: usize| {
        let (kind, source) = (["paid", "sent"][number % 2], ["/shop", "https://x/?a=1"][number / 5]);
        let tenant = if number % 4 == 3 { r#","tenant":"acme""# } else { "" };
        format!(
            r#"{{"specversion":"1.0","id":"n{number}","time":"2026-11-23T10:00:00Z","source":"{source}"{tenant},"type":"invoice.{kind}","data":[1 , {number}.0]}}"#
        )
    };
    let odd = r#"{ "data":{"id":"n3"}, "specversion":"1.0","type":"od\u0064","id":"\u0063af\u00e9","source":"\/s","time":"2026-11-23T10:00:00Z" }"#;
    (0..9).map(event).chain([odd.to_owned()]).collect()
}

fn asked(daemon: &Daemon, path: &str, token: &str) -> Answer {
    daemon.exchange(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer token-{token}\r\n\r\n"))
}

fn positions(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["events"].as_array().unwrap().iter().map(|event| event["position"].as_u64().unwrap()).collect()
}

fn publish(daemon: &Daemon, lines: &[String]) {
    let token = format!("authorization: Bearer token-operator\r\ncontent-type: {LINES}\r\n");
    assert_eq!(daemon.post_with(&token, lines.join("\n")).status, 202);
}

/// What `hooks events --json` prints, with these options.
fn printed(place: &Place, options: &[&str]) -> Vec<String> {
    let ended = place.run(&[&["events", "-c", "hooks.toml", "--json"], options].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    ended.out.lines().map(str::to_owned).collect()
}

/// Each of its attributes finds an event, in both orders, from a daemon and from the folder that it leaves.
#[test]
fn past_events_are_found_and_are_what_was_accepted_byte_for_byte() {
    let daemon = Daemon::start(&format!("{TOKENS}{}", file_hook("a")));
    let lines = lines();
    publish(&daemon, &lines);
    let is_right = |place: &Place| {
        for (options, expected) in [
            (&["--order", "oldest"][..], (0..10).collect()),
            (&["--limit", "3"], vec![9, 8, 7]),
            (&["--id", "n3", "--id", "café"], vec![9, 3]),
            (&["--source", "/s*", "--order", "oldest"], vec![0, 1, 2, 3, 4, 9]),
            (&["--source", "https://x/?a=1", "--type", "*.sent"], vec![7, 5]),
            (&["--type", "odd", "--type", "invoice.paid"], vec![9, 8, 6, 4, 2, 0]),
            (&["--tenant", "acme"], vec![7, 3]),
            (&["--since", "1h", "--until", "0s", "--tenant", "other"], vec![]),
            (&["--since", "1h", "--limit", "1"], vec![9]),
            (&["--until", "1h"], vec![]),
            (&["--since", "2126-11-27T10:00:00Z"], vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|at: usize| lines[at].clone()).collect();
            assert_eq!(printed(place, options), expected, "{options:?}");
        }
        let table = place.run(&["events", "-c", "hooks.toml", "--limit", "2"]);
        let row = table.out.lines().nth(2).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
        assert_eq!((table.code, row[0], &row[2..]), (Some(0), "8", &["invoice.paid", "n8", "https://x/?a=1"][..]));
        assert!(table.err.contains("there may be more"), "{}", table.err);
    };
    is_right(&daemon.place);
    let place = daemon.kill();
    is_right(&place);
}

#[test]
fn pages_go_on_where_the_one_before_ended() {
    let daemon = Daemon::start(&format!("{TOKENS}{}", file_hook("a")));
    publish(&daemon, &lines());
    for (order, expected) in [("oldest", [0, 2, 4, 6, 8]), ("newest", [8, 6, 4, 2, 0])] {
        let (mut after, mut read) = (String::new(), Vec::new());
        loop {
            let path = format!("/v1/events?type=invoice.paid&limit=2&order={order}{after}");
            let page = asked(&daemon, &path, "operator");
            let more = positions(&page);
            assert!(more.len() <= 2 && page.json()["end"] == 10, "{page:?}");
            read.extend(more);
            let Some(next) = page.json()["next"].as_u64() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(read, expected);
    }
    for wrong in ["?limit=0", "?since=yesterday", "?order=random", "?q=a", "/x", "/-1"] {
        assert_eq!(asked(&daemon, &format!("/v1/events{wrong}"), "operator").status, 400, "{wrong}");
    }
}

#[test]
fn a_tenant_sees_its_own_past_alone() {
    let daemon = Daemon::start(&format!("{TOKENS}{}", file_hook("a")));
    publish(&daemon, &lines());
    let of_acme = |path: &str| asked(&daemon, path, "acme");
    assert_eq!(positions(&of_acme("/v1/events")), [7, 3]);
    assert_eq!(positions(&of_acme("/v1/events?tenant=acme&id=n3&id=n4")), [3]);
    for others in ["/v1/events?tenant=other", "/v1/events?id=n4", "/v1/events?order=oldest&tenant=other&after=2"] {
        let page = of_acme(others);
        assert!(positions(&page).is_empty() && page.json().get("next").is_none(), "{page:?}");
    }
    let own = of_acme("/v1/events/3");
    assert!(own.status == 200 && own.body.contains(&lines()[3]), "{own:?}");
    for others in ["/v1/events/4", "/v1/events/10", "/v1/events/18446744073709551615"] {
        let [of_acme, of_all] = ["acme", "operator"].map(|token| asked(&daemon, others, token).status);
        assert_eq!((of_acme, of_all), (404, if others.ends_with("/4") { 200 } else { 404 }), "{others}");
    }
}

#[test]
fn a_bus_without_a_past_says_so() {
    let daemon = Daemon::start(&format!("{MEMORY}{TOKENS}{}", file_hook("a")));
    publish(&daemon, &lines());
    for path in ["/v1/events", "/v1/events/0"] {
        let answer = asked(&daemon, path, "operator");
        assert!(answer.status == 501 && answer.body.contains("this bus keeps no past"), "{answer:?}");
    }
}

#[test]
fn damage_is_named_and_the_other_events_are_shown() {
    let daemon = Daemon::start(&format!("{TOKENS}{}", file_hook("a")));
    publish(&daemon, &lines());
    // A slice of the file's end that is not whole never was.
    publish(&daemon, &[lines()[0].replace("n0", "last")]);
    let place = daemon.kill();
    let path = place.path("hooks-data").join(format!("{:020}.log", 0));
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|part| part == b"\"n2\"").unwrap() as u64;
    std::fs::File::options().write(true).open(&path).unwrap().write_all_at(b"?", at).unwrap();
    let ended = place.run(&["events", "-c", "hooks.toml", "--json", "--limit", "1000"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(1), 10), "{ended:?}");
    assert!(ended.err.contains("positions 2 to 2 can't be read any more"), "{}", ended.err);
}

/// The ids of events in a file, and whether each is marked.
fn written(place: &Place, hook: &str) -> Vec<(String, bool)> {
    let event = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["id"].as_str().unwrap().to_owned(), event["hooksreplay"] == true)
    };
    place.read(hook).lines().map(event).collect()
}

#[test]
fn chosen_events_are_sent_again_by_a_daemon_and_without_one() {
    let config = format!("{}types = ['invoice.*']\n", file_hook("a"));
    let daemon = Daemon::start(&config);
    assert_eq!(daemon.post(LINES, lines().join("\n")).status, 202);
    while daemon.metric("hooks_events_delivered_total{hook=\"a\"}") != Some(9.0) {}
    let resend = |place: &Place, options: &[&str], expected: (i32, &str, &str)| {
        let ended = place.run(&[&["resend", "-c", "hooks.toml", "a"], options].concat());
        let is_said = if expected.2.is_empty() { ended.err.is_empty() } else { ended.err.contains(expected.2) };
        assert!(ended.code == Some(expected.0) && ended.out == format!("{}\n", expected.1) && is_said, "{ended:?}");
    };
    let nothing = daemon.place.run(&["resend", "-c", "hooks.toml", "a", "--type", "a"]);
    let ways = ["--event", "--position", "--from", "--since"];
    assert!(nothing.code == Some(2) && ways.iter().all(|way| nothing.err.contains(way)), "{nothing:?}");
    let all_filters = |place: &Place| {
        resend(
            place,
            &["--since", "1h", "--dry-run"],
            (0, "9 events would be sent again; the hook's filter leaves out 1 more event", ""),
        );
        resend(
            place,
            &["--event", "n3", "--event", "nobody"],
            (1, "1 delivered, 0 refused, 0 not tried", "no such event: `nobody`"),
        );
        resend(place, &["--position", "5"], (0, "1 delivered, 0 refused, 0 not tried", ""));
        resend(
            place,
            &["--since", "1h", "--type", "*.sent", "--source", "/shop"],
            (0, "2 delivered, 0 refused, 0 not tried", ""),
        );
        resend(place, &["--from", "8", "--unmatched"], (0, "2 delivered, 0 refused, 0 not tried", ""));
    };
    all_filters(&daemon.place);
    let again = ["n3", "n5", "n1", "n3", "n8", "caf\u{e9}"].map(|id| (id.to_owned(), true));
    assert_eq!(written(&daemon.place, "a")[9..], again);
    // No event of the log is repeated for that, or missed.
    assert_eq!(daemon.metric("hooks_events_delivered_total{hook=\"a\"}"), Some(9.0));
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    all_filters(&place);
    assert_eq!(written(&place, "a")[15..], again);
}

#[test]
fn what_is_sent_again_over_the_api_goes_where_it_may() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(LINES, lines().join("\n")).status, 202);
    let post = |body: &str| {
        let length = body.len();
        daemon.exchange(format!(
            "POST /v1/hooks/a/resend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    let all = post(r#"{"from":2,"to":5}"#).json();
    assert_eq!((&all["matched"], &all["delivered"], &all["next"]), (&3.into(), &3.into(), &serde_json::Value::Null));
    let named = post(r#"{"ids":["n1","x"],"positions":[1,100]}"#).json();
    assert_eq!((&named["delivered"], &named["missing"]["ids"][0]), (&1.into(), &"x".into()), "{named}");
    assert_eq!(named["missing"]["positions"], serde_json::json!([100]));
    for (body, status) in
        [("{}", 400), (r#"{"types":["a"]}"#, 400), (r#"{"from":0,"x":1}"#, 400), (r#"{"since":"end"}"#, 400)]
    {
        assert_eq!(post(body).status, status, "{body}");
    }
    let ended = daemon.place.run(&["disable", "-c", "hooks.toml", "a"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let refused = post(r#"{"from":0}"#);
    assert!(refused.status == 409 && refused.body.contains("is disabled: enable it first"), "{refused:?}");
}

/// Each event of the log would be compared with each of them.
#[test]
fn what_names_too_much_is_refused() {
    let daemon = Daemon::start(&file_hook("a"));
    assert_eq!(daemon.post(LINES, lines().join("\n")).status, 202);
    let many = |count: usize| serde_json::json!((0..count).map(|at| format!("t{at}")).collect::<Vec<_>>());
    let post = |path: &str, body: serde_json::Value| {
        let body = body.to_string();
        let length = body.len();
        daemon.exchange(format!(
            "POST /v1/hooks/a/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    for (path, name, most) in [
        ("resend", "ids", 1_000),
        ("resend", "sources", 64),
        ("resend", "types", 64),
        ("dead-letters/replay", "types", 64),
        ("dead-letters/drop", "types", 64),
    ] {
        let body = |count: usize| match path {
            "resend" => serde_json::json!({ "from": 0, name: many(count) }),
            _ => serde_json::json!({ name: many(count) }),
        };
        assert_eq!(post(path, body(most)).status, 200, "{path} {name}");
        let refused = post(path, body(most + 1));
        let why = format!("{name}: {} are named, and {most} may be at most", most + 1);
        assert!(refused.status == 400 && refused.body.contains(&why), "{refused:?}");
    }
    let long = serde_json::json!({ "from": 0, "types": ["x".repeat(1_025)] });
    assert!(post("resend", long).body.contains("types: one has 1025 bytes, and 1024 are the most of a glob"));
    let positions: Vec<usize> = (0..1_001).collect();
    assert_eq!(post("resend", serde_json::json!({ "positions": positions })).status, 400);
    let globs = |count: usize| (0..count).map(|at| format!("type=t{at}")).collect::<Vec<_>>().join("&");
    let get = |globs: &str| daemon.exchange(format!("GET /v1/events?{globs} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    let statuses = [64, 65].map(|count| get(&globs(count)).status);
    assert_eq!(statuses, [200, 400]);
}
