//! Whether a hook was written the same as another.

use std::fmt;

use serde_json::Value as Json;

use crate::files::Print;

/// All settings of a hook as they were written, with defaults and variables filled in. Two are equal
/// when nothing changed. What is in it, secrets too, can't be read back.
#[derive(Clone)]
pub struct Written {
    settings: Json,
    /// What each file holds that the sink reads.
    files: Vec<Print>,
}

impl Written {
    pub(super) fn new(settings: Json) -> Self {
        Self { settings, files: Vec::new() }
    }

    /// Takes into account what the files hold that the sink reads.
    pub(super) fn with_files(&mut self, files: Vec<Print>) {
        self.files = files;
    }

    /// What they hold, if all of them could be looked at.
    pub(super) fn files(&self) -> Option<Box<str>> {
        let prints = self.files.iter().map(|print| match print {
            Print::Holds(print) => Some(print.as_str()),
            Print::Nothing | Print::Silent => None,
        });
        prints.collect::<Option<Vec<_>>>().map(|prints| prints.join(" ").into())
    }
}

impl PartialEq for Written {
    /// A file that gave no answer says nothing, so it counts as unchanged.
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Print, &Print)| one == other || [one, other].contains(&&Print::Silent);
        self.settings == other.settings
            && self.files.len() == other.files.len()
            && self.files.iter().zip(&other.files).all(same)
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
