//! From a request body to events: all of them, or everything that is wrong with it.

use std::sync::Arc;

use hooks_core::{ArrayElements, Envelope, EnvelopeError, PushedElement, SliceBuilder};
use serde::Serialize;

use super::format::{BATCH, Format};
use crate::foreign;

/// Faults that are said one by one; the others are counted.
const SAID: usize = 20;

/// So many bytes are read before other tasks have their turn.
const STRETCH: usize = 64 << 10;

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
    /// It is no text in UTF-8: what it seems to be.
    Foreign(&'static str),
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

/// Checks a body as a whole. Other tasks get their turn meanwhile.
pub(super) async fn decode(body: &[u8], format: Format, limits: &Limits) -> Result<Vec<Envelope>, Refused> {
    if let Some(what) = foreign::seems(body) {
        return Err(Refused::Foreign(what));
    }
    let format = format.resolve(body);
    let mut collector = Collector::new(body, format, limits);
    match format {
        Format::Batch if body.starts_with(b"\xEF\xBB\xBF") => collector.fault(None, 0, &EnvelopeError::ByteOrderMark),
        Format::Batch => collector.array().await?,
        Format::Lines => collector.lines().await?,
        Format::Single | Format::Json => collector.take(0, body)?,
    }
    collector.finish()
}

struct Collector<'a> {
    body: &'a [u8],
    format: Format,
    limits: &'a Limits,
    slice: SliceBuilder,
    /// Index and offset of each event taken.
    places: Vec<(Option<usize>, usize)>,
    faults: Vec<Unplaced>,
    more: u64,
    /// Up to where the body was read when others last had their turn.
    rested: usize,
}

/// A fault, and its offset in the body.
struct Unplaced {
    index: Option<usize>,
    offset: usize,
    reason: String,
}

impl<'a> Collector<'a> {
    fn new(body: &'a [u8], format: Format, limits: &'a Limits) -> Self {
        let mut slice = SliceBuilder::new(limits.source.clone()).max_event_bytes(limits.max_event_bytes);
        slice.reserve(body.len());
        Self { body, format, limits, slice, places: Vec::new(), faults: Vec::new(), more: 0, rested: 0 }
    }

    async fn array(&mut self) -> Result<(), Refused> {
        let mut elements = ArrayElements::new(self.body);
        for index in 0.. {
            if self.is_full() {
                return elements.next().map_or(Ok(()), |next| self.one_more(index, next.map(drop)));
            }
            let (element, result) = match elements.push_next(&mut self.slice) {
                None => break,
                Some(Ok(PushedElement { element, result })) => (element, result),
                Some(Err(error)) => {
                    self.fault(Some(index), 0, &error);
                    break;
                }
            };
            match result {
                Ok(()) => self.places.push((Some(index), element.offset)),
                Err(error) => self.fault(Some(index), element.offset, &error),
            }
            self.rest(element.offset + element.json.len()).await;
        }
        Ok(())
    }

    /// What is no event counts too: a body of nothing else costs no more than one of events.
    fn is_full(&self) -> bool {
        self.places.len() + self.faults.len() + self.more as usize == self.limits.max_events
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

    async fn lines(&mut self) -> Result<(), Refused> {
        let mut offset = 0;
        for line in self.body.split(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            if !text.iter().all(|byte| b" \t".contains(byte)) {
                self.take(offset, text)?;
            }
            offset += line.len() + 1;
            self.rest(offset).await;
        }
        Ok(())
    }

    /// Lets other tasks have their turn, when enough was read since they last had.
    async fn rest(&mut self, read: usize) {
        if read - self.rested >= STRETCH {
            self.rested = read;
            tokio::task::yield_now().await;
        }
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
        let format = self.format;
        self.note(index, || {
            let (within, reason) = parts(error, format);
            (offset + within, reason)
        });
    }

    /// Makes the words of a fault only where they will be said.
    fn note(&mut self, index: Option<usize>, say: impl FnOnce() -> (usize, String)) {
        if self.faults.len() == SAID {
            self.more += 1;
        } else {
            let (offset, reason) = say();
            self.faults.push(Unplaced { index, offset, reason });
        }
    }

    fn finish(mut self) -> Result<Vec<Envelope>, Refused> {
        let events = self.slice.finish();
        for (event, (index, offset)) in events.iter().zip(std::mem::take(&mut self.places)) {
            if event.is_reserved() {
                self.note(index, || (offset, crate::ndjson::reserved(event)));
            }
        }
        if self.faults.is_empty() {
            Ok(events)
        } else {
            Err(Refused::Faults(placed(self.faults, self.body), self.more))
        }
    }
}

/// The faults in the order of their places. Each part of the body is looked at once.
fn placed(mut faults: Vec<Unplaced>, body: &[u8]) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.offset);
    let (mut line, mut begin, mut at) = (1, 0, 0);
    let place = |Unplaced { index, offset, reason }| {
        let offset = offset.min(body.len());
        for end in memchr::memchr_iter(b'\n', &body[at..offset]) {
            (line, begin) = (line + 1, at + end + 1);
        }
        at = offset;
        Fault { index, line, column: offset - begin + 1, reason }
    };
    faults.into_iter().map(place).collect()
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

