//! Each way to be no event, and the error that says so.

use hooks_core::{EnvelopeError, SliceBuilder};

use super::{complete, refused, taken};

#[test]
fn malformed_events() {
    let cases: &[(&str, &str)] = &[
        // No JSON.
        ("", "not a JSON object: expected `{`, the beginning of an object at column 1"),
        ("   ", "not a JSON object: expected `{`, the beginning of an object at column 4"),
        ("hello", "not a JSON object: expected `{`, the beginning of an object at column 1"),
        ("null", "not a JSON object: expected `{`, the beginning of an object at column 1"),
        (
            r#" [{"type":"t"}]"#,
            "an array, where one event is expected: write the events one by one, without `[`, `,` and `]` around them",
        ),
        (r#""type""#, "not a JSON object: expected `{`, the beginning of an object at column 1"),
        ("{", "not a JSON object: expected a member name in quotes at column 2"),
        (r#"{type:"t"}"#, "not a JSON object: expected a member name in quotes at column 2"),
        (r#"{'type':'t'}"#, "not a JSON object: expected a member name in quotes at column 2"),
        (r#"{"type" "t"}"#, "not a JSON object: expected `:` at column 9"),
        (r#"{"type":}"#, "not a JSON object: expected a JSON value at column 9"),
        (r#"{"type":"t""#, "not a JSON object: expected `,` or `}` at column 12"),
        (r#"{"type":"t",}"#, "not a JSON object: expected a member name in quotes at column 13"),
        (r#"{"type":"t"#, "not a JSON object: expected `\"`, the end of a string at column 11"),
        (r#"{"type":"t"} {"type":"t"}"#, "not a JSON object: expected the end of the event at column 14"),
        (r#"{"type":"t","data":[1,2}"#, "not a JSON object: expected `,` or `]` at column 24"),
        (r#"{"type":"t","data":{"a":1]}"#, "not a JSON object: expected `,` or `}` at column 26"),
        (r#"{"type":"t","data":[1,]}"#, "not a JSON object: expected a JSON value at column 23"),
        (r#"{"type":"t","data":01}"#, "not a JSON object: expected `,` or `}` at column 21"),
        (r#"{"type":"t","data":1.}"#, "not a JSON object: expected a digit at column 22"),
        (r#"{"type":"t","data":+1}"#, "not a JSON object: expected a JSON value at column 20"),
        (r#"{"type":"t","data":NaN}"#, "not a JSON object: expected a JSON value at column 20"),
        (r#"{"type":"t","data":True}"#, "not a JSON object: expected a JSON value at column 20"),
        (r#"{"type":"\x74"}"#, "not a JSON object: expected an escape that JSON knows behind `\\` at column 11"),
        (r#"{"type":"\u12"}"#, "not a JSON object: expected four hexadecimal digits behind `\\u` at column 14"),
        ("{\"type\":\"a\nb\"}", "not a JSON object: expected no raw control character in a string at column 11"),
        // NUL, in a string and outside.
        (
            "{\"type\":\"t\",\"data\":\"a\0\"}",
            "not a JSON object: expected no raw control character in a string at column 22",
        ),
        ("{\"type\":\"t\"}\0", "not a JSON object: expected the end of the event at column 13"),
        ("\0", "not a JSON object: expected `{`, the beginning of an object at column 1"),
        // A byte order mark.
        ("\u{feff}{\"type\":\"t\"}", "begins with a byte order mark: save the text as UTF-8 without one"),
        // Attributes.
        ("{}", "attribute `type` is missing"),
        (r#"{"id":"1"}"#, "attribute `type` is missing"),
        (r#"{"type":null}"#, "attribute `type` is missing"),
        (r#"{"type":""}"#, "attribute `type` must be a string that is not empty"),
        (r#"{"type":7}"#, "attribute `type` must be a string"),
        (r#"{"type":["t"]}"#, "attribute `type` must be a string"),
        (r#"{"type":"t","id":7}"#, "attribute `id` must be a string"),
        (r#"{"type":"t","id":""}"#, "attribute `id` must be a string that is not empty"),
        (r#"{"type":"t","source":""}"#, "attribute `source` must be a string that is not empty"),
        (r#"{"type":"t","subject":""}"#, "attribute `subject` must be a string that is not empty"),
        (r#"{"type":"t","subject":false}"#, "attribute `subject` must be a string"),
        (r#"{"type":"t","specversion":"0.3"}"#, "attribute `specversion` must be \"1.0\""),
        (r#"{"type":"t","specversion":1.0}"#, "attribute `specversion` must be a string"),
        (r#"{"type":"t","specversion":""}"#, "attribute `specversion` must be \"1.0\""),
        (
            r#"{"type":"t","time":"yesterday"}"#,
            "attribute `time` must be an RFC 3339 timestamp, for example 2026-11-23T10:00:00Z",
        ),
        (
            r#"{"type":"t","time":"2026-02-30T10:00:00Z"}"#,
            "attribute `time` must be an RFC 3339 timestamp, for example 2026-11-23T10:00:00Z",
        ),
        (r#"{"type":"t","time":1764000000}"#, "attribute `time` must be a string"),
        (r#"{"type":"t","datacontenttype":""}"#, "attribute `datacontenttype` must be a string that is not empty"),
        (r#"{"type":"t","dataschema":{}}"#, "attribute `dataschema` must be a string"),
        (r#"{"type":"t","data_base64":[]}"#, "attribute `data_base64` must be a string"),
        (
            r#"{"type":"t","data":{},"data_base64":"AA=="}"#,
            "both `data` and `data_base64` are present: an event has one of them",
        ),
        (
            r#"{"type":"t","data_base64":"","data":null}"#,
            "both `data` and `data_base64` are present: an event has one of them",
        ),
        // Escaped surrogates and control characters, which CloudEvents has in no string.
        (r#"{"type":"\ud800"}"#, "attribute `type` must be a string without half surrogate pairs"),
        (r#"{"type":"a\u0000b"}"#, "attribute `type` must be a string without control characters"),
        (r#"{"type":"a\nb"}"#, "attribute `type` must be a string without control characters"),
        ("{\"type\":\"t\",\"id\":\"\u{7f}\"}", "attribute `id` must be a string without control characters"),
        ("{\"type\":\"t\",\"env\":\"\u{85}\"}", "attribute `env` must be a string without control characters"),
        // Names.
        (r#"{"type":"t","type":"u"}"#, "member `type` stands twice"),
        (r#"{"type":"t","id":null,"id":"1"}"#, "member `id` stands twice"),
        (r#"{"type":"t","data":1,"data":2}"#, "member `data` stands twice"),
        (r#"{"type":"t","env":"a","other":1,"env":"b"}"#, "member `env` stands twice"),
        (
            r#"{"type":"t","userId":7}"#,
            "`userId` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`",
        ),
        (
            r#"{"type":"t","user_id":7}"#,
            "`user_id` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`",
        ),
        (
            r#"{"type":"t","":7}"#,
            "`` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`",
        ),
        (
            r#"{"type":"t","é":7}"#,
            "`é` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`",
        ),
        (
            r#"{"\u0074ype":"t"}"#,
            r"`\u0074ype` is no CloudEvents attribute and no legal extension name (lower-case letters and digits): put it into `data`",
        ),
        (r#"{"type":"t","env":{}}"#, "attribute `env` must be a string, a number or a boolean"),
        (r#"{"type":"t","env":[1]}"#, "attribute `env` must be a string, a number or a boolean"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), *expected, "{text}");
    }
}

#[test]
fn invalid_utf8() {
    assert_eq!(refused(b"{\"type\":\"\xff\"}"), "not UTF-8: byte 0xff at column 10");
    assert_eq!(refused(b"{\"type\":\"\xc3"), "not UTF-8: byte 0xc3 at column 10");
    // CESU-8: a surrogate half is no UTF-8.
    assert_eq!(refused(b"{\"type\":\"\xed\xa0\x80\"}"), "not UTF-8: byte 0xed at column 10");
    // UTF-16.
    assert_eq!(refused(b"\xff\xfe{\0"), "not UTF-8: byte 0xff at column 1");
}

#[test]
fn a_long_name_is_cut_in_the_error() {
    let error = refused(format!(r#"{{"type":"t","{}":1}}"#, "É".repeat(5_000)));
    assert!(error.starts_with(&format!("`{}` is no", "É".repeat(64))), "{error}");
}

#[test]
fn five_megabytes() {
    let text = complete(&format!(r#","data":"{}""#, "x".repeat(5_000_000)));
    let bytes = text.len();
    assert_eq!(
        refused(&text),
        format!("{bytes} bytes long, more than the limit of 1048576: raise `max_bytes` of events, or split the event")
    );
    let mut raised = SliceBuilder::new("/s").max_event_bytes(bytes);
    raised.push_json(text.as_bytes()).unwrap();
    assert_eq!(raised.finish()[0].json(), text);
    let mut lower = SliceBuilder::new("/s").max_event_bytes(bytes - 1);
    assert_eq!(
        lower.push_json(text.as_bytes()),
        Err(EnvelopeError::TooLarge { bytes, limit: bytes - 1 }),
        "one byte too long"
    );
}

#[test]
fn deep_nesting() {
    let nested = |levels: usize| complete(&format!(r#","data":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    // The event itself is the first of 128 levels.
    assert_eq!(taken(nested(127)).json(), nested(127));
    let column = complete("").len() + r#","data":"#.len() + 127;
    assert_eq!(refused(nested(128)), format!("nested deeper than 128 levels at column {column}"));
    assert_eq!(refused(nested(500_000)), format!("nested deeper than 128 levels at column {column}"));
    let objects = complete(&format!(r#","data":{}1{}"#, r#"{"a":"#.repeat(200_000), "}".repeat(200_000)));
    let mut large = SliceBuilder::new("/s").max_event_bytes(usize::MAX);
    let column = complete("").len() + r#","data":"#.len() + 127 * r#"{"a":"#.len();
    assert_eq!(large.push_json(objects.as_bytes()), Err(EnvelopeError::TooDeep { column }));
}
