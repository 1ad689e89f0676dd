//! An event encoded once, ready to route.

mod array;
mod attributes;
mod block;
mod error;
mod metadata;
mod scan;
mod time;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Weak};

pub use array::{ArrayElement, ArrayElements, PushedElement};
pub use error::EnvelopeError;
pub use metadata::{Metadata, MetadataError};

use crate::event::Event;
use attributes::Attributes;
use block::{Block, Entry, Span};

/// Longest event that is taken where nothing else is set: 1 MiB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 1 << 20;

/// Text that one block may hold before it takes no more: offsets in it are 32 bits wide.
const MAX_SLICE_BYTES: usize = 1 << 31;

/// Longest event that any setting allows: twice as much, its decoded attributes counted, still fits in
/// behind a full slice.
const MAX_EVENT_BYTES: usize = 1 << 29;

/// Room is made in steps of this many bytes,
const PAGE: usize = 4 << 10;

/// and of this many entries: blocks that come and go in a few sizes find their place in memory again.
const ENTRIES: usize = 64;

/// An event encoded once as CloudEvents 1.0 JSON, shared by reference from then on.
///
/// Cloning costs a reference count. Envelopes made together by a [`SliceBuilder`] share one block of
/// memory, which is freed when the last of them goes.
///
/// ```
/// use hooks_core::Envelope;
///
/// let envelope = Envelope::from_json(br#"{"id":"1","source":"/s","specversion":"1.0","type":"a.b","time":"2026-11-23T10:00:00Z","data":{"n": 1}}"#)?;
/// assert_eq!(envelope.event_type(), "a.b");
/// assert_eq!(envelope.data(), Some(r#"{"n": 1}"#));
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
#[derive(Clone)]
pub struct Envelope {
    block: Arc<Block>,
    index: u32,
    /// Kept here, too: everybody who counts bytes asks, and the block may be far away.
    len: u32,
}

impl Envelope {
    /// Checks and takes one event from its JSON text. See [`SliceBuilder::push_json`].
    ///
    /// # Errors
    /// When the text is no CloudEvent.
    pub fn from_json(json: &[u8]) -> Result<Self, EnvelopeError> {
        let mut slice = SliceBuilder::new("hooks");
        slice.push_json(json)?;
        slice.one()
    }

    /// Encodes an application's event. `source` stands in where the event names none.
    ///
    /// # Errors
    /// When the data does not encode, or an attribute is not legal.
    pub fn from_event(event: &dyn Event, source: &str) -> Result<Self, EnvelopeError> {
        let mut slice = SliceBuilder::new(source);
        slice.push_event(event)?;
        slice.one()
    }

    /// An event of the dispatcher itself, whose type is reserved.
    pub(crate) fn of_dispatcher(event: &dyn Event) -> Result<Self, EnvelopeError> {
        let mut slice = SliceBuilder::new("hooks");
        slice.push_event(event)?;
        slice.block.own = true;
        slice.one()
    }

    /// The whole event as it was taken: one line of JSON, without the line end.
    pub fn json(&self) -> &str {
        &self.block.text[self.entry().span.range()]
    }

    /// The `id`.
    pub fn id(&self) -> &str {
        self.text(self.entry().id)
    }

    /// The `source`.
    pub fn source(&self) -> &str {
        self.text(self.entry().source)
    }

    /// The `type`.
    pub fn event_type(&self) -> &str {
        self.text(self.entry().event_type)
    }

