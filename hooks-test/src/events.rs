//! Events that are named by numbers.

use std::fmt::Display;
use std::ops::Range;

use hooks_core::{Envelope, Slice, SliceBuilder, bus::Delivery};

/// An event of this type whose data is this JSON.
pub fn json(id: impl Display, event_type: &str, data: impl Display) -> String {
    text(id, event_type, "", data)
}

/// `more`: further attributes, each after a comma.
fn text(id: impl Display, event_type: &str, more: &str, data: impl Display) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/test","type":"{event_type}","time":"2026-11-23T10:00:00Z"{more},"data":{data}}}"#
    )
}

/// An event with this id, of the type `test.event`.
pub fn event(id: &str) -> Envelope {
    typed(id, "test.event", None)
}

/// An event of this type, with this subject.
pub fn typed(id: &str, event_type: &str, subject: Option<&str>) -> Envelope {
    let subject = subject.map_or(String::new(), |subject| format!(r#","subject":"{subject}""#));
    Envelope::from_json(text(id, event_type, &subject, "{}").as_bytes()).unwrap()
}

/// An event whose data is a text of this length.
pub fn padded(id: impl Display, length: usize) -> Envelope {
    Envelope::from_json(json(id, "test.event", text_of(length)).as_bytes()).unwrap()
}

/// Events named by their numbers, of the type `test.event`.
pub fn events(range: Range<usize>) -> Slice {
    events_of(range, "test.event")
}

/// Events named by their numbers, of this type.
pub fn events_of(range: Range<usize>, event_type: &str) -> Slice {
    slice(range.map(|number| json(number, event_type, "{}")))
}

/// Events named by their numbers, of the types `test.0`, `test.1` and `test.2` in turn, whose data are texts of such
/// lengths.
pub fn thirds(numbers: impl IntoIterator<Item = usize>, length: impl Fn(usize) -> usize) -> Slice {
    let third = |number: usize| json(number, &format!("test.{}", number % 3), text_of(length(number)));
    slice(numbers.into_iter().map(third))
}

fn text_of(length: usize) -> String {
    format!(r#""{}""#, "x".repeat(length))
}

fn slice(texts: impl Iterator<Item = String>) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    texts.for_each(|text| slice.push_json(text.as_bytes()).unwrap());
    slice.finish()
}

/// Events that were made apart, to be published together.
pub fn together(events: &[Envelope]) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    events.iter().for_each(|event| slice.push_envelope(event).unwrap());
    slice.finish()
}

/// The ids of numbered events.
pub fn ids(range: Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// The numbers of events that were read.
pub fn numbers<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Vec<usize> {
    deliveries.into_iter().map(|delivery| delivery.envelope().id().parse().unwrap()).collect()
}
