use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// The whole scan of one object, as the envelope makes it.
fn scan_whole(text: &str, visit: Visit<'_>) -> Result<bool, Fault> {
    let (end, broken) = scan_object::<Fault>(text, visit)?;
    scan_end(text, end).map(|broken_end| broken | broken_end)
}

fn scan(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut found = Vec::new();
    scan_whole(text, &mut |member| {
        found.push((text[member.name].to_owned(), text[member.value].to_owned()));
        Ok(())
    })
    .map(|_| found)
}

type Visit<'a> = &'a mut dyn FnMut(Member) -> Result<(), Fault>;

/// Everything that a scan says, the members in front of a fault included.
fn all(text: &str, scan: impl Fn(&str, Visit<'_>) -> Result<bool, Fault>) -> (Vec<Member>, Result<bool, Fault>) {
    let mut found = Vec::new();
    let end = scan(text, &mut |member| {
        found.push(member);
        Ok(())
    });
    (found, end)
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".{0,9}", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The webhooks of GitHub, as events.
static EVENTS: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../../../examples/github-events.ndjson").lines().collect());

/// A place, the number of bytes that are replaced there, and what stands there then.
fn damage() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let token = prop::sample::select(b"{}[],:\"\\u0e-.tn \n\x01\x7f~".to_vec());
    let with = prop_oneof![
        prop::collection::vec(token, 0..3),
        Just("\u{e9}\u{1f600}".as_bytes().to_owned()),
        Just(vec![b' '; 70])
    ];
    (any::<prop::sample::Index>(), prop_oneof![Just(0), Just(1), Just(2), Just(20_000)], with)
}

proptest! {
    /// serde_json and the scan agree on every object, plain or pretty.
    #[test]
    fn agrees_on_good_json(value in prop::collection::btree_map("[a-z]{1,8}", json(), 0..5), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let found = scan(&text).unwrap();
        prop_assert_eq!(found.len(), value.len());
        for (name, raw) in found {
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&raw).unwrap(), &serde_json::from_str::<serde_json::Value>(&serde_json::to_string(&value[&name]).unwrap()).unwrap());
        }
    }

    /// serde_json and the scan agree on damaged text, too: both take it or both refuse it.
    #[test]
    fn agrees_on_damaged_json(value in prop::collection::btree_map("[a-z]{1,8}", json(), 0..4), at: prop::sample::Index, byte in prop::sample::select(b"{}[],:\"\\0e-.tn x".to_vec()), cut: bool) {
        let mut text = serde_json::to_string(&value).unwrap().into_bytes();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Ok(text) = String::from_utf8(text) {
            let theirs = serde_json::from_str::<Strict>(&text).is_ok();
            prop_assert_eq!(scan(&text).is_ok(), theirs, "{}", text);
        }
    }

    /// On any text the fast scan finds what the plain one finds, or the same fault in the same place.
    #[test]
    fn agrees_with_the_plain_scan(text in prop_oneof![".{0,64}", r#"\{("[ab\\é]{0,20}":|[0-9.eE+-]{1,20}|"[ -~]{0,40}"|\[|\]|\{|\}|,|true|null| |\n|\\u00[0-9a-g]{2}){0,12}\}?"#]) {
        prop_assert_eq!(all(&text, scan_whole), all(&text, plain::scan_object), "{}", text);
    }

    /// Also where good text is damaged.
    #[test]
    fn agrees_with_the_plain_scan_on_damaged_json(value in prop::collection::btree_map("[a-z]{1,8}", json(), 0..4), at: prop::sample::Index, byte in prop::sample::select(b"{}[],:\"\\0e-.tn x\n\x01".to_vec()), cut: bool, pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let mut text = text.unwrap().into_bytes();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Ok(text) = String::from_utf8(text) {
            prop_assert_eq!(all(&text, scan_whole), all(&text, plain::scan_object), "{}", text);
        }
    }

    /// Also where real events, of 10 KB, are damaged in a few places.
    #[test]
    fn agrees_with_the_plain_scan_on_damaged_events(event: prop::sample::Index, damages in prop::collection::vec(damage(), 0..4)) {
        let mut text = event.get(&EVENTS).as_bytes().to_owned();
        for (at, replaced, with) in damages {
            let at = at.index(text.len());
            let end = text.len().min(at + replaced);
            text.splice(at..end, with);
        }
        if let Ok(text) = String::from_utf8(text) {
            prop_assert_eq!(all(&text, scan_whole), all(&text, plain::scan_object), "{}", text);
        }
    }

    /// A string is plain when it holds no escape and nothing but the characters from space to `~`.
    #[test]
    fn says_which_strings_are_plain(text in "[ -~é\u{7f}\u{80}\n]{0,40}") {
        let json = serde_json::to_string(&text).unwrap();
        let mut kinds = Vec::new();
        scan_object::<Fault>(&format!("{{\"a\":{json}}}"), |member| { kinds.push(member.kind); Ok(()) }).unwrap();
        let plain = json[1..json.len() - 1].bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\');
        prop_assert_eq!(kinds, [Kind::String { plain }]);
    }
}

/// An object whose values are only checked, as the scan does: numbers of any size, lone surrogates.
#[derive(serde::Deserialize)]
struct Strict(
    #[allow(dead_code, reason = "read by the derive")]
    std::collections::HashMap<String, Box<serde_json::value::RawValue>>,
);

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(scan(&nested(127)).is_ok());
    assert_eq!(scan(&nested(128)).unwrap_err().kind, FaultKind::TooDeep);
    assert_eq!(scan(&nested(2_000_000)).unwrap_err().kind, FaultKind::TooDeep);
}

#[test]
fn says_where() {
    for (text, at) in [
        ("", 0),
        ("[]", 0),
        ("{\"a\":}", 5),
        ("{\"a\":01}", 6),
        ("{\"a\":1}x", 7),
        ("{\"a\":\"\u{0}\"}", 6),
        ("{\"a\":1,}", 7),
    ] {
        assert_eq!(scan(text).unwrap_err().at, at, "{text}");
    }
}
