//! Bodies as they come, and the faults that are told of them.

use super::*;
use crate::IngestSettings;
use futures_util::FutureExt as _;
use proptest::prelude::*;

fn settings(max_event_bytes: usize, max_events: usize) -> Settings {
    let ingest = IngestSettings { max_events: max_events.try_into().unwrap(), ..IngestSettings::default() };
    Settings { ingest, source: "/test".into(), max_event_bytes, ..Settings::default() }
}

/// Small ones.
fn small() -> Settings {
    settings(200, 30)
}

fn read(body: &str, format: Format) -> Result<Vec<String>, Refused> {
    let body = body.as_bytes();
    let events = decode(body, format, &small(), None).now_or_never().expect("others have no turn in a small body")?;
    Ok(events.iter().map(|event| event.event_type().to_owned()).collect())
}

/// Each fault as `index line:column reason`.
fn faults(body: &str, format: Format) -> Vec<String> {
    let Err(Refused::Faults(faults, _)) = read(body, format) else { panic!("{body} is fine") };
    let show = |fault: &Fault| {
        let index = fault.index.map_or_else(String::new, |index| format!("[{index}] "));
        format!("{index}{}:{} {}", fault.line, fault.column, fault.reason)
    };
    faults.iter().map(show).collect()
}

#[test]
fn each_format_gives_its_events() {
    assert_eq!(read(" {\"type\":\"a\"}\n", Format::Single).unwrap(), ["a"]);
    assert_eq!(read("[{\"type\":\"a\"},\n {\"type\":\"b\"} ]", Format::Batch).unwrap(), ["a", "b"]);
    assert_eq!(read("{\"type\":\"a\"}\n\r\n{\"type\":\"b\"}\r\n", Format::Lines).unwrap(), ["a", "b"]);
    assert_eq!(read(" [{\"type\":\"a\"}]", Format::Json).unwrap(), ["a"]);
    assert_eq!(read("\n{\"type\":\"a\"}", Format::Json).unwrap(), ["a"]);
    assert_eq!(read("[]", Format::Batch).unwrap(), [""; 0]);
    assert_eq!(read("", Format::Lines).unwrap(), [""; 0]);
}

#[test]
fn every_fault_has_its_place() {
    assert_eq!(
        faults("[{\"type\":\"a\"},\n  {\"tpe\":1, \"id\":2},\n  {\"type\":\"hooks.x\"}, 7]", Format::Batch),
        [
            "[1] 2:3 attribute `id` must be a string",
            "[2] 3:3 type `hooks.x`: types that begin with `hooks.` are the dispatcher's own",
            "[3] 3:23 not a JSON object: expected `{`, the beginning of an object",
        ]
    );
    assert_eq!(
        faults("{\"type\":\"a\"}\n\nx\n{\"id\":\"1\"}", Format::Lines),
        ["3:1 not a JSON object: expected `{`, the beginning of an object", "4:1 attribute `type` is missing"]
    );
    assert_eq!(faults("{\"type\":\n \"a\" \"b\"}", Format::Single), ["2:6 not a JSON object: expected `,` or `}`"]);
    assert_eq!(faults("[{\"type\":\"a\"} {}]", Format::Batch), ["[1] 1:15 not a JSON array: expected `,` or `]`"]);
    assert_eq!(faults("[{\"type\":\"a\"}", Format::Batch), ["[1] 1:14 not a JSON array: expected `,` or `]`"]);
    assert_eq!(
        faults("[{\"type\":\"a\"},\n{\"type\":\"b\"]", Format::Batch),
        ["[1] 2:12 not a JSON array: expected `,` or `}`"]
    );
    assert_eq!(faults("", Format::Json).len(), 1);
}

#[test]
fn an_array_in_the_wrong_place_is_told_where_its_place_is() {
    let within = "an array, where an event is expected: a batch is one array, with no arrays in it";
    assert_eq!(faults("[[{\"type\":\"a\"}]]", Format::Json), [format!("[0] 1:2 {within}")]);
    let single =
        "an array, where one event is expected: an array of events is sent as application/cloudevents-batch+json";
    assert_eq!(faults("[{\"type\":\"a\"}]", Format::Single), [format!("1:1 {single}")]);
    assert!(faults("[{\"type\":\"a\"}]", Format::Lines)[0].contains("write the events one by one"));
}

