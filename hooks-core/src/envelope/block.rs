//! Blocks: the text that events published together share.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Weak;

use parking_lot::Mutex;

use super::attributes::{self, Attributes, DATA, ID, SOURCE, SUBJECT, TYPE};
use super::reserved::is_reserved;

/// The text of many events, and the places of their parts. Offsets are 32 bits wide:
/// `MAX_SLICE_BYTES` of the builder keeps them true.
#[derive(Default)]
pub(super) struct Block {
    /// Events one after the other, each with a line feed; behind it, the plain form of attributes that hold
    /// escapes.
    pub(super) text: String,
    /// True if `text` holds more than events.
    pub(super) has_decoded: bool,
    /// True if one of the types is reserved.
    pub(super) has_reserved: bool,
    /// True if the publisher chose the id of one of them.
    pub(super) has_chosen_ids: bool,
    /// True if a dispatcher made the events.
    pub(super) own: bool,
    pub(super) extensions: Vec<Extension>,
    pub(super) guard: Mutex<Option<Weak<dyn Any + Send + Sync>>>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

impl Block {
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.extensions.capacity() * size_of::<Extension>()
    }

    /// Frees unused memory, if it is worth it.
    pub(super) fn shrink(&mut self) {
        shrink(self.text.len(), self.text.capacity(), |to| self.text.shrink_to(to));
        shrink(self.extensions.len(), self.extensions.capacity(), |to| self.extensions.shrink_to(to));
    }

    /// Takes an event whose members were found.
    pub(super) fn append(&mut self, text: &str, found: &Attributes) -> Entry {
        let base = self.text.len();
        self.text.reserve(text.len() + 1);
        if found.line_breaks {
            self.text.extend(text.chars().map(|char| if matches!(char, '\n' | '\r') { ' ' } else { char }));
        } else {
            self.text.push_str(text);
        }
        self.text.push('\n');
        let first_extension = self.extensions.len();
        self.extensions.extend(found.extensions.iter().map(|extension| Extension {
            name: Span::new(base, &extension.name),
            value: Span::new(base, &extension.value),
        }));
        let event_type = self.plain(base, found.value(TYPE));
        self.has_reserved |= is_reserved(&self.text[event_type.range()]);
        Entry {
            span: Span::new(base, &(0..text.len())),
            id: self.plain(base, found.value(ID)),
            source: self.plain(base, found.value(SOURCE)),
            event_type,
            subject: self.optional(base, found.get(SUBJECT)),
            partition_key: self.optional(base, found.partition_key.as_ref()),
            tenant: self.optional(base, found.tenant.as_ref()),
            data: self.optional(base, found.get(DATA)),
            extensions: Span::new(0, &(first_extension..self.extensions.len())),
        }
    }

    /// Takes an event of another block.
    pub(super) fn copy(&mut self, other: &Self, entry: &Entry) -> Entry {
        let (from, to) = (entry.span.start, entry.end());
        let base = self.text.len() as u32;
        self.text.push_str(&other.text[from as usize..to as usize]);
        self.has_decoded |= to > entry.span.end() + 1;
        self.has_reserved |= other.has_reserved;
        self.has_chosen_ids |= other.has_chosen_ids;
        let moved = |span: Span| Span { start: span.start - from + base, len: span.len };
        let first_extension = self.extensions.len();
        let extensions = &other.extensions[entry.extensions.range()];
        self.extensions
            .extend(extensions.iter().map(|known| Extension { name: moved(known.name), value: moved(known.value) }));
        Entry {
            span: moved(entry.span),
            id: moved(entry.id),
            source: moved(entry.source),
            event_type: moved(entry.event_type),
            subject: entry.subject.get().map(moved).into(),
            partition_key: entry.partition_key.get().map(moved).into(),
            tenant: entry.tenant.get().map(moved).into(),
            data: entry.data.get().map(moved).into(),
            extensions: Span::new(0, &(first_extension..self.extensions.len())),
        }
    }

    fn optional(&mut self, base: usize, value: Option<&attributes::Text>) -> OptionalSpan {
        value.map(|value| self.plain(base, value)).into()
    }

    /// The place of an attribute's plain text: in the event, or behind it when it holds escapes.
    fn plain(&mut self, base: usize, value: &attributes::Text) -> Span {
        match value {
            attributes::Text::Plain(span) => Span::new(base, span),
            attributes::Text::Decoded(text) => {
                let start = self.text.len();
                self.text.push_str(text);
                self.has_decoded = true;
                Span::new(start, &(0..text.len()))
            }
        }
    }
}

/// A little stays: memory that is cut to size leaves a hole that the next block does not fit into.
fn shrink(len: usize, capacity: usize, to: impl FnOnce(usize)) {
    if capacity - len > capacity / 4 {
        to(len);
    }
}

/// The places of an event and its attributes in a block.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) span: Span,
    pub(super) id: Span,
    pub(super) source: Span,
    pub(super) event_type: Span,
    pub(super) subject: OptionalSpan,
    pub(super) partition_key: OptionalSpan,
    pub(super) tenant: OptionalSpan,
    pub(super) data: OptionalSpan,
    pub(super) extensions: Span,
}

impl Entry {
    /// Behind its line feed, and behind its attributes that stand in plain form behind that.
    fn end(&self) -> u32 {
        let optional = [self.subject, self.partition_key, self.tenant].map(|span| span.0);
        let attributes = [self.id, self.source, self.event_type].into_iter().chain(optional);
        attributes.fold(self.span.end() + 1, |end, span| end.max(span.end()))
    }
}

#[derive(Debug)]
pub(super) struct Extension {
    pub(super) name: Span,
    pub(super) value: Span,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// The place of an attribute that an event may lack: then it starts at 0, where a brace stands. Smaller than an
/// `Option`, and every event has some.
#[derive(Debug, Clone, Copy)]
pub(super) struct OptionalSpan(Span);

impl OptionalSpan {
    pub(super) fn get(self) -> Option<Span> {
        (self.0.start > 0).then_some(self.0)
    }
}

impl From<Option<Span>> for OptionalSpan {
    fn from(span: Option<Span>) -> Self {
        Self(span.unwrap_or(Span { start: 0, len: 0 }))
    }
}

impl Span {
    fn new(base: usize, range: &Range<usize>) -> Self {
        Self { start: (base + range.start) as u32, len: range.len() as u32 }
    }

    pub(super) fn end(self) -> u32 {
        self.start + self.len
    }

    pub(super) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}
