//! Events as lines of JSON: from chunks of bytes to slices. Does no I/O.

mod lines;

use std::sync::Arc;

use hooks_core::{Envelope, EnvelopeError, Slice, SliceBuilder, foreign};
use memchr::memchr;

use lines::{BLANKS, Line, Lines};

/// Events share blocks of memory of about this size: larger ones are handed over less often, and hold more memory
/// for one slow hook. Below what the allocator [keeps](crate::malloc), they come back warm.
pub(crate) const BLOCK: usize = 240 << 10;

/// Malformed lines that are said one by one; the others are counted.
pub(crate) const SAID: usize = 100;

/// Takes chunks as they are read, however they are cut, and gives events and what is wrong with lines.
///
/// Holds at most one chunk's events and one unfinished line, and says what is wrong with the first malformed lines
/// only: input that is something else altogether has as many as one likes.
///
/// ```
/// use hooks_cli::ndjson::Intake;
///
/// let mut intake = Intake::new("/my/service", 1 << 20);
/// intake.push(b"{\"type\":\"a\"}\nnot JSON\n{\"ty");
/// intake.push(b"pe\":\"b\"}");
/// intake.finish();
/// let taken = intake.take();
/// assert_eq!(taken.events().map(|event| event.event_type()).collect::<Vec<_>>(), ["a", "b"]);
/// assert_eq!((taken.lines, taken.malformed[0].line), (vec![1, 3], 2));
/// ```
#[derive(Debug)]
pub struct Intake {
    lines: Lines,
    taker: Taker,
    /// The first bytes of all.
    beginning: Vec<u8>,
}

/// The events and faults of the chunks since the last time.
#[derive(Debug)]
pub struct Taken {
    /// Events in the order of the lines; none is empty.
    pub slices: Vec<Slice>,
    /// The line of each event, counted from 1, blank lines too.
    pub lines: Vec<u64>,
    /// The malformed lines, in their order.
    pub malformed: Vec<Malformed>,
    /// The number of further malformed lines, whose faults are not said.
    pub more: u64,
    /// Lines that have ended so far, also those of earlier calls.
    pub read: u64,
}

impl Taken {
    /// All events.
    pub fn events(&self) -> impl Iterator<Item = &Envelope> {
        self.slices.iter().flat_map(|slice| slice.iter())
    }
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Counted from 1, blank lines too.
    pub line: u64,
    /// The fault of the line.
    pub reason: String,
}

impl Intake {
    /// `source` is filled in where an event names none; longer events than `max_bytes` are refused.
    pub fn new(source: impl Into<Arc<str>>, max_bytes: usize) -> Self {
        let slice = SliceBuilder::new(source).max_event_bytes(max_bytes).refuse_reserved();
        let taker = Taker {
            slice,
            slices: Vec::new(),
            expected: 0,
            lines: Vec::new(),
            refused: Vec::new(),
            more: 0,
            said: 0,
            no_text: 0,
            max_bytes,
        };
        Self { lines: Lines::new(max_bytes), taker, beginning: Vec::new() }
    }

    /// The apparent format of the input, and what to do about it, where it is no UTF-8 and nothing in it can be an
    /// event.
    pub fn foreign(&self) -> Option<&'static str> {
        foreign::seems(&self.beginning)
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        let missing = foreign::ENOUGH - self.beginning.len();
        self.beginning.extend_from_slice(&chunk[..chunk.len().min(missing)]);
        let taker = &mut self.taker;
        taker.expected = self.lines.begun.len() + chunk.len();
        self.lines.push(chunk, &mut |number, line| taker.line(number, line));
    }

    /// The input has ended: what stands behind the last line end is a line.
    pub fn finish(&mut self) {
        let taker = &mut self.taker;
        self.lines.finish(&mut |number, line| taker.line(number, line));
    }

    /// The events and faults of whole lines since the last call.
    pub fn take(&mut self) -> Taken {
        self.taker.take(self.lines.ended)
    }
}

#[derive(Debug)]
struct Taker {
    slice: SliceBuilder,
    /// Those that are full.
    slices: Vec<Slice>,
    /// Bytes that are about to come.
    expected: usize,
    /// The line of each event.
    lines: Vec<u64>,
    /// Since the last call, and no more than may be said.
    refused: Vec<Refused>,
    /// Malformed lines beyond these.
    more: u64,
    /// Malformed lines of which was said what is wrong, and how many of these were no text.
    said: usize,
    no_text: usize,
    max_bytes: usize,
}

/// A malformed line, and whether it looks like no text at all.
#[derive(Debug)]
struct Refused {
    malformed: Malformed,
    no_text: bool,
}

