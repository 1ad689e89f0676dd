use proptest::prelude::*;

use super::*;

fn settings() -> Settings {
    Settings { source: "/test".into(), max_event_bytes: 1000, ..Settings::default() }
}

type Headers<'a> = &'a [(&'static str, &'static str)];

fn headers(headers: Headers<'_>) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn json(given: Headers<'_>, body: &[u8]) -> Result<String, String> {
    to_json(&headers(given), body).map(|json| String::from_utf8(json).unwrap())
}

/// The reason why these headers and this body are no event.
fn refused(given: Headers<'_>, body: &[u8]) -> String {
    let settings = settings();
    let given = [&[("ce-specversion", "1.0")], given].concat();
    decode(&headers(&given), body, &settings, None).expect_err(&format!("{given:?}")).error()
}

#[test]
fn headers_become_attributes_and_the_body_data() {
    let headers = [("ce-type", "a"), ("ce-subject", "Euro%20%E2%82%AC%20\"x\" 100%"), ("host", "x")];
    let with = |media| [headers.as_slice(), &[("content-type", media)]].concat();
    assert_eq!(json(&headers, b"").unwrap(), r#"{"type":"a","subject":"Euro € \"x\" 100%"}"#);
    assert_eq!(
        json(&with("application/json"), b" {\"n\": 1.0} ").unwrap(),
        r#"{"type":"a","subject":"Euro € \"x\" 100%","datacontenttype":"application/json","data":{"n": 1.0}}"#
    );
    assert!(json(&with("text/plain"), b"hi").unwrap().ends_with(r#","data":"hi"}"#));
    for media in ["image/png", "text/plain", "application/x-ndjson", "application/json; charset=latin1"] {
        assert!(json(&with(media), &[0, 255]).unwrap().ends_with(r#","data_base64":"AP8="}"#), "{media}");
    }
    assert!(json(&with("text/plain; charset=latin1"), b"a").unwrap().ends_with(r#","data_base64":"YQ=="}"#));
}

#[test]
fn quotes_around_a_value_are_no_part_of_it() {
    for (value, meant) in [
        ("\"a.b\"", "a.b"),
        (r#""a \"b\" \\ %22c%22""#, r#"a "b" \ "c""#),
        ("\"100%\"", "100%"),
        ("%22a.b%22", "\"a.b\""),
        ("a\"b\"", "a\"b\""),
        ("%2541", "%41"),
        ("a\\\"b", "a\\\"b"),
    ] {
        let expected = format!("{{\"type\":{}}}", serde_json::Value::from(meant));
        assert_eq!(json(&[("ce-type", value)], b"").unwrap(), expected, "{value}");
    }
    for value in ["\"", "\"a", "\"a\"b", "\"a\\\""] {
        let error = refused(&[("ce-type", value)], b"");
        assert!(error.starts_with("header `ce-type` begins with a quote"), "{error}");
    }
}

/// Only `ce-` headers are encoded.
#[test]
fn the_content_type_is_taken_as_it_is() {
    let json = json(&[("content-type", "text/x; a=\"%20;\\\"\"")], b"hi").unwrap();
    assert_eq!(json, r#"{"datacontenttype":"text/x; a=\"%20;\\\"\"","data":"hi"}"#);
}

#[test]
fn extensions_may_begin_with_data() {
    let given = [("ce-dataref", "s3://a/b"), ("ce-database", "x"), ("ce-data1", "y"), ("ce-dataschema", "/z")];
    let expected = r#"{"dataref":"s3://a/b","database":"x","data1":"y","dataschema":"/z"}"#;
    assert_eq!(json(&given, b"").unwrap(), expected);
    for name in ["ce-data", "ce-data_base64", "ce-datacontenttype"] {
        let error = refused(&[("ce-type", "a"), (name, "1")], b"");
        assert!(error.starts_with(&format!("header `{name}`: the data is the body")), "{error}");
    }
}

#[test]
fn a_byte_order_mark_before_json_is_named() {
    for given in [&[("ce-type", "a"), ("content-type", "application/json")][..], &[("ce-type", "a")]] {
        assert_eq!(
            refused(given, "\u{feff}{}".as_bytes()),
            "the body begins with a byte order mark: save the text as UTF-8 without one"
        );
    }
}

#[test]
fn a_body_can_not_add_attributes() {
    let error = json(&[("content-type", "application/json")], br#"1,"type":"b""#).unwrap_err();
    assert!(error.starts_with("the body is not JSON: "), "{error}");
}

#[test]
fn what_is_wrong_is_said_of_the_header_that_it_stands_in() {
    let long: &'static str = Box::leak("x".repeat(2000).into_boxed_str());
    for (given, body, said) in [
        (&[][..], "", "header `ce-type` is missing"),
        (&[("ce-type", "")], "", "header `ce-type` must be a string that is not empty"),
        (&[("ce-type", "a"), ("ce-type", "b")], "", "header `ce-type` stands twice"),
        (&[("ce-type", "a"), ("ce-env", "1"), ("ce-env", "2")], "", "header `ce-env` stands twice"),
        (&[("ce-type", "a"), ("ce-specversion", "1.0")], "", "header `ce-specversion` stands twice"),
        (&[("ce-type", "a"), ("ce-time", "now")], "", "header `ce-time` must be an RFC 3339 timestamp"),
        (&[("ce-type", "a"), ("ce-my-ext", "1")], "", "header `ce-my-ext`: the name of an attribute has"),
        (&[("ce-type", "a"), ("ce-", "1")], "", "header `ce-`: the name of an attribute has"),
        (&[("ce-type", "a"), ("ce_subject", "1")], "", "header `ce_subject`: headers that are attributes begin"),
        (&[("ce-type", "a%0Ab")], "", "header `ce-type` must be a string without control characters"),
        (&[("ce-type", "%FF")], "", "header `ce-type` is not UTF-8"),
        (&[("ce-type", "%ED%A0%80")], "", "header `ce-type` is not UTF-8"),
        (&[("ce-type", "hooks.x")], "", "header `ce-type`: type `hooks.x`: types that begin with"),
        (&[("ce-type", "a")], "hi", "header `content-type` is missing, and the body is not JSON: "),
        (&[("ce-type", "a"), ("content-type", "x")], "hi", "header `content-type` is no media type"),
        (&[("ce-type", "a")], long, "2000 bytes long, more than the limit of 1000"),
        (&[("ce-type", long)], "", "2113 bytes long, more than the limit of 1000"),
    ] {
        let error = refused(given, body.as_bytes());
        assert!(error.starts_with(&said.replace("2113", &error[..4])), "{error}");
        assert!(!error.contains("column") || error.contains("the body"), "{error}");
    }
    for name in ["ce-", "ce_"].map(|prefix| prefix.to_owned() + &"x".repeat(5000)) {
        for value in ["\"", "%FF"] {
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            assert!(refused(&[("ce-type", "a"), (name, value)], b"").len() < 300);
        }
    }
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(refused(&[("ce-type", "a")], deep.as_bytes()), "the body: nested deeper than 128 levels");
    let old = [("ce-specversion", "0.3"), ("ce-type", "a")];
    let settings = settings();
    assert_eq!(
        decode(&headers(&old), b"", &settings, None).unwrap_err().error(),
        "header `ce-specversion` must be \"1.0\""
    );
}

/// As a sender encodes a value, which may encode more than it has to, and put quotes around it.
fn encoded(value: &str, all: bool, quoted: bool) -> Vec<u8> {
    let mut sent = String::new();
    for byte in value.bytes() {
        match byte {
            b'!'..=b'~' if !all && byte != b'"' && byte != b'%' => sent.push(char::from(byte)),
            _ => sent.push_str(&format!("%{byte:02X}")),
        }
    }
    if quoted {
        sent = format!("\"{}\"", sent.replace('\\', "\\\\"));
    }
    sent.into_bytes()
}

proptest! {
    #[test]
    fn what_a_sender_encodes_is_read_as_it_was(value in "[^\\p{Cc}]{1,20}", all: bool, quoted: bool) {
        let mut given = headers(&[("ce-specversion", "1.0"), ("ce-type", "a")]);
        given.insert("ce-subject", HeaderValue::from_bytes(&encoded(&value, all, quoted)).unwrap());
        let settings = settings();
        let events = decode(&given, b"", &settings, None).unwrap();
        prop_assert_eq!(events[0].subject(), Some(value.as_str()));
    }

    /// Whatever comes, it is one event with the data that came, or an error.
    #[test]
    fn any_headers_and_body_get_an_answer(
        values in prop::collection::vec((prop::sample::select(vec!["ce-type", "ce-id", "ce-x", "ce-partitionkey", "ce_x", "content-type"]), prop::collection::vec(any::<u8>(), 0..12)), 0..5),
        media in prop::option::of(prop::sample::select(vec!["text/plain", "application/json", "image/png", "text/plain; charset=latin1"])),
        body: Vec<u8>,
    ) {
        let mut given = headers(&[("ce-specversion", "1.0"), ("ce-type", "a")]);
        if let Some(media) = media {
            given.insert(CONTENT_TYPE, media.parse().unwrap());
        }
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                given.insert(name, value);
            }
        }
        let settings = settings();
        if let Ok(events) = decode(&given, &body, &settings, None) {
            prop_assert_eq!(events.len(), 1);
            let event: serde_json::Value = serde_json::from_str(events[0].json()).unwrap();
            let data = match (&event["data"], &event["data_base64"]) {
                (serde_json::Value::Null, serde_json::Value::String(base64)) => STANDARD.decode(base64).unwrap(),
                (serde_json::Value::String(text), _) if media.is_some_and(|media| media.starts_with("text")) => text.clone().into_bytes(),
                _ => return Ok(()),
            };
            prop_assert_eq!(data, body);
        }
    }
}
