//! The main job: real events to files and webhooks, nothing changed, nothing lost, in order.

use hooks_test::http::Receiver;
use serde_json::Value as Json;

use crate::command::{Place, events, examples};

fn input() -> String {
    std::fs::read_to_string(examples().join("github-events.ndjson")).unwrap()
}

/// The input's lines with this property.
fn lines(input: &str, wanted: impl Fn(&Json) -> bool) -> Vec<String> {
    let wanted = |line: &&str| wanted(&serde_json::from_str(line).unwrap());
    input.lines().filter(wanted).map(str::to_owned).collect()
}

fn raw_data(line: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    let event: Event<'_> = serde_json::from_str(line).unwrap();
    event.data.get().to_owned()
}

#[test]
fn github_events_reach_files_and_webhooks_as_they_came_in() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = Place::new(&format!(
        r#"
        [[hooks]]
        id = "all"
        sink = {{ kind = "file", path = "${{CONFIG_DIR}}/all.jsonl" }}
        [[hooks]]
        id = "pulls"
        types = ["com.github.pull_request*"]
        sink = {{ kind = "http", url = "{0}/pulls" }}
        [[hooks]]
        id = "repository"
        subjects = ["octo-org/octo-repo"]
        sink = {{ kind = "http", url = "{0}/repository" }}
        [[hooks]]
        id = "no-pushes"
        types_except = ["com.github.push"]
        sink = {{ kind = "http", url = "{0}/no-pushes" }}
        [[hooks]]
        id = "marked"
        types = ["com.github.push"]
        metadata = {{ env = "test" }}
        sink = {{ kind = "file", path = "${{CONFIG_DIR}}/marked.jsonl" }}
        "#,
        receiver.url("")
    ));
    let input = input();
    let ended = place.pipe(&input);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{}", ended.err);
    assert_eq!(input.lines().count(), 329);

    assert_eq!(place.read("all.jsonl"), input);
    let is_type = |event: &Json, prefix: &str| event["type"].as_str().unwrap().starts_with(prefix);
    let pulls = lines(&input, |event| is_type(event, "com.github.pull_request"));
    let repository = lines(&input, |event| event["subject"] == "octo-org/octo-repo");
    let no_pushes = lines(&input, |event| event["type"] != "com.github.push");
    assert_eq!((pulls.len(), repository.len(), no_pushes.len()), (41, 18, 322));
    assert_eq!(receiver.events("/pulls"), pulls);
    assert_eq!(receiver.events("/repository"), repository);
    assert_eq!(receiver.events("/no-pushes"), no_pushes);

    let pushes = lines(&input, |event| event["type"] == "com.github.push");
    let marked = place.read("marked.jsonl");
    assert_eq!(marked.lines().count(), pushes.len());
    for (marked, push) in marked.lines().zip(&pushes) {
        assert_eq!(raw_data(marked), raw_data(push));
        let (mut marked, push): (Json, Json) =
            (serde_json::from_str(marked).unwrap(), serde_json::from_str(push).unwrap());
        assert_eq!(marked.as_object_mut().unwrap().remove("env"), Some(Json::from("test")));
        assert_eq!(marked, push);
    }

    let table = "\
hook        taken  delivered  dropped  dead-lettered  left behind
all           329        329        0              0            0
marked          7          7        0              0            0
no-pushes     322        322        0              0            0
pulls          41         41        0              0            0
repository     18         18        0              0            0
329 lines read: 329 events, 0 malformed, in ";
    assert!(ended.err.starts_with(table), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 7, "nothing else is said, and nothing of a progress bar: {}", ended.err);
}