impl Taker {
    fn line(&mut self, number: u64, line: Line<'_>) {
        let (text, pushed) = match line {
            Line::Whole(text) if text.iter().all(|byte| BLANKS.contains(byte)) => return,
            Line::Whole(text) => {
                self.make_room(text.len());
                (text, self.slice.push_json(text))
            }
            Line::TooLong(bytes) => (&[][..], Err(EnvelopeError::TooLarge { bytes, limit: self.max_bytes })),
        };
        match pushed {
            Ok(()) => self.lines.push(number),
            Err(EnvelopeError::NotJson { .. }) if text.trim_ascii() == b"{" => self.refuse(number, false, || {
                "`{` alone: an event stands on one line, and `jq -c .` writes it so".to_owned()
            }),
            Err(error) => {
                let no_text = match error {
                    EnvelopeError::NotUtf8 { .. } => true,
                    EnvelopeError::NotJson { .. } => memchr(0, text).is_some(),
                    _ => false,
                };
                self.refuse(number, no_text, || error.to_string());
            }
        }
    }

    /// Notes what is wrong with a line, where it may be among those of which that is said.
    fn refuse(&mut self, line: u64, no_text: bool, reason: impl FnOnce() -> String) {
        if self.refused.len() == SAID {
            self.more += 1;
        } else {
            self.refused.push(Refused { malformed: Malformed { line, reason: reason() }, no_text });
        }
    }

    /// Makes room for a line of this length: in another block when this one is full.
    fn make_room(&mut self, length: usize) {
        if self.slice.bytes() + length > BLOCK {
            self.end_slice();
        }
        if self.slice.is_empty() {
            self.slice.reserve(self.expected.min(BLOCK));
        }
        self.expected = self.expected.saturating_sub(length);
    }

    fn end_slice(&mut self) {
        if !self.slice.is_empty() {
            self.slices.push(self.slice.finish());
        }
    }

    fn take(&mut self, read: u64) -> Taken {
        let usual = Vec::with_capacity(self.lines.len());
        let lines = std::mem::replace(&mut self.lines, usual);
        self.end_slice();
        let slices = std::mem::take(&mut self.slices);
        let malformed = self.malformed();
        Taken { slices, lines, malformed, more: std::mem::take(&mut self.more), read }
    }

