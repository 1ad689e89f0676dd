//! Lines that are no events: each is named with its reason, the others are delivered, the exit code is 1.

use crate::command::{Place, event, events};

fn place() -> Place {
    Place::new("[[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }")
}

/// Bad lines and what is said about each.
fn table() -> Vec<(Vec<u8>, String)> {
    let large = format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(5_000_000));
    let large_reason = format!(
        "{} bytes long, more than the limit of 1048576: raise `max_bytes` of events, or split the event",
        large.len()
    );
    let deep = format!(r#"{{"type":"a","data":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let text = |line: &str, reason: &str| (line.as_bytes().to_vec(), reason.to_owned());
    vec![
        text("this is not JSON", "not a JSON object: expected `{`, the beginning of an object at column 1"),
        text(
            "[]",
            "an array, where one event is expected: write the events one by one, without `[`, `,` and `]` around them",
        ),
        text(r#"{"type":"a""#, "not a JSON object: expected `,` or `}` at column 12"),
        text(r#"{"type":"a"} {"type":"b"}"#, "not a JSON object: expected the end of the event at column 14"),
        text("{}", "attribute `type` is missing"),
        text(r#"{"id":"1","data":1}"#, "attribute `type` is missing"),
        text(r#"{"type":""}"#, "attribute `type` must be a string that is not empty"),
        text(r#"{"type":7}"#, "attribute `type` must be a string"),
        text(
            r#"{"type":"a","data":1,"data_base64":"AA=="}"#,
            "both `data` and `data_base64` are present: an event has one of them",
        ),
        text(r#"{"type":"a","specversion":"0.3"}"#, "attribute `specversion` must be \"1.0\""),
        text(r#"{"type":"a","id":"1","id":"2"}"#, "member `id` stands twice"),
        text(r#"{"type":"a","key":1,"key":1}"#, "member `key` stands twice"),
        text(
            r#"{"type":"a","Not-Legal":1}"#,
            "`Not-Legal` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`",
        ),
        text(
            r#"{"type":"a","time":"yesterday"}"#,
            "attribute `time` must be an RFC 3339 timestamp, for example 2026-11-23T10:00:00Z",
        ),
        text(&large, &large_reason),
        text(&deep, "nested deeper than 128 levels at column 147"),
        (b"{\"type\":\"a\xFF\"}".to_vec(), "not UTF-8: byte 0xff at column 11".to_owned()),
        text("\u{FEFF}{\"type\":\"a\"}", "begins with a byte order mark: save the text as UTF-8 without one"),
        text("{\"type\":\"a\0\"}", "not a JSON object: expected no raw control character in a string at column 11"),
        text(
            r#"{"type":"hooks.endpoint.disabled"}"#,
            "type `hooks.endpoint.disabled`: types that begin with `hooks.` are the dispatcher's own",
        ),
    ]
}

#[test]
fn each_is_said_with_line_and_reason_and_the_rest_is_delivered() {
    let (mut input, mut expected, mut good) = (Vec::new(), String::new(), String::new());
    for (index, (bad, reason)) in table().into_iter().enumerate() {
        input.extend_from_slice(&bad);
        input.push(b'\n');
        // The line of an event follows each bad one.
        expected.push_str(&format!("line {}: {reason}\n", 2 * index + 1));
        let line = event(index) + "\n";
        input.extend_from_slice(line.as_bytes());
        good.push_str(&line);
    }
    let place = place();
    let ended = place.pipe(&input);
    let said: String =
        ended.err.lines().filter(|line| line.starts_with("line ")).map(|line| line.to_owned() + "\n").collect();
    assert_eq!(said, expected);
    assert_eq!(place.read("a"), good);
    assert_eq!(ended.code, Some(1));
    let count = table().len();
    assert!(
        ended.err.contains(&format!("{} lines read: {count} events, {count} malformed, in ", 2 * count)),
        "{}",
        ended.err
    );
    assert!(
        ended.err.ends_with(&format!("not everything was delivered: {count} malformed lines not taken: see above\n"))
    );
}

#[test]
fn each_alone_as_the_whole_input() {
    for (bad, reason) in table() {
        let place = place();
        let ended = place.pipe(&bad);
        assert!(ended.err.starts_with(&format!("line 1: {reason}\n")), "{}", ended.err);
        assert!(ended.err.ends_with("not everything was delivered: 1 malformed line not taken: see above\n"));
        assert_eq!(ended.code, Some(1));
        assert!(!place.path("a").exists(), "nothing was delivered");
    }
}

#[test]
fn empty_lines_and_crlf_are_fine() {
    let place = place();
    let ended = place.pipe(format!("\n\r\n{}\r\n   \n\n{}", event(1), event(2)));
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(place.read("a"), format!("{}\n{}\n", event(1), event(2)));
    assert_eq!(place.pipe("").code, Some(0));
    assert_eq!(place.pipe("\n\n").code, Some(0));
}

/// A folder, and a file that is open to be written.
#[test]
fn input_that_cannot_be_read_is_no_success() {
    let place = place();
    let written = std::fs::File::create(place.path("written")).unwrap();
    for input in [std::fs::File::open(place.path(".")).unwrap(), written] {
        for (args, said) in [
            (&["pipe", "-c", "hooks.toml"][..], "not everything was delivered: stdin can't be read: "),
            (&["publish", "--to", "http://127.0.0.1:9"], "not everything was sent: stdin can't be read: "),
        ] {
            let output = place.hooks(args).stdin(input.try_clone().unwrap()).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(1) && err.contains(said), "{args:?}: {err}");
        }
    }
}

/// It is larger than a log of this size takes: it alone is left out.
#[test]
fn an_event_that_the_bus_never_takes_is_named_and_the_rest_is_delivered() {
    let place = Place::new(
        "bus = { kind = 'durable', segment_size = '4KiB', max_bytes = '8KiB' }\n\
         [[hooks]]\nid = 'a'\nsink = { kind = 'file', path = '${CONFIG_DIR}/a' }",
    );
    let large = |number| event(number).replace("test.counted", &"x".repeat(5_000));
    let ended = place
        .pipe([&event(1), &large(8), "", &event(2), &large(9), &event(3)].map(|line| format!("{line}\n")).concat());
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert_eq!(place.read("a"), events(3));
    let named: Vec<_> = ended.err.lines().filter(|line| line.starts_with("line ")).collect();
    assert!(
        named.len() == 2 && named[0].starts_with("line 2: too large: ") && named[1].starts_with("line 5: "),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("6 lines read: 3 events, 2 malformed, in "), "{}", ended.err);
    assert!(
        ended.err.ends_with("not everything was delivered: 2 malformed lines not taken: see above\n"),
        "{}",
        ended.err
    );
}

/// Input of which no line can be an event is reported once, with what to do.
#[test]
fn input_that_is_no_text_is_said_once() {
    let utf_16: Vec<u8> = events(1_000).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let gzip = [b"\x1f\x8b\x08\0".to_vec(), (0..=255).cycle().take(100_000).collect()].concat();
    for (input, advice) in
        [(utf_16, "UTF-16 text: events are UTF-8, which `iconv"), (gzip, "compressed by gzip: unpack it")]
    {
        let ended = place().pipe(&input);
        assert_eq!(ended.code, Some(1));
        let said = format!("not everything was delivered: stdin can't be read: it seems to be {advice}");
        assert!(ended.err.contains(&said) && ended.err.lines().count() < 10, "{}", ended.err);
    }
}

#[test]
fn malformed_lines_beyond_the_first_hundred_are_counted() {
    let place = place();
    let ended = place.pipe("x\n".repeat(50_000) + &events(10) + &"\x01\n".repeat(50_000));
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.err.lines().filter(|line| line.starts_with("line ")).count(), 100, "{}", ended.err);
    assert!(ended.err.contains("; further malformed lines are only counted\n"), "{}", ended.err);
    assert!(ended.err.contains("100010 lines read: 10 events, 100000 malformed, in "), "{}", ended.err);
    assert_eq!(place.read("a"), events(10));
}
