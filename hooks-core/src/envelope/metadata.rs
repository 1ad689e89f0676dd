use std::borrow::Cow;

use super::Envelope;
use super::attributes::{has_control, is_extension_name};
use super::writing::Edits;

/// Extension attributes that a hook adds to every event it delivers, or replaces in it.
///
/// ```
/// use hooks_core::{Envelope, Metadata};
///
/// let metadata = Metadata::new([("env", "prod".into())])?;
/// let event = Envelope::from_json(br#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-11-23T10:00:00Z","env":"test"}"#)?;
/// assert_eq!(metadata.apply(&event), r#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-11-23T10:00:00Z","env":"prod"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Name and value as JSON text.
    entries: Vec<(String, String)>,
}

/// The extension attribute of events that are sent again, on request.
const REPLAY: &str = "hooksreplay";

/// A name or value that cannot be an extension attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The name is a standard attribute or has characters that are not allowed.
    #[error(
        "`{0}` is no extension attribute name: lower-case letters and digits, and none of the attributes that CloudEvents defines"
    )]
    Name(String),
    /// The value has a type that an attribute cannot have.
    #[error("`{0}` must be a string without control characters, an integer or a boolean")]
    Value(String),
    /// The name stands twice.
    #[error("`{0}` stands twice")]
    Duplicate(String),
}

/// Says that a name is none of an extension attribute.
pub(crate) fn no_extension(name: &str) -> String {
    MetadataError::Name(name.to_owned()).to_string()
}

impl Metadata {
    /// # Errors
    /// When a name is no legal extension name or a value is no string, integer or boolean, or
    /// holds control characters.
    pub fn new<N: Into<String>>(
        entries: impl IntoIterator<Item = (N, serde_json::Value)>,
    ) -> Result<Self, MetadataError> {
        let mut metadata = Self::default();
        for (name, value) in entries {
            let name = name.into();
            if !is_extension_name(&name) {
                return Err(MetadataError::Name(name));
            }
            let is_text = value.as_str().is_some_and(|text| !has_control(text));
            if !(is_text || value.is_i64() || value.is_u64() || value.is_boolean()) {
                return Err(MetadataError::Value(name));
            }
            if metadata.entries.iter().any(|(known, _)| *known == name) {
                return Err(MetadataError::Duplicate(name));
            }
            metadata.entries.push((name, value.to_string()));
        }
        Ok(metadata)
    }

    /// Returns true if there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The event as the hook delivers it. Nothing is copied when there is nothing to add.
    pub fn apply<'a>(&self, envelope: &'a Envelope) -> Cow<'a, str> {
        if self.is_empty() {
            return Cow::Borrowed(envelope.json());
        }
        let mut edits = Edits::default();
        for (name, value) in &self.entries {
            match envelope.extension_spans().find(|(known, _)| known == name) {
                Some((_, span)) => edits.replace(span, value.clone()),
                None => edits.add(name, value),
            }
        }
        Cow::Owned(edits.apply(envelope.json()))
    }

    /// Name and JSON value of each attribute.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The same, with the mark of events that are sent again.
    pub(crate) fn marked_as_replay(&self) -> Self {
        let others = self.entries.iter().filter(|(name, _)| name != REPLAY);
        Self { entries: others.cloned().chain([(REPLAY.to_owned(), "true".to_owned())]).collect() }
    }

    /// Maximum number of bytes that are added to an event.
    pub(crate) fn most_added(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len() + 4).sum()
    }
}
