//! An event encoded once, ready to route.

mod array;
mod attributes;
mod block;
mod builder;
mod error;
mod members;
mod metadata;
mod reserved;
mod scan;
mod slice;
mod time;
mod writing;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use array::{ArrayElement, ArrayElements, PushedElement};
pub use builder::SliceBuilder;
pub use error::EnvelopeError;
pub use metadata::{Metadata, MetadataError};
pub use slice::{BlockGuard, Slice};

pub(crate) use attributes::is_extension_name;
pub(crate) use metadata::no_extension;
pub(crate) use reserved::{is_reserved, shown_type};
pub(crate) use scan::{Fault, Kind, MAX_DEPTH, Member, scan_object};

use crate::event::Event;
use block::{Block, Entry, Span};
use members::Members;

/// Default limit of an event's length: 1 MiB.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 1 << 20;

/// The longest event of a dispatcher: one that tells of others has their bytes, too.
const MAX_OWN_BYTES: usize = 4 << 20;

/// An event encoded once as CloudEvents 1.0 JSON, shared by reference from then on.
///
/// Events made together by a [`SliceBuilder`] stand in one block of memory, as a [`Slice`]. An envelope that was
/// cloned keeps all of it.
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
    entry: Entry,
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
        let mut slice = SliceBuilder::new("hooks").max_event_bytes(MAX_OWN_BYTES);
        slice.push_event(event)?;
        slice.of_dispatcher().one()
    }

    /// The whole event as it was taken: one line of JSON, without the line end.
    pub fn json(&self) -> &str {
        &self.block.text[self.entry.span.range()]
    }

    /// The `id`.
    pub fn id(&self) -> &str {
        self.text(self.entry.id)
    }

    /// The `source`.
    pub fn source(&self) -> &str {
        self.text(self.entry.source)
    }

    /// The `type`.
    pub fn event_type(&self) -> &str {
        self.text(self.entry.event_type)
    }

    /// The `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.entry.subject.get().map(|span| self.text(span))
    }

    /// The `partitionkey` extension; of a number or boolean its text, so that `7` and `"7"` are the same key.
    pub fn partition_key(&self) -> Option<&str> {
        self.entry.partition_key.get().map(|span| self.text(span))
    }

    /// The `tenant` extension, which says whose event it is; of a number or boolean its text. A
    /// [`TenantId`](crate::TenantId) names the same tenant if its text is the same.
    pub fn tenant(&self) -> Option<&str> {
        self.entry.tenant.get().map(|span| self.text(span))
    }

    /// The raw JSON of `data`.
    pub fn data(&self) -> Option<&str> {
        self.entry.data.get().map(|span| self.text(span))
    }

    /// Name and raw JSON value of each member, in their order. Nothing is copied, and `data` is not looked into.
    ///
    /// ```
    /// let event = hooks_core::Envelope::from_json(br#"{"type":"a", "id":"1", "data":{"n": [1]}}"#)?;
    /// let members: Vec<_> = event.members().filter(|(name, _)| matches!(*name, "id" | "data")).collect();
    /// assert_eq!(members, [("id", "\"1\""), ("data", r#"{"n": [1]}"#)]);
    /// # Ok::<(), hooks_core::EnvelopeError>(())
    /// ```
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        let start = self.entry.span.start as usize;
        let data = self.entry.data.get().map(|span| span.range());
        Members::new(self.json(), data.map(|data| (data.start - start, data.end - start)))
    }

    /// Length of [`json`](Self::json) in bytes.
    #[allow(clippy::len_without_is_empty, reason = "an event is never empty")]
    pub fn len(&self) -> usize {
        self.entry.span.len as usize
    }

    /// Returns true if the type is reserved (`hooks.…`). Only hooks that name it literally receive it.
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.event_type())
    }

    /// Returns true if the next one of the slice stands right behind this one, only a line feed in between.
    fn is_before(&self, next: &Self) -> bool {
        self.entry.span.end() + 1 == next.entry.span.start
    }

    /// The JSON of this one and of all up to `last`, a line feed behind each. Each must stand
    /// [before](Self::is_before) the next.
    fn lines_to(&self, last: &Self) -> &str {
        &self.block.text[self.entry.span.range().start..last.entry.span.range().end + 1]
    }

    fn text(&self, span: Span) -> &str {
        &self.block.text[span.range()]
    }

    /// The text of an extension attribute; of a number or boolean the same for all that are equal. `None`: the event has no
    /// such attribute, or it is null.
    ///
    /// ```
    /// use hooks_core::Envelope;
    ///
    /// let event = Envelope::from_json(br#"{"type":"a","region":"eu\u002d1","attempt":7.0,"none":null}"#)?;
    /// assert_eq!(event.extension("region").as_deref(), Some("eu-1"));
    /// assert_eq!(event.extension("attempt").as_deref(), Some("7"));
    /// assert_eq!((event.extension("none"), event.extension("type")), (None, None));
    /// # Ok::<(), hooks_core::EnvelopeError>(())
    /// ```
    pub fn extension(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.extension_spans().find(|(known, _)| *known == name)?;
        attributes::text_of(&self.json()[value])
    }

    /// The names of the extension attributes.
    pub fn extensions(&self) -> impl Iterator<Item = &str> {
        self.extension_spans().map(|(name, _)| name)
    }

    /// Name and raw value of each extension attribute, as spans of [`json`](Self::json).
    fn extension_spans(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        let start = self.entry.span.start as usize;
        self.block.extensions[self.entry.extensions.range()].iter().map(move |extension| {
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
