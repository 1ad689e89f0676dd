//! An event as a template sees it. Each level is read when the template looks into it, so that `data` costs only as far
//! as it is used, and a list or a table that is written whole is written as it came.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A list or a table within an event.
struct Node {
    event: Arc<str>,
    span: Range<usize>,
    content: OnceLock<Content>,
}

enum Content {
    List(Vec<Value>),
    Table(BTreeMap<Box<str>, Value>),
}

/// The value of a whole event, which is JSON.
pub(super) fn of(event: Arc<str>) -> Value {
    let span = 0..event.len();
    value(&event, span)
}

/// The text of a list or a table of an event, as it came.
pub(super) fn raw(value: &Value) -> Option<&str> {
    value.downcast_object_ref::<Node>().map(Node::raw)
}

fn value(event: &Arc<str>, span: Range<usize>) -> Value {
    let raw = &event[span.clone()];
    match raw.as_bytes().first() {
        Some(b'"') => Value::from(text(raw)),
        Some(b'[' | b'{') => Value::from_object(Node { event: event.clone(), span, content: OnceLock::new() }),
        Some(b't') => Value::from(true),
        Some(b'f') => Value::from(false),
        Some(b'n') | None => Value::from(()),
        Some(_) => number(raw),
    }
}

/// Whole numbers are exact; others are of 64 bits. One that is beyond both is a text.
fn number(raw: &str) -> Value {
    if let Ok(number) = raw.parse::<i128>() {
        return i64::try_from(number).map_or_else(|_| Value::from(number), Value::from);
    }
    match (raw.parse::<u128>(), raw.parse::<f64>()) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(number)) if number.is_finite() && raw.contains(['.', 'e', 'E']) => Value::from(number),
        _ => Value::from(raw),
    }
}

/// The text of a string. Half a surrogate pair is no character, and becomes the one that stands for such.
fn text(raw: &str) -> Cow<'_, str> {
    serde_json::from_str(raw).map(|Text(text)| text).unwrap_or_default()
}

impl Node {
    fn raw(&self) -> &str {
        &self.event[self.span.clone()]
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| {
            let raw = self.raw();
            if raw.starts_with('[') {
                let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
                return Content::List(items.into_iter().map(|item| self.child(item)).collect());
            }
            let Members(members) = serde_json::from_str(raw).unwrap_or_default();
            // Of several with one name the last, as most readers do.
            Content::Table(members.into_iter().map(|(Text(name), value)| (name.into(), self.child(value))).collect())
        })
    }

    /// The value of a part of this one's text.
    fn child(&self, raw: &RawValue) -> Value {
        let start = raw.get().as_ptr().addr() - self.event.as_ptr().addr();
        value(&self.event, start..start + raw.get().len())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("bytes", &self.span.len()).finish()
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.raw().starts_with('[') { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.content() {
            Content::List(items) => items.get(key.as_usize()?).cloned(),
            Content::Table(members) => members.get(key.as_str()?).cloned(),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.content() {
            Content::List(_) => None,
            Content::Table(members) => members.get(key).cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.content() {
            Content::List(items) => Enumerator::Seq(items.len()),
            Content::Table(members) => Enumerator::Values(members.keys().map(|name| Value::from(&**name)).collect()),
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(match self.content() {
            Content::List(items) => items.len(),
            Content::Table(members) => members.len(),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

/// A string, whatever it holds.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, text: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Text(String::from_utf8_lossy(text)))
            }

            fn visit_bytes<E>(self, text: &[u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(String::from_utf8_lossy(text).into_owned())))
            }
        }

        // As a string it would have to be one of whole characters.
        deserializer.deserialize_bytes(Written)
    }
}

#[derive(Default)]
struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> Visitor<'de> for Table {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Table)
    }
}
