//! Builds slices from texts and applications' events.

use std::sync::Arc;

use super::attributes::{self, Attributes};
use super::block::{Block, Entry};
use super::writing;
use super::{DEFAULT_MAX_EVENT_BYTES, Envelope, EnvelopeError, Slice};
use crate::event::Event;
use crate::id::TenantId;

/// Text that one block may hold before it takes no more: offsets in it are 32 bits wide.
const MAX_SLICE_BYTES: usize = 1 << 31;

/// Longest event that any setting allows: twice as much, its decoded attributes counted, still fits in
/// behind a full slice.
const MAX_EVENT_BYTES: usize = 1 << 29;

/// Room is made in steps of this many bytes: blocks that come and go in a few sizes find their place in memory again.
const PAGE: usize = 4 << 10;

/// Builds a [`Slice`]: events that are published together.
///
/// ```
/// use hooks_core::SliceBuilder;
///
/// let mut slice = SliceBuilder::new("/my/service");
/// for line in [r#"{"type":"a"}"#, r#"{"type":"b"}"#] {
///     slice.push_json(line.as_bytes())?;
/// }
/// let slice = slice.finish();
/// assert_eq!(slice[1].event_type(), "b");
/// assert_eq!(slice[1].source(), "/my/service");
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
#[derive(Debug)]
pub struct SliceBuilder {
    block: Block,
    /// Their memory serves one slice after the other.
    entries: Vec<Entry>,
    found: Attributes,
    source: Arc<str>,
    tenant: Option<TenantId>,
    max_event_bytes: usize,
    refuses_reserved: bool,
}