#[test]
fn faults_are_bounded_and_the_rest_is_counted() {
    let body = "{}\n".repeat(30);
    let Err(Refused::Faults(faults, more)) = read(&body, Format::Lines) else { panic!("accepted") };
    assert_eq!((faults.len(), more, faults[19].line), (20, 10, 20));
    let body = "{\"type\":\"hooks.x\"}\n".repeat(30);
    let Err(Refused::Faults(faults, more)) = read(&body, Format::Lines) else { panic!("accepted") };
    assert_eq!((faults.len(), more, faults[19].line), (20, 10, 20));
}

#[test]
fn more_events_than_allowed_are_refused() {
    let body = "{\"type\":\"a\"}\n".repeat(30);
    assert_eq!(read(&body, Format::Lines).unwrap().len(), 30);
    assert_eq!(read(&(body + "{}"), Format::Lines), Err(Refused::TooMany(30)));
}

/// As many as there may be events, and no more, are looked at.
#[test]
fn what_is_no_event_counts_as_one() {
    for (one, format) in [("{}\n", Format::Lines), ("x\n", Format::Lines)] {
        assert_eq!(read(&one.repeat(31), format), Err(Refused::TooMany(30)));
    }
    for one in ["{}", "1", "[]", r#"{"type":"hooks.x"}"#] {
        let array = |count: usize| format!("[{}]", vec![one; count].join(","));
        assert!(matches!(read(&array(30), Format::Batch), Err(Refused::Faults(_, 10))), "{one}");
        assert_eq!(read(&array(31), Format::Batch), Err(Refused::TooMany(30)), "{one}");
    }
    let mixed = format!("[{}{{}}]", r#"{"type":"a"},{},"#.repeat(15));
    assert_eq!(read(&mixed, Format::Json), Err(Refused::TooMany(30)));
}

#[test]
fn a_byte_order_mark_is_named_in_every_format() {
    for (body, format) in [
        ("\u{feff}{\"type\":\"a\"}", Format::Single),
        ("\u{feff}[{\"type\":\"a\"}]", Format::Batch),
        ("\u{feff}[{\"type\":\"a\"}]", Format::Json),
        ("\u{feff}{\"type\":\"a\"}\n", Format::Lines),
    ] {
        assert!(faults(body, format)[0].starts_with("1:1 begins with a byte order mark"), "{format:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(body: Vec<u8>, format in prop::sample::select(vec![Format::Single, Format::Batch, Format::Lines, Format::Json])) {
        let _ = decode(&body, format, &small(), None).now_or_never().unwrap();
    }
}

#[tokio::test]
async fn others_have_their_turn_while_a_body_is_read() {
    let settings = settings(1 << 20, 1000);
    let event = format!("{{\"type\":\"a\",\"data\":\"{}\"}}", "x".repeat(STRETCH / 2));
    let batch = format!("[{}]", vec![event.as_str(); 40].join(","));
    for (body, format) in [(batch, Format::Batch), ((event + "\n").repeat(40), Format::Lines)] {
        let mut turns = 0;
        let other = async {
            loop {
                turns += 1;
                tokio::task::yield_now().await;
            }
        };
        let events = tokio::select! {
            biased;
            events = decode(body.as_bytes(), format, &settings, None) => events.unwrap(),
            () = other => SliceBuilder::new("").finish(),
        };
        assert_eq!((events.len(), turns), (40, 20), "{format:?}");
    }
}

#[test]
fn what_is_no_text_is_said_once() {
    let utf_16: Vec<u8> = "{\"type\":\"a\"}\n".repeat(100).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for format in [Format::Single, Format::Batch, Format::Lines, Format::Json] {
        let refused = decode(&utf_16, format, &small(), None).now_or_never().unwrap();
        let Err(Refused::Foreign(what)) = refused else { panic!("{refused:?}") };
        assert!(what.starts_with("UTF-16 text"), "{what}");
    }
}
