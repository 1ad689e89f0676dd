//! Whether a hook was written the same as another.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::Value as Json;

/// All settings of a hook as they were written, with defaults and variables filled in. Two are equal
/// when nothing changed. What is in it, secrets too, can't be read back.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    settings: Json,
    /// Age and size of each file that the sink reads; `None` for one that is not there.
    files: Vec<Option<(SystemTime, u64)>>,
}

impl Written {
    pub(super) fn new(settings: Json) -> Self {
        Self { settings, files: Vec::new() }
    }

    /// Takes into account the files that the sink reads, as they are now.
    pub(crate) fn with_files(mut self, files: &[PathBuf]) -> Self {
        let look = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.files = files.iter().map(look).collect();
        self
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
