//! An integration, and the tools that it is given.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::packages::Package;
use crate::workspace::{self, Done};

/// Something that is tried together with other people's programs.
pub(super) struct Integration {
    pub(super) name: &'static str,
    /// Its purpose, for people.
    pub(super) shows: &'static str,
    /// The packages that have to be installed.
    pub(super) needs: &'static [Package],
    pub(super) run: fn(&Bench) -> Done,
}

/// The tools of an integration.
pub(super) struct Bench {
    /// The `hooks` binary.
    pub(super) hooks: PathBuf,
    /// A folder of its own, which is removed afterwards.
    pub(super) folder: TempDir,
}

impl Bench {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Reads a file of the repository.
pub(super) fn read(file: &str) -> Result<String, String> {
    let path: &Path = &workspace::root().join(file);
    std::fs::read_to_string(path).map_err(|error| format!("read {file}: {error}"))
}

pub(super) fn write(path: &Path, text: &str) -> Done {
    std::fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}