    /// The first of what was refused, and at the last that is said, that it is the last.
    fn malformed(&mut self) -> Vec<Malformed> {
        let room = SAID - self.said;
        self.more += self.refused.len().saturating_sub(room) as u64;
        self.refused.truncate(room);
        self.said += self.refused.len();
        self.no_text += self.refused.iter().filter(|refused| refused.no_text).count();
        let mut malformed: Vec<_> = self.refused.drain(..).map(|refused| refused.malformed).collect();
        if let (SAID, Some(Malformed { reason, .. })) = (self.said, malformed.last_mut()) {
            reason.push_str("; further malformed lines are only counted");
            if self.no_text > SAID / 2 {
                reason.push_str(". The input seems to be no text: events are lines of JSON in UTF-8");
            }
        }
        malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]], max_bytes: usize) -> (Vec<String>, Vec<(u64, String)>) {
        let mut intake = Intake::new("s", max_bytes);
        let (mut events, mut malformed) = (Vec::new(), Vec::new());
        let mut take = |taken: Taken| {
            events.extend(taken.events().map(|event| event.event_type().to_owned()));
            malformed.extend(taken.malformed.into_iter().map(|malformed| (malformed.line, malformed.reason)));
        };
        for chunk in chunks {
            intake.push(chunk);
            take(intake.take());
        }
        intake.finish();
        take(intake.take());
        (events, malformed)
    }

    #[test]
    fn line_ends_and_blank_lines() {
        let (events, malformed) = read(&[b"\n\r\n{\"type\":\"a\"}\r\n  \t\n{\"type\":\"b\"}\n\n{\"type\":\"c\"}"], 100);
        assert_eq!(events, ["a", "b", "c"]);
        assert_eq!(malformed, []);
    }

    #[test]
    fn an_event_may_be_as_long_as_the_limit_and_no_longer() {
        let event = br#"{"type":"a"}"#;
        for end in ["", "\n", "\r\n"] {
            let text = [event, end.as_bytes()].concat();
            for cut in 0..=text.len() {
                assert_eq!(read(&[&text[..cut], &text[cut..]], event.len()).0, ["a"], "{end:?} {cut}");
                let (events, malformed) = read(&[&text[..cut], &text[cut..]], event.len() - 1);
                assert_eq!(events, [""; 0]);
                assert!(malformed[0].1.starts_with("12 bytes long, more than the limit of 11"), "{malformed:?}");
            }
        }
    }

    #[test]
    fn blanks_alone_are_no_line_however_long() {
        let text = b"    \r\n \t \t\n   x\n";
        for cut in 0..=text.len() {
            let malformed = read(&[&text[..cut], &text[cut..]], 1).1;
            assert!(malformed.len() == 1 && malformed[0].0 == 3, "{cut}: {malformed:?}");
        }
    }

    #[test]
    fn an_endless_line_is_skipped_without_being_kept() {
        let mut intake = Intake::new("s", 1_000);
        for _ in 0..10_000 {
            intake.push(&[b'x'; 100]);
            assert!(intake.lines.begun.capacity() < 4_096);
        }
        intake.push(b"\n{\"type\":\"a\"}\n");
        let taken = intake.take();
        assert_eq!(taken.events().count(), 1);
        assert!(taken.malformed[0].reason.starts_with("1000000 bytes long"), "{:?}", taken.malformed);
    }

    #[test]
    fn the_dispatchers_own_types_are_refused() {
        let text = b"{\"type\":\"a\"}\n{\"type\":\"hooks.endpoint.disabled\"}\n[]\n{\"type\":\"hooksx\"}\n";
        let (events, malformed) = read(&[text], 100);
        assert_eq!(events, ["a", "hooksx"]);
        assert_eq!(
            malformed[0],
            (2, "type `hooks.endpoint.disabled`: types that begin with `hooks.` are the dispatcher's own".to_owned())
        );
        assert_eq!(malformed[1].0, 3);
    }

    #[test]
    fn the_first_malformed_lines_are_said_and_the_others_counted() {
        let text = b"x\n\xff\n{\"type\":\"hooks.x\"}\n{}\n{\"type\":\"a\"}\n".repeat(1_000);
        let read = |length: usize| {
            let mut intake = Intake::new("s", 100);
            let (mut events, mut said, mut more) = (0, Vec::new(), 0);
            for chunk in text.chunks(length) {
                intake.push(chunk);
                let taken = intake.take();
                events += taken.events().count();
                said.extend(taken.malformed);
                more += taken.more;
            }
            (events, said, more)
        };
        let (events, said, more) = read(999);
        assert_eq!((events, said.len(), more), (1_000, 100, 3_900));
        for length in [7, 100, 4_000, text.len()] {
            assert_eq!(read(length), (events, said.clone(), more), "however it is cut: {length}");
        }
        assert!(said.is_sorted_by_key(|malformed| malformed.line));
        let marked: Vec<_> = said.iter().filter(|malformed| malformed.reason.contains("only counted")).collect();
        assert_eq!(marked.len(), 1);
        assert!(!marked[0].reason.contains("no text"), "{}", marked[0].reason);
    }

    #[test]
    fn input_that_is_no_text_is_told_as_such() {
        for line in [&b"\x80\x81\n"[..], b"a\0b\n"] {
            let (_, malformed) = read(&[&line.repeat(200)], 100);
            let (line, reason) = malformed.last().unwrap();
            assert!(*line == 100 && reason.ends_with("no text: events are lines of JSON in UTF-8"), "{reason}");
        }
    }

    #[test]
    fn an_event_on_several_lines_is_told_how_to_become_one() {
        let (_, malformed) = read(&[b"{\n  \"type\": \"a\"\n}\n"], 100);
        assert_eq!(malformed.len(), 3);
        assert!(malformed[0].1.ends_with("an event stands on one line, and `jq -c .` writes it so"), "{malformed:?}");
    }

    /// However it is cut.
    #[test]
    fn what_begins_like_something_else_is_recognised() {
        let utf_16: Vec<u8> = "{\"type\":\"a\"}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut intake = Intake::new("s", 100);
        for byte in &utf_16 {
            intake.push(&[*byte]);
        }
        assert!(intake.foreign().is_some_and(|what| what.starts_with("UTF-16 text")));
    }

    proptest! {
        /// However the input is cut into chunks, the same comes out.
        #[test]
        fn chunks_do_not_matter(
            text in prop::collection::vec(prop::sample::select(b"\n\r x{}".to_vec()), 0..80),
            lines in prop::collection::vec(prop::sample::select(vec!["{\"type\":\"a\"}\n", "{\"type\":\"b\"}\r\n", "\n", "x\n"]), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            max_bytes in 1usize..20,
        ) {
            let text = [lines.concat().as_bytes(), &text].concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&chunks, max_bytes), read(&[&text], max_bytes));
        }

        #[test]
        fn any_bytes_get_an_answer(text: Vec<u8>) {
            let _ = read(&[&text], 50);
        }
    }
}