/// What is wrong, without the column.
pub(super) fn without_place(error: &EnvelopeError, column: usize) -> String {
    error.to_string().replace(&format!(" at column {column}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    fn limits() -> Limits {
        Limits { source: "/test".into(), max_event_bytes: 200, max_events: 30 }
    }

    fn read(body: &str, format: Format) -> Result<Vec<String>, Refused> {
        let body = body.as_bytes();
        let events = decode(body, format, &limits()).now_or_never().expect("others have no turn in a small body")?;
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
        /// Lines that are posted are what lines of a pipe are.
        #[test]
        fn posted_lines_are_those_of_a_pipe(
            lines in prop::collection::vec(prop::sample::select(vec![
                "{\"type\":\"a\"}", "{\"type\":\"b\",\"partitionkey\":7}\r", "", " \t", "{}", "x", "{\"type\":\"hooks.x\"}",
                "{\"type\":\"a\",\"id\":\"1\",\"id\":\"2\"}", "[", "\r", "{\"type\":\"\\u0000\"}", " {\"type\":\"c\"} ",
            ]), 0..15),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut body = lines.join("\n").into_bytes();
            if let (Some((at, byte)), false) = (damage, body.is_empty()) {
                let at = at.index(body.len());
                // What is no space in JSON is none of a line's either.
                body[at] = if byte == 0x0c { b'x' } else { byte };
            }
            prop_assume!(foreign::seems(&body).is_none());
            let mut intake = crate::ndjson::Intake::new("/test", limits().max_event_bytes);
            intake.push(&body);
            intake.finish();
            let piped = intake.take();
            match decode(&body, Format::Lines, &limits()).now_or_never().unwrap() {
                Ok(events) => {
                    prop_assert_eq!(piped.malformed, vec![]);
                    let types = |events: &[Envelope]| events.iter().map(|event| event.event_type().to_owned()).collect::<Vec<_>>();
                    prop_assert_eq!(types(&events), types(&piped.events));
                }
                Err(Refused::Faults(faults, 0)) => {
                    let lines = |lines: &mut dyn Iterator<Item = u64>| lines.collect::<Vec<_>>();
                    let malformed = lines(&mut piped.malformed.iter().map(|malformed| malformed.line));
                    prop_assert_eq!(lines(&mut faults.iter().map(|fault| fault.line as u64)), malformed);
                }
                Err(other) => panic!("{other:?}"),
            }
        }

        #[test]
        fn any_bytes_get_an_answer(body: Vec<u8>, format in prop::sample::select(vec![Format::Single, Format::Batch, Format::Lines, Format::Json])) {
            let _ = decode(&body, format, &limits()).now_or_never().unwrap();
        }
    }

    #[tokio::test]
    async fn others_have_their_turn_while_a_body_is_read() {
        let limits = Limits { max_event_bytes: 1 << 20, max_events: 1000, ..limits() };
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
                events = decode(body.as_bytes(), format, &limits) => events.unwrap(),
                () = other => Vec::new(),
            };
            assert_eq!((events.len(), turns), (40, 20), "{format:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_said_once() {
        let utf_16: Vec<u8> = "{\"type\":\"a\"}\n".repeat(100).encode_utf16().flat_map(u16::to_le_bytes).collect();
        for format in [Format::Single, Format::Batch, Format::Lines, Format::Json] {
            let refused = decode(&utf_16, format, &limits()).now_or_never().unwrap();
            let Err(Refused::Foreign(what)) = refused else { panic!("{refused:?}") };
            assert!(what.starts_with("UTF-16 text"), "{what}");
        }
    }
}