    /// The `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.entry().subject.map(|span| self.text(span))
    }

    /// The `partitionkey` extension; of a number or boolean its text, so that `7` and `"7"` are the same key.
    pub fn partition_key(&self) -> Option<&str> {
        self.entry().partition_key.map(|span| self.text(span))
    }

    /// The raw JSON of `data`.
    pub fn data(&self) -> Option<&str> {
        self.entry().data.map(|span| self.text(span))
    }

    /// Length of [`json`](Self::json) in bytes.
    #[allow(clippy::len_without_is_empty, reason = "an event is never empty")]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the type is the dispatcher's own (`hooks.…`), which only hooks that name it literally receive.
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.event_type())
    }

    /// Whether its type is the dispatcher's own although no dispatcher made it.
    pub(crate) fn is_forged(&self) -> bool {
        self.block.has_reserved && !self.block.own && self.is_reserved()
    }

    /// Bytes of memory of the block that this envelope shares with others.
    pub fn block_bytes(&self) -> usize {
        self.block.memory()
    }

    /// Whether both share one block of memory.
    pub fn shares_block(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.block, &other.block)
    }

    /// What a bus ties to the shared block, its claim on the memory bound, for as long as it holds any
    /// of the block's envelopes. `make` is called when there is none.
    pub fn guard_block(&self, make: impl FnOnce() -> BlockGuard) -> BlockGuard {
        let mut known = self.block.guard.lock();
        known.as_ref().and_then(Weak::upgrade).unwrap_or_else(|| {
            let guard = make();
            *known = Some(Arc::downgrade(&guard));
            guard
        })
    }

    /// Whether somebody holds a guard of the shared block.
    pub fn has_guard(&self) -> bool {
        self.block.guard.lock().as_ref().is_some_and(|guard| guard.strong_count() > 0)
    }

    /// Whether the other one stands in memory right behind this one, only a line feed in between.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.index + 1 == other.index && self.shares_block(other) && self.block.is_behind(other.index)
    }

    /// The JSON of this one and of all up to `last`, a line feed behind each. Each must stand
    /// [before](Self::is_before) the next.
    pub(crate) fn lines_to(&self, last: &Self) -> &str {
        &self.block.text[self.entry().span.range().start..last.entry().span.range().end + 1]
    }

    fn entry(&self) -> &Entry {
        &self.block.entries[self.index as usize]
    }

    fn text(&self, span: Span) -> &str {
        &self.block.text[span.range()]
    }

    /// Name and raw value of each extension attribute, as spans of [`json`](Self::json).
    fn extensions(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        let entry = self.entry();
        let start = entry.span.start as usize;
        self.block.extensions[entry.extensions.range()].iter().map(move |extension| {
            let value = extension.value.range();
            (self.text(extension.name), value.start - start..value.end - start)
        })
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("id", &self.id())
            .field("source", &self.source())
            .field("type", &self.event_type())
            .field("subject", &self.subject())
            .field("bytes", &self.len())
            .finish_non_exhaustive()
    }
}

/// Something that lives as long as a bus holds envelopes of a block. See [`Envelope::guard_block`].
pub type BlockGuard = Arc<dyn Any + Send + Sync>;

pub(crate) fn is_reserved(event_type: &str) -> bool {
    event_type.starts_with("hooks.")
}

/// Builds envelopes that share one block of memory: what one call publishes belongs into one slice.
///
/// ```
/// use hooks_core::SliceBuilder;
///
/// let mut slice = SliceBuilder::new("/my/service");
/// for line in [r#"{"type":"a"}"#, r#"{"type":"b"}"#] {
///     slice.push_json(line.as_bytes())?;
/// }
/// let events = slice.finish();
/// assert_eq!(events[1].event_type(), "b");
/// assert_eq!(events[1].source(), "/my/service");
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
#[derive(Debug)]
pub struct SliceBuilder {
    block: Block,
    found: Attributes,
    source: Arc<str>,
    max_event_bytes: usize,
    /// Events of the last slice: the next one is made as large at once.
    usual: usize,
}

