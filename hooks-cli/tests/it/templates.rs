//! Templates as an operator meets them: checked, shown, and failing for some events; and the shapes of requests.

use hooks_test::http::Receiver;

use crate::command::{Place, examples};

fn event(id: usize, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","time":"2026-11-23T10:00:00Z","data":{data}}}"#
    )
}

/// A hook of this name whose sink has these options.
fn hook(id: &str, url: &str, options: &str) -> String {
    format!("[[hooks]]\nid = '{id}'\n[hooks.sink]\nkind = 'http'\nurl = '{url}'\n{options}\n")
}

const TEXT: &str = r#"body = { template = '{"text":"{{ event.data.name }}"}' }"#;

#[test]
fn a_dry_run_shows_what_would_be_sent_and_sends_nothing() {
    let receiver = Receiver::on_thread(|_| 200);
    let options = format!("mode = 'single'\nheaders = {{ x-key = 'open-sesame' }}\n{TEXT}");
    let place = Place::new(&hook("a", &receiver.url("/in?token=t0p-secret"), &options));
    std::fs::write(place.path("one.json"), "{\n \"type\": \"t\",\n \"data\": { \"name\": \"é\" }\n}\n").unwrap();
    let ended = place.run(&["test", "-c", "hooks.toml", "a", "--dry-run", "--event", "one.json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let url = receiver.url("/in");
    assert!(ended.out.starts_with(&format!("POST {url}\n")), "{}", ended.out);
    assert!(ended.out.contains("\ncontent-type: application/json\n"), "{}", ended.out);
    assert!(ended.out.contains("\nx-key: [secret]\n") && !ended.out.contains("secret\n\n"), "{}", ended.out);
    assert!(ended.out.ends_with("\n\n{\"text\":\"é\"}\n"), "{}", ended.out);
    assert!(!ended.out.contains("sesame") && !ended.out.contains("t0p"), "{}", ended.out);

    // Several events are several requests, and the reason of one that would not be sent is in its place.
    let input = [event(1, r#"{"name":"b"}"#), event(2, "{}")].join("\n");
    let ended = place.run_with(&["test", "-c", "hooks.toml", "a", "--dry-run", "--event", "-"], input.as_bytes());
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""), "{}", ended.out);
    let why = format!("POST {}: not sent: its template: line 1: `event.data.name` is undefined\n", receiver.url("/…"));
    assert!(ended.out.contains("{\"text\":\"b\"}\n\n") && ended.out.ends_with(&why), "{}", ended.out);
    // A synthetic one, which has no name.
    assert_eq!(place.run(&["test", "-c", "hooks.toml", "a", "--dry-run"]).code, Some(1));
    assert!(receiver.seen().is_empty());

    // The same event, sent.
    let ended = place.run(&["test", "-c", "hooks.toml", "a", "--event", "one.json"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert_eq!(receiver.only().text(), "{\"text\":\"é\"}");
}

#[test]
fn a_dry_run_of_a_batch_is_one_request() {
    let config =
        hook("a", "http://127.0.0.1:9/", "body = 'ndjson'").replace("[hooks.sink]", "types = ['t']\n[hooks.sink]");
    let place = Place::new(&config);
    let input = [event(1, "1"), event(2, "2").replace(r#""type":"t""#, r#""type":"u""#)].join("\n");
    let ended = place.run_with(&["test", "-c", "hooks.toml", "a", "--dry-run", "-e", "-"], input.as_bytes());
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(ended.out.matches("POST ").count(), 1, "{}", ended.out);
    assert!(ended.out.ends_with(&format!("\n\n{input}\n\n")), "{}", ended.out);
    assert_eq!(ended.err, "hook `a`: its filter leaves out 1 of these events: it would not receive them\n");
}

#[test]
fn what_is_no_event_is_said_before_anything_is_sent() {
    let place = Place::new(
        &(hook("a", "http://127.0.0.1:9/", "")
            + "[[hooks]]\nid = 'f'\nsink = { kind = 'file', path = '${CONFIG_DIR}/f' }"),
    );
    for (input, dry, why) in [
        ("", true, "-: has no event\n"),
        ("{\"type\":\"\"}", true, "-: event 1: "),
        ("{", false, "-: event 1: "),
        ("{\"type\":\"a\"}\n{\"type\":\"b\"}", false, "-: 2 events: a test sends one, --dry-run shows more\n"),
    ] {
        let args = ["test", "-c", "hooks.toml", "a", "--event", "-", "--dry-run"];
        let ended = place.run_with(&args[..if dry { 7 } else { 6 }], input.as_bytes());
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
        assert!(ended.err.starts_with(why), "{input}: {}", ended.err);
    }
    let ended = place.run(&["test", "-c", "hooks.toml", "f", "--dry-run"]);
    assert_eq!(
        (ended.code, ended.err),
        (Some(1), "hook `f`: its sink `file` can't show what it would send\n".to_owned())
    );
    assert!(!place.path("f").exists());
}

#[test]
fn check_says_which_name_was_meant() {
    for (option, near) in [
        ("method = 'post'", "sink `http`: method: `post` is not known here, did you mean `POST`?"),
        ("method = 'PACTH'", "sink `http`: method: `PACTH` is not known here, did you mean `PATCH`?"),
        ("body = 'Binary'", "sink `http`: body: `Binary` is not known here, did you mean `binary`?"),
        ("body = 'cloudevent'", "sink `http`: body: `cloudevent` is not known here, did you mean `cloudevents`?"),
    ] {
        let ended = Place::new(&hook("a", "http://127.0.0.1:9/", option)).run(&["check", "-c", "hooks.toml"]);
        assert!(ended.code == Some(78) && ended.err.contains(near), "{}", ended.err);
    }
}

#[test]
fn check_says_what_is_wrong_with_a_template_and_where() {
    let inline = hook("a", "http://127.0.0.1:9/", "body = { template = '''\n{\n{{ evnts }\n}''' }");
    let ended = Place::new(&inline).run(&["check", "-c", "hooks.toml"]);
    assert_eq!(ended.code, Some(78), "{}", ended.out);
    assert!(
        ended.err.contains("hooks.toml:6:21: hook `a`: ")
            && ended.err.contains("body.template: line 2 of the template: syntax error"),
        "{}",
        ended.err
    );

    let file = hook("a", "http://127.0.0.1:9/", "body = { template_file = '${CONFIG_DIR}/a.j2' }");
    let place = Place::new(&file);
    let check = || place.run(&["check", "-c", "hooks.toml"]);
    let name = place.path("a.j2");
    let why = format!("hooks.toml: hook `a`: sink `http`: body.template_file {}: ", name.display());
    assert!(check().err.contains("a.j2: No such file"), "{}", check().err);
    std::fs::write(&name, "[{{ events | nothing }}]").unwrap();
    assert_eq!(check().err, format!("{why}line 1 of the template: there is no filter `nothing`\n"));
    assert_eq!(check().code, Some(78));
    std::fs::write(&name, "[{{ events | length }}]").unwrap();
    assert_eq!((check().code, check().err), (Some(0), String::new()));
}

/// The fault of one event is no fault of the others: they arrive in order, and it is kept with the reason.
#[test]
fn an_event_that_a_template_fails_for_is_set_aside_alone() {
    for (mode, template) in [
        ("single", r#"{"n":{{ event.data.n }}}"#),
        (
            "batch",
            r#"[{% for event in events %}{"n":{{ event.data.n }}}{% if not loop.last %},{% endif %}{% endfor %}]"#,
        ),
    ] {
        let receiver = Receiver::on_thread(|_| 200);
        let options = format!("mode = '{mode}'\nbody = {{ template = '''{template}''' }}");
        let place = Place::new(&format!("[bus]\nkind = 'durable'\n{}", hook("a", &receiver.url("/"), &options)));
        let events: Vec<_> =
            (0..20).map(|n| event(n, &if n % 7 == 3 { "{}".to_owned() } else { format!("{{\"n\":{n}}}") })).collect();
        let ended = place.pipe(events.join("\n"));
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let bodies: String = receiver.seen().iter().map(|seen| seen.text().to_owned()).collect();
        let numbers: Vec<usize> =
            bodies.split("\"n\":").skip(1).map(|rest| rest.split('}').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (0..20).filter(|n| n % 7 != 3).collect::<Vec<_>>(), "{mode}");
        let letters = place.run(&["dead-letters", "list", "-c", "hooks.toml", "--json"]).out;
        let letters: Vec<serde_json::Value> = letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<_> = letters.iter().map(|letter| letter["event_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["3", "10", "17"], "{mode}");
        let why = "not sent: its template: line 1: `event.data.n` is undefined";
        assert!(letters.iter().all(|letter| letter.to_string().contains(why)), "{letters:?}");
    }
}

/// What is sent in binary mode is read by a daemon as the same event.
#[test]
fn a_daemon_reads_binary_mode_as_it_was_published() {
    use crate::serve::{Daemon, file_hook};
    let daemon = Daemon::start(&file_hook("a"));
    let place =
        Place::new(&hook("b", &format!("http://{}/v1/events", daemon.address), "mode = 'single'\nbody = 'binary'"));
    let odd = [
        r#"{"id":"é \" % 😀","source":"/s","type":"t","datacontenttype":"text/plain","data":"line\nand \"quote\"","n":7,"yes":true}"#,
        r#"{"id":"2","source":"/s","type":"t","datacontenttype":"image/png","data_base64":"/+8="}"#,
        r#"{"id":"3","source":"/s","type":"t","subject":"none"}"#,
    ];
    let examples = std::fs::read_to_string(examples().join("github-events.ndjson")).unwrap();
    let events: Vec<String> =
        odd.iter().map(|event| (*event).to_owned()).chain(examples.lines().take(40).map(str::to_owned)).collect();
    let ended = place.pipe(events.join("\n"));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let Daemon { place, running, .. } = daemon;
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    let lines = place.read("a");
    let parsed = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
    for (line, event) in lines.lines().zip(&events) {
        let (line, mut event) = (parsed(line), parsed(event));
        for (name, value) in line.as_object().unwrap() {
            // Filled in, and a number or boolean is a text in a header.
            if matches!(name.as_str(), "specversion" | "time") && event[name].is_null() {
                event[name] = value.clone();
            }
        }
        for name in ["n", "yes"] {
            if !event[name].is_null() {
                event[name] = event[name].to_string().into();
            }
        }
        assert_eq!(line, event);
    }
    assert_eq!(lines.lines().count(), events.len());
}
