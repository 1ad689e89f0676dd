//! From a request body to events: all of them, or everything that is wrong with it.

use hooks_core::{
    EnvelopeError, Slice, SliceBuilder, TenantId,
    envelope::{ArrayElements, PushedElement},
    foreign,
};

use super::format::{BATCH, Format};
use super::wording::without_place;
use crate::Settings;
use crate::http::answer::Fault;

/// Faults that are said one by one; the others are counted.
const SAID: usize = 20;

/// So many bytes are read before other tasks have their turn.
const STRETCH: usize = 64 << 10;

/// The reason why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// These faults, and this many more.
    Faults(Vec<Fault>, u64),
    /// More events than a request may have.
    TooMany(usize),
    /// Events of another tenant: these faults, and this many more.
    OtherTenant(Vec<Fault>, u64),
    /// It is no text in UTF-8: what it seems to be.
    Foreign(&'static str),
}

/// Checks a body as a whole. Other tasks get their turn in between.
pub(super) async fn decode(
    body: &[u8],
    format: Format,
    settings: &Settings,
    tenant: Option<&TenantId>,
) -> Result<Slice, Refused> {
    if let Some(what) = foreign::seems(body) {
        return Err(Refused::Foreign(what));
    }
    let format = format.resolve(body);
    let mut collector = Collector::new(body, format, settings, tenant);
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
    settings: &'a Settings,
    slice: SliceBuilder,
    faults: Vec<Unplaced>,
    more: u64,
    /// Whether an event is another tenant's.
    is_other_tenant: bool,
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
    fn new(body: &'a [u8], format: Format, settings: &'a Settings, tenant: Option<&TenantId>) -> Self {
        let mut slice = settings.slice(tenant);
        slice.reserve(body.len());
        Self { body, format, settings, slice, faults: Vec::new(), more: 0, is_other_tenant: false, rested: 0 }
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
            if let Err(error) = result {
                self.fault(Some(index), element.offset, &error);
            }
            self.rest(element.offset + element.json.len()).await;
        }
        Ok(())
    }

    /// Elements that are no events count too: a body of nothing else costs no more than one of events.
    fn is_full(&self) -> bool {
        self.slice.len() + self.faults.len() + self.more as usize == self.settings.ingest.max_events.get()
    }

    /// The elements behind as many events as a request may have.
    fn one_more(&mut self, index: usize, element: Result<(), EnvelopeError>) -> Result<(), Refused> {
        match element {
            Ok(()) => Err(Refused::TooMany(self.settings.ingest.max_events.get())),
            Err(error) => {
                self.fault(Some(index), 0, &error);
                Ok(())
            }
        }
    }

    async fn lines(&mut self) -> Result<(), Refused> {
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', self.body).chain([self.body.len()]) {
            let line = &self.body[begin..end];
            let text = line.strip_suffix(b"\r").unwrap_or(line);
            if !text.iter().all(|byte| b" \t".contains(byte)) {
                self.take(begin, text)?;
            }
            begin = end + 1;
            self.rest(begin).await;
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
            return Err(Refused::TooMany(self.settings.ingest.max_events.get()));
        }
        // Spaces around an event are no part of it.
        let offset = offset + json.len() - json.trim_ascii_start().len();
        if let Err(error) = self.slice.push_json(json.trim_ascii()) {
            let number = self.slice.len() + self.faults.len() + self.more as usize;
            let index = matches!(error, EnvelopeError::OtherTenant { .. }).then_some(number);
            self.fault(index, offset, &error);
        }
        Ok(())
    }

    fn fault(&mut self, index: Option<usize>, offset: usize, error: &EnvelopeError) {
        let format = self.format;
        self.is_other_tenant |= matches!(error, EnvelopeError::OtherTenant { .. });
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

    fn finish(mut self) -> Result<Slice, Refused> {
        if self.faults.is_empty() {
            Ok(self.slice.finish())
        } else if self.is_other_tenant {
            Err(Refused::OtherTenant(placed(self.faults, self.body), self.more))
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

/// The offset of the fault in the event's text, in bytes, and the fault without a place: the answer has its own.
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

#[cfg(test)]
mod tests;