impl SliceBuilder {
    /// `source` is filled in where an event names none.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self {
            block: Block::default(),
            found: Attributes::default(),
            source: source.into(),
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            usual: 0,
        }
    }

    /// Takes events of at most this many bytes of JSON; 1 MiB where not set. 512 MiB is the most.
    #[must_use]
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// Makes room for so many further bytes of JSON, for whoever knows about how many will come.
    pub fn reserve(&mut self, bytes: usize) {
        self.block.text.reserve(bytes.min(MAX_SLICE_BYTES).next_multiple_of(PAGE));
    }

    /// Checks one event's JSON text and takes it.
    ///
    /// A complete event is kept byte for byte, but for raw line breaks between tokens, which become
    /// spaces. Missing (or null) `id`, `source`, `specversion` and `time` are filled in.
    ///
    /// # Errors
    /// When the text is no CloudEvent; the builder is then as it was.
    pub fn push_json(&mut self, json: &[u8]) -> Result<(), EnvelopeError> {
        self.fits(json.len())?;
        let text = utf8(json)?;
        attributes::read(text, &mut self.found)?;
        self.take(text)
    }

    /// Like [`push_json`](Self::push_json), for the event that a text begins with. Returns its length in bytes.
    fn push_first(&mut self, text: &str) -> Result<usize, EnvelopeError> {
        let length = attributes::read_first(text, &mut self.found)?;
        self.fits(length)?;
        self.take(&text[..length]).map(|()| length)
    }

    fn fits(&self, bytes: usize) -> Result<(), EnvelopeError> {
        let limit = self.max_event_bytes.min(MAX_EVENT_BYTES);
        if bytes > limit {
            return Err(EnvelopeError::TooLarge { bytes, limit });
        }
        if self.block.text.len() > MAX_SLICE_BYTES { Err(EnvelopeError::SliceFull) } else { Ok(()) }
    }

    /// Takes the event whose members were found.
    fn take(&mut self, text: &str) -> Result<(), EnvelopeError> {
        if self.is_empty() {
            self.block.entries.reserve(self.usual.next_multiple_of(ENTRIES));
        }
        if self.found.is_complete() {
            self.block.append(text, &self.found);
        } else {
            let filled = self.found.fill(text, &self.source);
            attributes::read(&filled, &mut self.found)?;
            self.block.append(&filled, &self.found);
        }
        Ok(())
    }

    /// Encodes an application's event and takes it.
    ///
    /// # Errors
    /// When the data does not encode, an attribute is not legal, or the result is too large; the
    /// builder is then as it was.
    pub fn push_event(&mut self, event: &dyn Event) -> Result<(), EnvelopeError> {
        let json = attributes::encode(event, &self.source)?;
        self.push_json(json.as_bytes())
    }

    /// Number of events taken so far.
    pub fn len(&self) -> usize {
        self.block.entries.len()
    }

    /// Whether no event was taken yet.
    pub fn is_empty(&self) -> bool {
        self.block.entries.is_empty()
    }

    /// Bytes of memory that the text of the events taken so far fills.
    pub fn bytes(&self) -> usize {
        self.block.text.len()
    }

    /// The envelopes, in the order they were pushed. The builder is empty afterwards and can go on.
    #[must_use]
    pub fn finish(&mut self) -> Vec<Envelope> {
        let mut block = std::mem::take(&mut self.block);
        block.shrink();
        self.usual = block.entries.len();
        let block = Arc::new(block);
        let envelope = |(index, entry): (u32, &Entry)| Envelope { block: block.clone(), index, len: entry.span.len };
        (0..).zip(&block.entries).map(envelope).collect()
    }

    fn one(mut self) -> Result<Envelope, EnvelopeError> {
        self.finish().pop().ok_or(EnvelopeError::Missing("type"))
    }
}

fn utf8(json: &[u8]) -> Result<&str, EnvelopeError> {
    if json.starts_with(b"\xEF\xBB\xBF") {
        return Err(EnvelopeError::ByteOrderMark);
    }
    std::str::from_utf8(json).map_err(|error| {
        let at = error.valid_up_to();
        EnvelopeError::NotUtf8 { byte: json[at], column: at + 1 }
    })
}