#[test]
fn a_tenants_hook_gets_its_tenants_events_alone() {
    const HOOKS: &str = r#"
        [[hooks]]
        id = "operators"
        sink = { kind = "file", path = "${CONFIG_DIR}/operators" }
        [[hooks]]
        id = "acmes"
        tenant = "acme"
        sink = { kind = "file", path = "${CONFIG_DIR}/acmes" }
        [[hooks]]
        id = "acmes-paid"
        tenant = "acme"
        types = ["*.paid"]
        sink = { kind = "file", path = "${CONFIG_DIR}/acmes-paid" }
        [[hooks]]
        id = "others"
        tenant = "7"
        subjects = ["s"]
        sink = { kind = "file", path = "${CONFIG_DIR}/others" }
    "#;
    let tenants = [
        "",
        r#","tenant":"acme""#,
        r#","tenant":"7""#,
        r#","tenant":7"#,
        r#","tenant":"Acme""#,
        r#","data":{"tenant":"acme"}"#,
    ];
    let event = |at: usize| {
        let (kind, tenant) = (["order.paid", "order.sent"][at % 2], tenants[at / 2 % tenants.len()]);
        format!(
            "{{\"id\":\"{at}\",\"source\":\"s\",\"specversion\":\"1.0\",\"time\":\"2026-11-23T10:00:00Z\",\"type\":\"{kind}\",\"subject\":\"s\"{tenant}}}\n"
        )
    };
    let input: String = (0..60).map(event).collect();
    for bus in ["", "[bus]\nkind = 'durable'\ndir = '${CONFIG_DIR}/log'\n"] {
        let place = Place::new(&format!("{bus}{HOOKS}"));
        let ended = place.pipe(&input);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let of = |tenants: &[usize]| (0..60).filter(|at| tenants.contains(&(at / 2 % 6))).collect::<Vec<_>>();
        let all = |at: &[usize]| at.iter().map(|at| event(*at)).collect::<String>();
        assert_eq!(place.read("operators"), input);
        assert_eq!(place.read("acmes"), all(&of(&[1])));
        let paid: Vec<_> = of(&[1]).into_iter().filter(|at| at % 2 == 0).collect();
        assert_eq!(place.read("acmes-paid"), all(&paid));
        assert_eq!(place.read("others"), all(&of(&[2, 3])));
    }
}

#[test]
fn missing_attributes_are_filled_in_and_the_rest_is_kept() {
    let config = "events.source = '/filled'\n[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }";
    let place = Place::new(config);
    let ended = place.pipe("{\"type\":\"a.b\", \"data\" : [1.0,  1e3]}");
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let line = place.read("a");
    assert!(line.ends_with("\"type\":\"a.b\", \"data\" : [1.0,  1e3]}\n"), "{line}");
    let event: Json = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["source"], &event["specversion"]), (&Json::from("/filled"), &Json::from("1.0")));
    assert!(event["id"].is_string() && event["time"].is_string());
}

/// The original lost 94 to 98 % of these.
#[test]
fn a_burst_of_a_hundred_thousand_loses_nothing() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = Place::new(&format!("[[hooks]]\nid = 'a'\nsink = {{ kind = 'http', url = '{}' }}", receiver.url("/a")));
    let input = events(100_000);
    let ended = place.pipe(&input);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(receiver.events("/a").iter().map(String::as_str).eq(input.lines()));
    assert!(receiver.seen().len() <= 1_100, "batches leave full when more is waiting: {}", receiver.seen().len());
}

#[test]
fn what_is_there_is_delivered_while_the_input_is_open() {
    let receiver = Receiver::on_thread(|_| 200);
    let place = Place::new(&format!("[[hooks]]\nid = 'a'\nsink = {{ kind = 'http', url = '{}' }}", receiver.url("/a")));
    let mut running = place.start();
    for number in 1..=2 {
        running.write(&(crate::command::event(number) + "\n"));
        receiver.wait();
    }
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    assert_eq!(receiver.events("/a").len(), 2);
}

#[test]
fn a_memory_of_two_events_is_enough_for_many() {
    let place = Place::new(
        "bus = { kind = 'memory', max_memory = '1KiB' }\nevents.max_bytes = 500\n[[hooks]]\nid = 'a'\n\
         sink = { kind = 'file', path = '${CONFIG_DIR}/a' }\nbatch.max_events = 1\nqueue = { max_events = 2 }\n\
         [[hooks]]\nid = 'b'\nsink = { kind = 'file', path = '${CONFIG_DIR}/b' }",
    );
    let input = events(3_000);
    let ended = place.pipe(&input);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(place.read("a"), input);
    assert_eq!(place.read("b"), input);
}

#[test]
fn a_disabled_hook_takes_no_part() {
    let place = Place::new(
        "[[hooks]]\nid = 'on'\nsink = { kind = 'file', path = '${CONFIG_DIR}/on' }\n\
         [[hooks]]\nid = 'off'\nenabled = false\nsink = { kind = 'file', path = '${CONFIG_DIR}/off' }",
    );
    let ended = place.pipe(events(3));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.starts_with("hook `off` is disabled and receives nothing\n"), "{}", ended.err);
    assert!(!place.path("off").exists());
}

/// One read takes more than such a log accepts at once.
#[test]
fn a_small_log_takes_what_is_read_in_parts() {
    let place = Place::new(
        "bus = { kind = 'durable', segment_size = '4KiB', max_bytes = '8KiB' }\n[[hooks]]\nid = 'a'\n\
         sink = { kind = 'file', path = '${CONFIG_DIR}/a' }",
    );
    let ended = place.run_with(&["pipe", "-c", "hooks.toml", "--timeout", "1m"], events(200).as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(place.read("a"), events(200));
}
