//! The text of events: good ones are kept as they are, bad ones get a clear error.

mod malformed;
mod properties;

use std::collections::HashSet;

use hooks_core::{EncodeError, Envelope, EnvelopeError, Event, Metadata, RawValue, SliceBuilder};
use serde_json::{Value, json};

/// A complete event with these members at its end.
fn complete(more: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-23T10:00:00Z"{more}}}"#)
}

fn taken(text: impl AsRef<[u8]>) -> Envelope {
    let text = text.as_ref();
    Envelope::from_json(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// The error's text.
#[track_caller]
fn refused(text: impl AsRef<[u8]>) -> String {
    Envelope::from_json(text.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_builder_that_refuses_reserved_types_takes_all_others() {
    let mut slice = SliceBuilder::new("/s").refuse_reserved();
    for own in [r#"{"type":"hooks.x"}"#, r#"{"type":"\u0068ooks.x"}"#] {
        assert_eq!(slice.push_json(own.as_bytes()), Err(EnvelopeError::Reserved("hooks.x".to_owned())));
    }
    slice.push_json(br#"{"type":"hooksx"}"#).unwrap();
    assert_eq!(slice.len(), 1);
}

#[test]
fn a_refused_event_leaves_the_slice_as_it_was() {
    let mut slice = SliceBuilder::new("/s");
    slice.push_json(complete("").as_bytes()).unwrap();
    let before = (slice.len(), slice.bytes());
    for bad in [r#"{"type":7}"#, r#"{"type":"\n"}"#, r#"{"type":"t","a":1,"a":2}"#, "{\"type\":\"t\"} x"] {
        slice.push_json(bad.as_bytes()).unwrap_err();
        assert_eq!((slice.len(), slice.bytes()), before, "{bad}");
    }
    slice.push_json(complete(r#","data":2"#).as_bytes()).unwrap();
    let events = slice.finish();
    assert_eq!(events.iter().map(Envelope::json).collect::<Vec<_>>(), [complete(""), complete(r#","data":2"#)]);
}

#[test]
fn what_is_complete_is_kept_byte_for_byte() {
    for text in [
        complete(""),
        complete(r#","data":{ "a" : [1e400, -0, 1.0, 100000000000000000000000] , "a":"twice"}"#),
        complete(r#","data":"\u0000\ud800\/é""#),
        complete(r#","data":null"#),
        complete(r#","data_base64":"AP8=""#),
        complete(r#","subject":"a/b","datacontenttype":"text/xml","dataschema":"http://x/#y""#),
        complete(r#","subject":null,"env":null"#),
        complete(r#","text":"a","number":7,"yes":true,"x123":"","averyveryveryverylongextensionname":1"#),
        format!("  {}\t", complete("")),
        complete("")
            .replace(',', " , ")
            .replace(':', " : ")
            .replace("2026-11-23T10 : 00 : 00Z", "2026-11-23T10:00:00Z"),
    ] {
        assert_eq!(taken(&text).json(), text);
    }
}

#[test]
fn data_is_raw() {
    for data in [r#"{"n": 1}"#, "[1.50]", r#""\u00e9""#, "null", "1e400", "{ }"] {
        assert_eq!(taken(complete(&format!(r#","data": {data} "#))).data(), Some(data));
        assert_eq!(taken(format!(r#"{{"data":{data},"type":"t"}}"#)).data(), Some(data), "with others filled in");
    }
    assert_eq!(taken(complete("")).data(), None);
    assert_eq!(taken(complete(r#","data_base64":"AA==""#)).data(), None);
}

#[test]
fn attributes_are_decoded() {
    let event = taken(
        r#"{"specversion":"1\u002e0","id":"\u0031\"2","source":"\/s","type":"a\u002eb","subject":"\ud83d\ude00é","time":"2026-11-23T10:00:00\u005a","partitionkey":"k\\1","data":"\u0041"}"#,
    );
    assert_eq!(event.id(), "1\"2");
    assert_eq!(event.source(), "/s");
    assert_eq!(event.event_type(), "a.b");
    assert_eq!(event.subject(), Some("😀é"));
    assert_eq!(event.partition_key(), Some("k\\1"));
    assert_eq!(event.data(), Some(r#""\u0041""#), "data stays as it is");
    assert!(event.json().contains(r#""type":"a\u002eb""#), "the event stays as it is");
}

/// Equal keys have the same text, of any JSON type.
#[test]
fn a_partition_key_that_is_no_string_is_its_text() {
    for (value, key) in [
        ("7", "7"),
        ("-7", "-7"),
        ("-0", "0"),
        ("true", "true"),
        ("false", "false"),
        ("9007199254740993", "9007199254740993"),
        ("123456789012345678901234567890123456789012", "123456789012345678901234567890123456789012"),
        ("7.0", "7"),
        ("7.50", "7.5"),
        ("75e-1", "7.5"),
        ("-0.0", "0"),
        ("1E3", "1000"),
    ] {
        let text = complete(&format!(r#","partitionkey": {value} "#));
        let event = taken(&text);
        assert_eq!((event.partition_key(), event.json()), (Some(key), text.as_str()), "{value}");
        let filled = taken(format!(r#"{{"type":"t","partitionkey":{value}}}"#));
        assert_eq!(filled.partition_key(), Some(key), "with others filled in: {value}");
    }
    for value in ["[7]", "{}"] {
        let error = refused(complete(&format!(r#","partitionkey":{value}"#)));
        assert_eq!(error, "attribute `partitionkey` must be a string, a number or a boolean");
    }
    taken(complete(r#","partitionkey":1e999"#));
}

#[test]
fn a_tenant_is_its_text_wherever_it_stands() {
    for (value, tenant) in
        [(r#""acme""#, Some("acme")), (r#""\u0061cme""#, Some("acme")), ("7", Some("7")), ("null", None)]
    {
        for text in [complete(&format!(r#","tenant":{value}"#)), format!(r#"{{"tenant" : {value},"type":"t"}}"#)] {
            let event = taken(&text);
            assert_eq!(event.tenant(), tenant, "{text}");
            let mut slice = SliceBuilder::new("/s");
            slice.push_envelope(&taken(complete(r#","subject":"\u0041","data":{"tenant":"x"}"#))).unwrap();
            slice.push_envelope(&event).unwrap();
            let events = slice.finish();
            assert_eq!((events[0].tenant(), events[1].tenant()), (None, tenant), "a copy of {text}");
        }
    }
}

#[test]
fn errors_are_short_however_long_a_name_is() {
    let long = "x".repeat(100_000);
    for more in [
        format!(r#","{long}":1,"{long}":2"#),
        format!(r#","{long}":[]"#),
        format!(r#","{long}":"\n""#),
        format!(r#","{long}":"\ud800""#),
        format!(r#","{long}_":1"#),
    ] {
        let error = refused(complete(&more));
        assert!(error.len() < 300, "{} bytes", error.len());
    }
}

#[test]
fn neighbours_in_a_slice_do_not_disturb_each_other() {
    let mut slice = SliceBuilder::new("/s");
    let texts = [
        complete(r#","subject":"\u0041","env":"1""#),
        complete(r#","env":"2","partitionkey":"\u0042""#),
        complete(r#","subject":"c""#),
    ];
    texts.iter().for_each(|text| slice.push_json(text.as_bytes()).unwrap());
    let events = slice.finish();
    assert!(slice.is_empty());
    assert_eq!(events.iter().map(Envelope::json).collect::<Vec<_>>(), texts);
    assert_eq!(events.iter().map(Envelope::subject).collect::<Vec<_>>(), [Some("A"), None, Some("c")]);
    assert_eq!(events.iter().map(Envelope::partition_key).collect::<Vec<_>>(), [None, Some("B"), None]);
    let metadata = Metadata::new([("env", "prod".into())]).unwrap();
    assert_eq!(metadata.apply(&events[0]), texts[0].replace(r#""env":"1""#, r#""env":"prod""#));
    assert_eq!(metadata.apply(&events[1]), texts[1].replace(r#""env":"2""#, r#""env":"prod""#));
    assert_eq!(metadata.apply(&events[2]), texts[2].replacen('{', r#"{"env":"prod","#, 1));
}

#[test]
fn what_is_missing_is_filled_in() {
    let mut slice = SliceBuilder::new("/my \"service\"");
    for text in [r#"{"type":"t","data":1}"#, r#"{"id":null,"time":null,"type":"t","source":null,"specversion":null}"#] {
        slice.push_json(text.as_bytes()).unwrap();
    }
    let events = slice.finish();
    for event in &events {
        let value: Value = serde_json::from_str(event.json()).unwrap();
        assert_eq!(value["specversion"], "1.0");
        assert_eq!(value["source"], "/my \"service\"");
        assert_eq!(value["type"], "t");
        let id: uuid::Uuid = value["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        let time: jiff::Timestamp = value["time"].as_str().unwrap().parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 60);
        assert_eq!(event.id(), value["id"]);
        assert_eq!(event.source(), "/my \"service\"");
    }
    assert_ne!(events[0].id(), events[1].id());
    assert_eq!(events[0].data(), Some("1"));
    assert!(events[1].json().starts_with(r#"{"id":""#), "in place of the null: {}", events[1].json());
    let partly = taken(r#"{"type":"t","id":"mine","time":"1985-04-12T23:20:50.52Z"}"#);
    assert_eq!(
        partly.json(),
        r#"{"specversion":"1.0","source":"hooks","type":"t","id":"mine","time":"1985-04-12T23:20:50.52Z"}"#
    );
}

#[test]
fn a_null_attribute_is_an_absent_one() {
    let event = taken(complete(r#","subject":null,"datacontenttype":null,"partitionkey":null,"data_base64":null"#));
    assert_eq!((event.subject(), event.partition_key(), event.data()), (None, None, None));
    assert_eq!(taken(complete(r#","data_base64":null,"data":1"#)).data(), Some("1"));
}

#[test]
fn pretty_printed_becomes_one_line() {
    let value: Value = serde_json::from_str(&complete(r#","data":{"text":"a\nb","list":[1,2]}"#)).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    for text in [pretty.clone(), pretty.replace('\n', "\r\n"), format!("\r\n{pretty}\r\n")] {
        let event = taken(&text);
        assert_eq!(event.json(), text.replace(['\r', '\n'], " "));
        assert_eq!(serde_json::from_str::<Value>(event.json()).unwrap(), value);
        assert_eq!(event.data().unwrap(), event.data().unwrap().replace(['\r', '\n'], " "));
    }
    let filled = taken("{\n\t\"type\": \"t\",\n\t\"id\": null,\r\n\t\"data\": [\n]\n}\r");
    assert!(!filled.json().contains(['\r', '\n']), "{}", filled.json());
    assert_eq!(filled.data(), Some("[ ]"));
}

#[test]
fn a_line_that_ends_in_a_carriage_return_is_fine() {
    assert_eq!(taken(complete("") + "\r").json(), complete("") + " ");
}

#[test]
fn times() {
    for good in ["1985-04-12T23:20:50.52Z", "1996-12-19T16:39:57-08:00", "1990-12-31T23:59:60Z", "2024-02-29t00:00:00z"]
    {
        taken(complete("").replace("2026-11-23T10:00:00Z", good));
    }
    for bad in ["", "2026-11-23", "2026-11-23 10:00:00Z", "2026-11-23T10:00:00", "2025-02-29T00:00:00Z", "1.7e9"] {
        refused(complete("").replace("2026-11-23T10:00:00Z", bad));
    }
}

/// An application's event, with everything set.
struct Full(&'static str);

impl Event for Full {
    fn event_type(&self) -> &str {
        self.0
    }

    fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> {
        hooks_core::encode(&json!({"n": 1}))
    }

    fn id(&self) -> Option<&str> {
        Some("\"7\"")
    }

    fn source(&self) -> Option<&str> {
        Some("/mine")
    }

    fn subject(&self) -> Option<&str> {
        Some("a\\b")
    }

    fn time(&self) -> Option<std::time::SystemTime> {
        Some(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_500))
    }

    fn extensions(&self) -> Vec<(&str, Value)> {
        vec![("partitionkey", json!("p\"1")), ("attempt", json!(3))]
    }
}

/// An application's event of which all is left out that can be.
struct Bare;

impl Event for Bare {
    fn event_type(&self) -> &str {
        "a.b"
    }
}

/// An application's event with an attribute that is not legal.
struct Unlawful;

impl Event for Unlawful {
    fn event_type(&self) -> &str {
        "a.b"
    }

    fn extensions(&self) -> Vec<(&str, Value)> {
        vec![("Partition", json!("1"))]
    }
}

#[test]
fn an_applications_event_needs_no_more_than_a_type() {
    let event = Envelope::from_event(&Bare, "/other").unwrap();
    assert_eq!((event.event_type(), event.source(), event.data()), ("a.b", "/other", None));
    assert!(!event.json().contains("data"), "{}", event.json());
    assert_eq!(event.id().len(), 36);
    let error = Envelope::from_event(&Unlawful, "/other").unwrap_err();
    assert!(error.to_string().contains("Partition"), "{error}");
}

#[test]
fn an_applications_event() {
    let event = Envelope::from_event(&Full("a.b"), "/other").unwrap();
    assert_eq!(
        event.json(),
        r#"{"specversion":"1.0","id":"\"7\"","source":"/mine","type":"a.b","subject":"a\\b","partitionkey":"p\"1","attempt":3,"time":"1970-01-01T00:00:01.5Z","datacontenttype":"application/json","data":{"n":1}}"#
    );
    assert_eq!((event.id(), event.subject()), ("\"7\"", Some("a\\b")));
    let error = Envelope::from_event(&Full(""), "/other").unwrap_err();
    assert_eq!(error.to_string(), "attribute `type` must be a string that is not empty");
}

/// An application's event that does not encode.
struct Unprintable;

impl Event for Unprintable {
    fn event_type(&self) -> &str {
        "t"
    }

    fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> {
        hooks_core::encode(&std::collections::HashMap::from([(vec![1], 1)]))
    }
}

#[test]
fn an_encoding_error_is_seen() {
    let error = Envelope::from_event(&Unprintable, "/s").unwrap_err();
    assert_eq!(error.to_string(), "data could not be encoded as JSON");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "key must be a string");
}

#[test]
fn the_real_events_are_taken_verbatim() {
    let lines = include_str!("../../../examples/github-events.ndjson");
    let mut slice = SliceBuilder::new("/s");
    lines.lines().for_each(|line| slice.push_json(line.as_bytes()).unwrap());
    let events = slice.finish();
    assert_eq!(events.len(), 329);
    for (event, line) in events.iter().zip(lines.lines()) {
        assert_eq!(event.json(), line);
        let value: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event.id(), value["id"]);
        assert_eq!(event.source(), value["source"]);
        assert_eq!(event.event_type(), value["type"]);
        assert_eq!(event.subject(), value["subject"].as_str());
        assert!(line.contains(&format!(r#""data":{}"#, event.data().unwrap())), "data is not a part of the line");
        assert_eq!(serde_json::from_str::<Value>(event.data().unwrap()).unwrap(), value["data"]);
    }
    assert_eq!(events.iter().map(Envelope::id).collect::<HashSet<_>>().len(), 329);
}

#[test]
fn metadata_names_and_values() {
    let error = |name: &str, value: Value| Metadata::new([(name, value)]).unwrap_err().to_string();
    let name = "is no extension attribute name: lower-case letters and digits, and none of the attributes that CloudEvents defines";
    for bad in ["", "Env", "my_env", "data", "type", "specversion", "data_base64", "é"] {
        assert_eq!(error(bad, "x".into()), format!("`{bad}` {name}"));
    }
    for bad in [json!(1.5), json!(null), json!([1]), json!({}), json!("a\nb"), json!("\u{7f}")] {
        assert_eq!(error("env", bad), "`env` must be a string without control characters, an integer or a boolean");
    }
    let twice = Metadata::new([("env", json!(1)), ("env", json!(1))]).unwrap_err();
    assert_eq!(twice.to_string(), "`env` stands twice");
}
