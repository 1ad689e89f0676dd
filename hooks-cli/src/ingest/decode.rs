//! From a request body to events: all of them, or everything that is wrong with it.

use std::sync::Arc;

use hooks_core::{ArrayElements, Envelope, EnvelopeError, PushedElement, SliceBuilder};
use serde::Serialize;

use super::format::{BATCH, Format};

/// Faults that are said one by one; the others are counted.
const SAID: usize = 20;

/// What a request may be.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// The `source` of events that name none.
    pub(super) source: Arc<str>,
    pub(super) max_event_bytes: usize,
    pub(super) max_events: usize,
}

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// These faults, and this many more.
    Faults(Vec<Fault>, u64),
    /// More events than a request may have.
    TooMany(usize),
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// Which element of an array, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    /// Line of the body, from 1.
    pub(super) line: usize,
    /// Column of that line, in bytes from 1.
    pub(super) column: usize,
    pub(super) reason: String,
}

/// Checks a body as a whole.
pub(super) fn decode(body: &[u8], format: Format, limits: &Limits) -> Result<Vec<Envelope>, Refused> {
    let format = format.resolve(body);
    let mut collector = Collector::new(body, format, limits);
    match format {
        Format::Batch => collector.array()?,
        Format::Lines => collector.lines()?,
        Format::Single | Format::Json => collector.take(0, body)?,
    }
    collector.finish()
}

/// Takes one event whose text was made up from headers, so that places in it mean nothing.
pub(super) fn decode_made(json: &[u8], limits: &Limits) -> Result<Vec<Envelope>, Refused> {
    let at_begin = |mut fault: Fault| {
        (fault.line, fault.column) = (1, 1);
        fault
    };
    decode(json, Format::Single, limits).map_err(|refused| match refused {
        Refused::Faults(faults, more) => Refused::Faults(faults.into_iter().map(at_begin).collect(), more),
        other @ Refused::TooMany(_) => other,
    })
}

struct Collector<'a> {
    body: &'a [u8],
    format: Format,
    limits: &'a Limits,
    slice: SliceBuilder,
    /// Index and offset of each event taken.
    places: Vec<(Option<usize>, usize)>,
    faults: Vec<Fault>,
    more: u64,
}

impl<'a> Collector<'a> {
    fn new(body: &'a [u8], format: Format, limits: &'a Limits) -> Self {
        let mut slice = SliceBuilder::new(limits.source.clone()).max_event_bytes(limits.max_event_bytes);
        slice.reserve(body.len());
        Self { body, format, limits, slice, places: Vec::new(), faults: Vec::new(), more: 0 }
    }

    fn array(&mut self) -> Result<(), Refused> {
        let mut elements = ArrayElements::new(self.body);
        for index in 0.. {
            if self.is_full() {
                return elements.next().map_or(Ok(()), |next| self.one_more(index, next.map(drop)));
            }
            match elements.push_next(&mut self.slice) {
                None => break,
                Some(Ok(PushedElement { element, result: Ok(()) })) => self.places.push((Some(index), element.offset)),
                Some(Ok(PushedElement { element, result: Err(error) })) => {
                    self.fault(Some(index), element.offset, &error);
                }
                Some(Err(error)) => self.fault(Some(index), 0, &error),
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.places.len() == self.limits.max_events
    }

    /// What follows as many events as a request may have.
    fn one_more(&mut self, index: usize, element: Result<(), EnvelopeError>) -> Result<(), Refused> {
        match element {
            Ok(()) => Err(Refused::TooMany(self.limits.max_events)),
            Err(error) => {
                self.fault(Some(index), 0, &error);
                Ok(())
            }
        }
    }

    fn lines(&mut self) -> Result<(), Refused> {
        let mut offset = 0;
        for line in self.body.split(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            if !text.iter().all(|byte| b" \t".contains(byte)) {
                self.take(offset, text)?;
            }
            offset += line.len() + 1;
        }
        Ok(())
    }

    fn take(&mut self, offset: usize, json: &[u8]) -> Result<(), Refused> {
        if self.is_full() {
            return Err(Refused::TooMany(self.limits.max_events));
        }
        // Spaces around an event are no part of it.
        let offset = offset + json.len() - json.trim_ascii_start().len();
        match self.slice.push_json(json.trim_ascii()) {
            Ok(()) => self.places.push((None, offset)),
            Err(error) => self.fault(None, offset, &error),
        }
        Ok(())
    }

    fn fault(&mut self, index: Option<usize>, offset: usize, error: &EnvelopeError) {
        let (within, reason) = parts(error, self.format);
        self.note(index, offset + within, reason);
    }

    fn note(&mut self, index: Option<usize>, offset: usize, reason: String) {
        if self.faults.len() == SAID {
            self.more += 1;
            return;
        }
        let before = &self.body[..offset.min(self.body.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        self.faults.push(Fault { index, line, column, reason });
    }

    fn finish(mut self) -> Result<Vec<Envelope>, Refused> {
        let events = self.slice.finish();
        for (event, (index, offset)) in events.iter().zip(std::mem::take(&mut self.places)) {
            if event.is_reserved() {
                self.note(index, offset, crate::ndjson::reserved(event));
            }
        }
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        if self.faults.is_empty() { Ok(events) } else { Err(Refused::Faults(self.faults, self.more)) }
    }
}

/// Where in the event's text it is, in bytes, and what it is, without a place: the answer has its own.
fn parts(error: &EnvelopeError, format: Format) -> (usize, String) {
    match error {
        EnvelopeError::Array if format == Format::Batch => {
            (0, "an array, where an event is expected: a batch is one array, with no arrays in it".to_owned())
        }
        EnvelopeError::Array if format == Format::Single => {
            (0, format!("an array, where one event is expected: an array of events is sent as {BATCH}"))
        }
        EnvelopeError::NotJson { expected, column } => (column - 1, format!("not a JSON object: expected {expected}")),
        EnvelopeError::NotArray { expected, column } => (column - 1, format!("not a JSON array: expected {expected}")),
        EnvelopeError::TooDeep { column } => (column - 1, without_place(error, *column)),
        EnvelopeError::NotUtf8 { column, .. } => (column - 1, without_place(error, *column)),
        other => (0, other.to_string()),
    }
}

fn without_place(error: &EnvelopeError, column: usize) -> String {
    error.to_string().replace(&format!(" at column {column}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { source: "/test".into(), max_event_bytes: 200, max_events: 30 }
    }

    fn read(body: &str, format: Format) -> Result<Vec<String>, Refused> {
        let events = decode(body.as_bytes(), format, &limits())?;
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
        let body = "{}\n".repeat(50);
        let Err(Refused::Faults(faults, more)) = read(&body, Format::Lines) else { panic!("accepted") };
        assert_eq!((faults.len(), more, faults[19].line), (20, 30, 20));
    }

    #[test]
    fn more_events_than_allowed_are_refused() {
        let body = "{\"type\":\"a\"}\n".repeat(30);
        assert_eq!(read(&body, Format::Lines).unwrap().len(), 30);
        assert_eq!(read(&(body + "{}"), Format::Lines), Err(Refused::TooMany(30)));
    }
}
