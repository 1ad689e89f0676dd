//! Properties of every text, against serde_json as an independent parser. The fuzz target of the same
//! name (`xtask/fuzz`) looks for more of the same by hand.

use hooks_core::{Envelope, Metadata, SliceBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::taken;

/// Text for attributes: everything that CloudEvents allows in a string.
fn attribute() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,12}"
}

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,16}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    /// An event as an application would write it, complete or not, in any order of members.
    fn event()(
        event_type in attribute(),
        id in prop::option::of(attribute()),
        source in prop::option::of(attribute()),
        subject in prop::option::of(attribute()),
        partition_key in prop::option::of(attribute()),
        extensions in prop::collection::btree_map("[a-z]{5}[0-9]", prop_oneof![attribute().prop_map(Value::from), any::<i32>().prop_map(Value::from), any::<bool>().prop_map(Value::from), Just(Value::Null)], 0..4),
        time in prop::option::of(Just("2026-11-23T10:00:00+01:00")),
        specversion in prop::option::of(Just("1.0")),
        data in prop::option::of(data()),
    )(
        members in {
            let mut members = vec![("type".to_owned(), json!(event_type))];
            members.extend(id.map(|id| ("id".to_owned(), json!(id))));
            members.extend(source.map(|source| ("source".to_owned(), json!(source))));
            members.extend(subject.map(|subject| ("subject".to_owned(), json!(subject))));
            members.extend(partition_key.map(|key| ("partitionkey".to_owned(), json!(key))));
            members.extend(time.map(|time| ("time".to_owned(), json!(time))));
            members.extend(specversion.map(|version| ("specversion".to_owned(), json!(version))));
            members.extend(data.map(|data| ("data".to_owned(), data)));
            members.extend(extensions);
            Just(members).prop_shuffle()
        },
    ) -> Vec<(String, Value)> {
        members
    }
}

/// One way to write an object down, members in their order; `style` picks spaces and escapes.
fn written(members: &[(String, Value)], style: u8) -> String {
    let space = ["", " ", "\n  ", "\r\n\t"][usize::from(style % 4)];
    let escape = |text: String| {
        if style & 4 == 0 {
            return text;
        }
        let units = |char: char| char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        text.chars().map(|char| if char.is_ascii() { char.to_string() } else { units(char) }).collect()
    };
    let member =
        |(name, value): &(String, Value)| format!("{space}\"{name}\"{space}:{space}{}", escape(value.to_string()));
    format!("{space}{{{}{space}}}{space}", members.iter().map(member).collect::<Vec<_>>().join(","))
}

fn parsed(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Checks an event that was taken against an independent parser.
fn holds_for_taken(event: &Envelope) {
    let json = event.json();
    assert!(!json.contains(['\n', '\r']), "more than one line: {json:?}");
    let value = parsed(json);
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    assert_eq!(text("specversion"), Some("1.0"));
    assert_eq!(text("id"), Some(event.id()));
    assert_eq!(text("source"), Some(event.source()));
    assert_eq!(text("type"), Some(event.event_type()));
    assert_eq!(text("subject"), event.subject());
    assert_eq!(text("partitionkey"), event.partition_key());
    assert!(text("time").is_some());
    assert_eq!(event.data().map(|data| serde_json::from_str::<Value>(data).unwrap()), value.get("data").cloned());
    assert_eq!(event.len(), json.len());
    assert_eq!(taken(json).json(), json, "taking it again changes it");
}

proptest! {
    /// Any bytes: an answer, never a panic. What is taken is sound.
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(event) = Envelope::from_json(&bytes) {
            holds_for_taken(&event);
        }
    }

    /// The same with bytes that are almost an event.
    #[test]
    fn damaged_events(members in event(), style: u8, at: prop::sample::Index, byte: u8, what in 0..3u8) {
        let mut bytes = written(&members, style).into_bytes();
        let at = at.index(bytes.len());
        match what {
            0 => bytes[at] = byte,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, byte),
        }
        match Envelope::from_json(&bytes) {
            // Numbers beyond f64 and half surrogates in data are good JSON that `Value` can't hold.
            Ok(event) => if serde_json::from_str::<Value>(event.json()).is_ok() { holds_for_taken(&event) },
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// Whatever is a CloudEvent is taken, and nothing but what was missing differs.
    #[test]
    fn generated_events(members in event(), style: u8) {
        let text = written(&members, style);
        let event = taken(&text);
        holds_for_taken(&event);
        let (before, after) = (parsed(&text), parsed(event.json()));
        for (name, value) in &before {
            prop_assert_eq!(&after[name], value, "{}", name);
        }
        let added: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
        prop_assert!(added.iter().all(|name| ["specversion", "id", "source", "time"].contains(&name.as_str())), "{:?}", added);
        if added.is_empty() {
            prop_assert_eq!(event.json(), text.replace(['\n', '\r'], " "));
        }
    }

    /// Parts and copies of a slice have the same events.
    #[test]
    fn parts_and_copies_are_the_same(events in prop::collection::vec((event(), any::<u8>()), 1..6), env: bool) {
        let mut slice = SliceBuilder::new("/s");
        for (mut members, style) in events {
            members.extend(env.then(|| ("env".to_owned(), json!(7))));
            slice.push_json(written(&members, style).as_bytes()).unwrap();
        }
        let slice = slice.finish();
        let metadata = Metadata::new([("env", "prod".into())]).unwrap();
        for (from, to) in (0..=slice.len()).flat_map(|to| (0..=to).map(move |from| (from, to))) {
            let part = slice.part(from..to);
            prop_assert_eq!(part.bytes(), slice[from..to].iter().map(Envelope::len).sum::<usize>());
            let mut copies = SliceBuilder::new("/s");
            part.iter().rev().for_each(|event| copies.push_envelope(event).unwrap());
            let copies = copies.finish();
            prop_assert_eq!(copies.bytes(), part.bytes());
            for (copy, event) in copies.iter().rev().zip(&part) {
                prop_assert_eq!(copy.json(), event.json());
                prop_assert_eq!(metadata.apply(copy), metadata.apply(event));
                holds_for_taken(copy);
            }
        }
    }

    /// A hook's metadata is in what it delivers; `data` and all else stay as they were.
    #[test]
    fn metadata_is_applied(
        members in event(),
        style: u8,
        own in prop::collection::btree_map("[a-z]{5}[0-9]", prop_oneof![attribute().prop_map(Value::from), any::<i64>().prop_map(Value::from), any::<bool>().prop_map(Value::from)], 0..4),
        replaced: prop::sample::Index,
    ) {
        let event = taken(written(&members, style));
        let mut entries = own;
        let standard = ["specversion", "id", "source", "type", "subject", "time", "data"];
        let extensions: Vec<&String> = members.iter().map(|(name, _)| name).filter(|name| !standard.contains(&name.as_str())).collect();
        if !extensions.is_empty() {
            entries.insert(extensions[replaced.index(extensions.len())].clone(), json!("replaced"));
        }
        let metadata = Metadata::new(entries.clone()).unwrap();
        let line = metadata.apply(&event);
        let delivered = taken(line.as_bytes());
        prop_assert_eq!(delivered.json(), &*line);
        prop_assert_eq!(delivered.data(), event.data());
        let (mut expected, after) = (parsed(event.json()), parsed(&line));
        expected.extend(entries);
        prop_assert_eq!(after, expected);
    }
}
