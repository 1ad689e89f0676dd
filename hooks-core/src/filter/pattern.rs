//! Globs.

use std::sync::Arc;

use crate::glob;

/// A glob over attributes of events: `*` is any run of characters, dots and slashes too, `?` is one
/// character, everything else is itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(pattern: impl Into<Arc<str>>) -> Self {
        Self(pattern.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text before the first wildcard: every match begins with it.
    pub fn literal_prefix(&self) -> &str {
        &self.0[..self.0.find(['*', '?']).unwrap_or(self.0.len())]
    }

    /// Returns true if the pattern has no wildcard, so matches one text only.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Returns true if the whole of `text` matches. Takes time that grows with the text and the pattern; only a `?` in a long
    /// piece between two `*` makes it grow with their product, by a step for 64 characters of the piece.
    pub fn matches(&self, text: &str) -> bool {
        glob::matches(self.0.as_bytes(), text.as_bytes())
    }

    /// Returns true only if this one matches everything that the other does. Some such pairs it does not find.
    pub(super) fn covers(&self, other: &Self) -> bool {
        // Read as a text, a wildcard of the other is matched by nothing here but a wildcard, and by `*` alone in full.
        self.matches(other.as_str()) && (other.is_literal() || !self.0.contains('?'))
    }
}

impl<T: Into<Arc<str>>> From<T> for Pattern {
    fn from(pattern: T) -> Self {
        Self::new(pattern)
    }
}

/// Returns true if the text matches one of the patterns.
pub(super) fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}
