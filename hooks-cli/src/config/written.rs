//! Compares hooks as they are written.

use std::fmt;

use serde_json::Value as Json;

use crate::files::Fingerprint;

/// All settings of a hook as they were written, with defaults and variables filled in. Two are equal
/// when nothing changed. What is in it, secrets too, can't be read back.
#[derive(Clone)]
pub struct Written {
    settings: Json,
    /// Fingerprints of the files that the sink reads.
    files: Box<[Fingerprint]>,
}

impl Written {
    pub(super) fn new(settings: Json) -> Self {
        Self { settings, files: Box::default() }
    }

    /// Takes into account what the files hold that the sink reads.
    pub(super) fn with_files(&mut self, files: Box<[Fingerprint]>) {
        self.files = files;
    }
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.files.len() == other.files.len()
            && !self.files.iter().zip(&other.files).any(|(one, other)| one.differs(other))
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