impl SliceBuilder {
    /// A builder that fills in `source` where an event names none.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self {
            block: Block::default(),
            entries: Vec::new(),
            found: Attributes::default(),
            source: source.into(),
            tenant: None,
            max_event_bytes: DEFAULT_MAX_EVENT_BYTES,
            refuses_reserved: false,
        }
    }

    /// Takes events of at most this many bytes of JSON; 1 MiB where not set. Values above 512 MiB count as 512 MiB.
    #[must_use]
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// Refuses events with a reserved type, as every bus does.
    #[must_use]
    pub fn refuse_reserved(mut self) -> Self {
        self.refuses_reserved = true;
        self
    }

    /// Takes events of this tenant alone: the extension attribute `tenant` is filled in where it is missing or null.
    ///
    /// ```
    /// use hooks_core::{SliceBuilder, TenantId};
    ///
    /// let mut slice = SliceBuilder::new("/my/service").tenant(TenantId::new("acme")?);
    /// slice.push_json(br#"{"type":"a"}"#)?;
    /// assert!(slice.push_json(br#"{"type":"a","tenant":"other"}"#).is_err());
    /// assert!(slice.finish()[0].json().contains(r#""tenant":"acme""#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Option<TenantId>>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Reserves memory for this many further bytes of JSON.
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
    pub(super) fn push_first(&mut self, text: &str) -> Result<usize, EnvelopeError> {
        let length = attributes::read_first(text, &mut self.found)?;
        self.fits(length)?;
        self.take(&text[..length]).map(|()| length)
    }

    fn fits(&self, bytes: usize) -> Result<(), EnvelopeError> {
        let limit = self.max_event_bytes.min(MAX_EVENT_BYTES);
        if bytes > limit {
            return Err(EnvelopeError::TooLarge { bytes, limit });
        }
        self.has_room()
    }

    fn has_room(&self) -> Result<(), EnvelopeError> {
        if self.block.text.len() > MAX_SLICE_BYTES { Err(EnvelopeError::SliceFull) } else { Ok(()) }
    }

    /// Takes the event whose members were found.
    fn take(&mut self, text: &str) -> Result<(), EnvelopeError> {
        let has_id = self.found.has_id();
        if self.refuses_reserved {
            self.found.refuse_reserved(text)?;
        }
        let tenant = match &self.tenant {
            Some(tenant) => self.found.lacks_tenant(text, tenant)?.then_some(tenant),
            None => None,
        };
        let entry = if tenant.is_none() && self.found.is_complete() {
            self.block.append(text, &self.found)
        } else {
            let filled = self.found.fill(text, &self.source, tenant);
            attributes::read(&filled, &mut self.found)?;
            self.block.append(&filled, &self.found)
        };
        self.block.has_chosen_ids |= has_id;
        self.entries.push(entry);
        Ok(())
    }

    /// Encodes an application's event and takes it.
    ///
    /// # Errors
    /// When the data does not encode, an attribute is not legal, or the result is too large; the
    /// builder is then as it was.
    pub fn push_event(&mut self, event: &dyn Event) -> Result<(), EnvelopeError> {
        let json = writing::encode(event, &self.source)?;
        let had_chosen_ids = self.block.has_chosen_ids;
        self.push_json(json.as_bytes())?;
        self.block.has_chosen_ids = had_chosen_ids || event.id().is_some();
        Ok(())
    }

    /// Takes an event that was taken before, as a copy: nothing of it is checked again.
    ///
    /// # Errors
    /// When the slice is full.
    pub fn push_envelope(&mut self, event: &Envelope) -> Result<(), EnvelopeError> {
        self.has_room()?;
        self.entries.push(self.block.copy(&event.block, &event.entry));
        Ok(())
    }

    /// Number of events taken so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if no event was taken yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory that the text of the events taken so far fills.
    pub fn bytes(&self) -> usize {
        self.block.text.len()
    }

    /// The events, in the order they were pushed. The builder is empty afterwards and can go on.
    #[must_use]
    pub fn finish(&mut self) -> Slice {
        let block = self.take_block();
        Slice::of_block(self.entries.drain(..).map(|entry| Envelope { block: block.clone(), entry }))
    }

    /// The event that was pushed last.
    pub(super) fn one(mut self) -> Result<Envelope, EnvelopeError> {
        let entry = self.entries.pop().ok_or(EnvelopeError::Missing("type"))?;
        Ok(Envelope { block: self.take_block(), entry })
    }

    /// Marks the events as made by a dispatcher.
    pub(super) fn of_dispatcher(mut self) -> Self {
        self.block.own = true;
        self
    }

    fn take_block(&mut self) -> Arc<Block> {
        let mut block = std::mem::take(&mut self.block);
        block.shrink();
        Arc::new(block)
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

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = r#""specversion":"1.0","id":"1","source":"s","time":"2026-11-23T10:00:00Z","type":"t""#;

    fn pushed(members: &str) -> Result<String, EnvelopeError> {
        let mut slice = SliceBuilder::new("/s").tenant(TenantId::new("acme").unwrap());
        slice.push_json(format!("{{{members}}}").as_bytes())?;
        Ok(slice.finish()[0].json().to_owned())
    }

    #[test]
    fn a_tenant_is_filled_in_where_it_is_missing_and_kept_where_it_is_right() {
        let filled = format!(r#"{{"tenant":"acme",{COMPLETE}}}"#);
        assert_eq!(pushed(COMPLETE).unwrap(), filled);
        assert_eq!(pushed(&format!(r#""tenant":null,{COMPLETE}"#)).unwrap(), filled);
        for right in [r#""acme""#, r#""\u0061cme""#] {
            let event = format!(r#"{COMPLETE},"data":{{"tenant":"x"}},"tenant":{right}"#);
            assert_eq!(pushed(&event).unwrap(), format!("{{{event}}}"));
        }
        let all = pushed(r#""type":"t""#).unwrap();
        assert!(all.contains(r#""tenant":"acme""#) && all.contains(r#""source":"/s""#), "{all}");
        assert!(matches!(pushed(r#""type":"t","tenant":"acme","tenant":"acme""#), Err(EnvelopeError::Duplicate(_))));
    }

    #[test]
    fn another_tenant_is_refused() {
        for other in [r#""other""#, r#""Acme""#, r#""""#, "7", "true", r#""acme ""#] {
            let error = pushed(&format!(r#"{COMPLETE},"tenant":{other}"#)).unwrap_err();
            assert!(matches!(&error, EnvelopeError::OtherTenant { found, .. } if found == other), "{error}");
        }
    }
}
