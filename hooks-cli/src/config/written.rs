//! Whether a hook was written the same as another.

use std::fmt;

use serde_json::Value as Json;

/// All settings of a hook as they were written, with defaults and variables filled in. Two are equal
/// when nothing changed. What is in it, secrets too, can't be read back.
#[derive(Clone, PartialEq, Eq)]
pub struct Written(Json);

impl Written {
    pub(super) fn new(json: Json) -> Self {
        Self(json)
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
