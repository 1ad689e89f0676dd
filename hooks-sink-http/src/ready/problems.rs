//! The faults of settings, gathered.

use std::path::Path;

use hooks_core::{ConfigProblem, Secret};

/// The faults found so far.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<ConfigProblem>);

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(ConfigProblem::new(path, message));
    }

    pub(super) fn take<T>(&mut self, path: impl Into<String>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(path, message)).ok()
    }

    /// Of a secret and a file that holds one, at most one is set. The file's path is absolute.
    pub(super) fn file(&mut self, path: &str, has_text: bool, file: Option<&Path>) {
        let Some(file) = file else { return };
        let of = path.trim_end_matches("_file");
        if has_text {
            self.add(path, format!("`{of}` is set, too: which of them is it?"));
        }
        self.absolute(path, file);
    }

    pub(super) fn absolute(&mut self, path: &str, file: &Path) {
        if !file.is_absolute() {
            self.add(path, "expected an absolute path");
        }
    }

    /// Of a secret that may be any text.
    pub(super) fn unmarked(&mut self, path: &str, text: Option<&Secret>) {
        if let Some(Err(why)) = text.map(|text| hooks_core::secret::without_mark(text.expose().as_bytes())) {
            self.add(path, why);
        }
    }

    /// A secret that has to be there, as text or in a file.
    pub(super) fn required(&mut self, path: &str, text: Option<&Secret>, file: Option<&Path>) {
        self.file(&format!("{path}_file"), text.is_some(), file);
        self.unmarked(path, text);
        match text {
            Some(text) if text.expose().is_empty() => self.add(path, "an empty secret proves nothing"),
            None if file.is_none() => self.add(path, format!("it is missing: set it, or `{path}_file`")),
            _ => {}
        }
    }
}
