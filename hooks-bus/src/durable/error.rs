//! The error of opening a folder.

use std::io;
use std::path::{Path, PathBuf};

/// An error of opening a durable bus. The text names the folder, and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the folder.
    #[error(
        "`{}` is in use by another process: one process has a log at a time; stop that one or give this one a folder of its own",
        dir.display()
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// A newer version wrote the folder.
    #[error(
        "`{}` has format version {found}, this program knows up to {known}: use the program that wrote it, or a newer one",
        dir.display()
    )]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// Its format version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The operating system refused something.
    #[error("can't {what}: `{}`{}", dir.display(), advice(source))]
    Io {
        /// The folder.
        dir: PathBuf,
        /// The operation that failed.
        what: &'static str,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Safe events are gone. [`DurableBus::repair`](super::DurableBus::repair) accepts the loss. Nothing was changed.
    #[error(
        "`{}` is damaged: {what}. Nothing was changed. Bring the files back from a backup if there is one; otherwise repair the folder, which accepts the loss",
        dir.display()
    )]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// The damage.
        what: String,
    },
    /// An essential file is missing or can't be read. Nothing was changed.
    #[error(
        "`{}` can't be used: {what}. Nothing was changed. Bring the file back from a backup; without one, move the folder away and start with an empty one, which loses undelivered events",
        dir.display()
    )]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// The damage.
        what: String,
    },
    /// A setting is invalid.
    #[error("the bus's `{setting}`: {problem}")]
    Setting {
        /// The path of the setting.
        setting: String,
        /// The problem.
        problem: String,
    },
}

impl OpenError {
    pub(crate) fn io(dir: &Path, what: &'static str, source: io::Error) -> Self {
        Self::Io { dir: dir.to_owned(), what, source }
    }

    pub(crate) fn damaged(dir: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { dir: dir.to_owned(), what: what.into() }
    }

    pub(crate) fn unusable(dir: &Path, what: impl Into<String>) -> Self {
        Self::Unusable { dir: dir.to_owned(), what: what.into() }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ": this user may not write there; change its owner or mode, or the bus's `dir`"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            ": the file system is read-only; set the bus's `dir` to one that can be written"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": there is no room left on the disk",
        io::ErrorKind::FileTooLarge => {
            ": this process may not write files of that size; raise its limit (LimitFSIZE of the service, ulimit -f)"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            ": a file is in the way; set the bus's `dir` to a folder"
        }
        _ => "",
    }
}
