//! The events in a request's body.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::binary;
use super::request::Request;

/// An event as a receiver sees it. Anything may be odd in it: somebody else wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Name and value of each member as they came, in their order, also of those that stand twice.
    members: Vec<(Box<RawValue>, Box<RawValue>)>,
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) event_type: String,
    pub(crate) subject: Option<String>,
    pub(crate) partitionkey: Option<String>,
    pub(crate) sequence: Option<String>,
    pub(crate) time: Option<String>,
}

impl Event {
    /// # Errors
    /// When it is no object, or has no text that tells it from others.
    fn parse(json: &str) -> Result<Self, String> {
        let Members(members) = serde_json::from_str(json).map_err(|error| said(&error))?;
        let text = |name| last(&members, name).and_then(text);
        let needed = |name| text(name).ok_or_else(|| format!("missing field `{name}`"));
        Ok(Self {
            id: needed("id")?,
            source: needed("source")?,
            event_type: needed("type")?,
            subject: text("subject"),
            partitionkey: text("partitionkey"),
            sequence: text("sequence"),
            time: text("time"),
            members,
        })
    }

    /// A member's value as it came. Of several with one name the last, as most readers do.
    pub(crate) fn raw(&self, name: &str) -> Option<&RawValue> {
        last(&self.members, name)
    }

    /// Every member but these, as one object: names and values as they came.
    pub(crate) fn without(&self, names: &[&str]) -> Option<Box<RawValue>> {
        let others = self.members.iter().filter(|(name, _)| !names.iter().any(|other| is(name, other)));
        let members: Vec<_> = others.map(|(name, value)| format!("{}:{}", name.get(), value.get())).collect();
        RawValue::from_string(format!("{{{}}}", members.join(","))).ok()
    }
}

fn last<'a>(members: &'a [(Box<RawValue>, Box<RawValue>)], name: &str) -> Option<&'a RawValue> {
    members.iter().rev().find(|(known, _)| is(known, name)).map(|(_, value)| &**value)
}

/// True if a name is this one, which holds nothing that JSON escapes.
fn is(raw: &RawValue, name: &str) -> bool {
    let quoted = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted == Some(name) || raw.get().contains('\\') && text(raw).is_some_and(|text| text == name)
}

/// A string, or the text of what is none; what no string can hold as it came. Null is the same as absent.
fn text(raw: &RawValue) -> Option<String> {
    match raw.get() {
        "null" => None,
        raw => Some(serde_json::from_str(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned())),
    }
}

struct Members(Vec<(Box<RawValue>, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The CloudEvents of a request, in whichever mode, and what is wrong with the first of those that are none.
pub(crate) fn events_of(request: &Request) -> (Vec<Event>, Option<String>) {
    binary::to_json(request).map_or_else(|| events(&request.body), |json| events(json.as_bytes()))
}

/// The CloudEvents in a body, a batch, a single event, or one a line; and what is wrong with the first of those
/// that are none.
pub(crate) fn events(body: &[u8]) -> (Vec<Event>, Option<String>) {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text.trim(),
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    if text.is_empty() {
        return (Vec::new(), Some("the body is empty".to_owned()));
    }
    if text.starts_with('[') {
        return match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(elements) => parse("event", &elements.iter().map(|element| element.get()).collect::<Vec<_>>()),
            Err(error) => (Vec::new(), Some(said(&error))),
        };
    }
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let found = parse("line", &lines);
    match (&found, Event::parse(text)) {
        // On several lines.
        ((_, Some(_)), Ok(event)) => (vec![event], None),
        _ => found,
    }
}

/// An error may quote what it did not expect, which may be all of the body.
fn said(error: &serde_json::Error) -> String {
    error.to_string().chars().take(200).collect()
}

fn parse(what: &str, texts: &[&str]) -> (Vec<Event>, Option<String>) {
    let (mut events, mut fault) = (Vec::new(), None);
    for (number, text) in (1..).zip(texts) {
        match Event::parse(text) {
            Ok(event) => events.push(event),
            Err(error) if texts.len() == 1 => fault = Some(error),
            Err(error) => fault = fault.or_else(|| Some(format!("{what} {number}: {error}"))),
        }
    }
    (events, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Vec<String> {
        let (events, fault) = events(body.as_bytes());
        assert_eq!(fault, None, "{body}");
        events.into_iter().map(|event| event.id).collect()
    }

    #[test]
    fn batches_single_events_and_lines() {
        let event = |id: &str| format!(r#"{{"id":"{id}","source":"s","type":"t","data":{{"a": 1.0}}}}"#);
        assert_eq!(ids(&format!("[{},{}]", event("1"), event("2"))), ["1", "2"]);
        assert_eq!(ids("[]"), [""; 0]);
        assert_eq!(ids(&event("1")), ["1"]);
        assert_eq!(ids(&event("1").replace(',', ",\n")), ["1"]);
        assert_eq!(ids(&format!("{}\n\n{}\n", event("1"), event("2"))), ["1", "2"]);
        let (events, _) = events(event("1").as_bytes());
        assert_eq!(events[0].raw("data").unwrap().get(), r#"{"a": 1.0}"#);
    }

    #[test]
    fn everything_else_says_why() {
        for (body, why) in
            [("", "empty"), ("hello", "expected value"), ("[{}]", "missing field"), ("[1", ""), ("7", "an event")]
        {
            let (events, fault) = events(body.as_bytes());
            let fault = fault.unwrap();
            assert!(events.is_empty() && fault.contains(why), "{body}: {fault}");
        }
        assert!(events(b"\xff").1.is_some());
        let quoted = format!("[\"{}\"]", "x".repeat(10_000));
        assert_eq!(events(quoted.as_bytes()).1.unwrap().len(), 200);
    }

    /// One event that is odd, or none at all, hides no other.
    #[test]
    fn odd_events_are_seen_too() {
        let odd = [
            r#"{"id":7,"source":"s","type":"t","partitionkey":7,"sequence":8,"time":9,"subject":true}"#,
            r#"{"id":"\ud800","source":"s","type":"t","env":[1]}"#,
            r#"{"id":"1","source":"s","type":"t","\udfff":1}"#,
            r#"{"id":"a","id":"b","source":"s","type":"t","subject":null}"#,
            r#"{"\u0069d":"c","source":"s","type":"t"}"#,
            r#"{"id":null,"source":"s","type":"t"}"#,
            "7",
        ];
        for (body, what) in [(format!("[{}]", odd.join(",")), "event"), (odd.join("\n"), "line")] {
            let (events, fault) = events(body.as_bytes());
            let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
            assert_eq!(ids, ["7", r"\ud800", "1", "b", "c"]);
            assert_eq!(fault.unwrap(), format!("{what} 6: missing field `id`"));
            let Event { subject, partitionkey, sequence, time, .. } = &events[0];
            assert_eq!(
                [subject, partitionkey, sequence, time].map(Option::as_deref),
                ["true", "7", "8", "9"].map(Some)
            );
            assert_eq!(events[3].subject, None);
            let others = events[2].without(&["id", "source"]).unwrap();
            assert_eq!(others.get(), r#"{"type":"t","\udfff":1}"#);
        }
    }
}
