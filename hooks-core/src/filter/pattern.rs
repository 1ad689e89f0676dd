//! Globs.

use std::sync::Arc;

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

    /// Returns true if the whole of `text` matches. Takes at most pattern length × text length steps.
    pub fn matches(&self, text: &str) -> bool {
        glob(self.0.as_bytes(), text)
    }

    /// Returns true only if this one matches everything that the other does. Some such pairs it does not find.
    pub(super) fn covers(&self, other: &Self) -> bool {
        // Read as a text, a wildcard of the other is matched by nothing here but a wildcard, and by `*` alone in full.
        self.matches(other.as_str()) && (other.is_literal() || !self.0.contains('?'))
    }
}

/// Greedy matching with one point to come back to: when a run taken for `*` proves too short, it is
/// made longer by one character.
fn glob(pattern: &[u8], text: &str) -> bool {
    let bytes = text.as_bytes();
    let width = |at: usize| text[at..].chars().next().map_or(1, char::len_utf8);
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < bytes.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Some(b'?') => {
                p += 1;
                t += width(t);
                continue;
            }
            Some(byte) if *byte == bytes[t] => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = retry else { return false };
        t = taken + width(taken);
        p = after_star;
        retry = Some((after_star, t));
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
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
