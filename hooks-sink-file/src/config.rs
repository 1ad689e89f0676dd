//! The settings of a file sink.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

/// Appends events to a file, one line of JSON each.
///
/// ```
/// use hooks_core::Hook;
/// use hooks_sink_file::FileConfig;
///
/// let hook = Hook::new("audit", FileConfig::new("/var/log/hooks/audit.jsonl").create_dirs(true))?;
/// # Ok::<(), hooks_core::InvalidHookId>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The file: an absolute path, or `${CONFIG_DIR}/…` for one beside the config file. It is made when
    /// it is not there. It must be a regular file: a symbolic link in its place is refused.
    path: PathBuf,

    /// Folders that the file must lie inside, also after links in its path are followed. Not set: it
    /// may lie anywhere.
    #[serde(default)]
    allowed_roots: Option<Vec<PathBuf>>,

    /// Makes the folders above the file (mode 0750) when they are not there.
    #[serde(default)]
    create_dirs: bool,

    /// Lines are on the disk (fdatasync) before a durable bus counts them delivered. `false`: they are
    /// left to the operating system, and a power loss can take the last of them.
    #[serde(default = "yes")]
    sync: bool,

    /// The permissions that a new file gets, in octal: `"0600"`. Exactly these are set. Not set: 0640,
    /// less what the umask takes away. A file that exists keeps its own.
    #[serde(default)]
    mode: Option<FileMode>,

    /// True once the hook was warned about a long line; as long as its settings live.
    #[serde(skip)]
    warned: Arc<AtomicBool>,
}

fn yes() -> bool {
    true
}

impl FileConfig {
    /// For this file, with the defaults. The path must be absolute; building a sink says so if it isn't.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            allowed_roots: None,
            create_dirs: false,
            sync: true,
            mode: None,
            warned: Arc::default(),
        }
    }

    /// The file must lie inside one of these folders.
    #[must_use]
    pub fn allowed_roots<P: Into<PathBuf>>(mut self, roots: impl IntoIterator<Item = P>) -> Self {
        self.allowed_roots = Some(roots.into_iter().map(Into::into).collect());
        self
    }

    /// Makes missing folders, if true.
    #[must_use]
    pub fn create_dirs(mut self, create_dirs: bool) -> Self {
        self.create_dirs = create_dirs;
        self
    }

    /// Lets `flush` put the lines on the disk, if true.
    #[must_use]
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// The permissions that a new file gets.
    #[must_use]
    pub fn mode(mut self, mode: FileMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The path, with what means nothing in it (`//`, `/./`) left out.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.components().collect()
    }

    /// The path as it was set.
    pub(crate) fn as_written(&self) -> &Path {
        &self.path
    }

    pub(crate) fn roots(&self) -> Option<&[PathBuf]> {
        self.allowed_roots.as_deref()
    }

    pub(crate) fn creates_dirs(&self) -> bool {
        self.create_dirs
    }

    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions { mode: self.mode, sync: self.sync }
    }

    /// True if this is the first time that this hook asks.
    pub(crate) fn first_warning(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }
}

/// The options of a write: the part of the settings that is each hook's own, on a file that hooks may share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOptions {
    pub(crate) mode: Option<FileMode>,
    pub(crate) sync: bool,
}

/// Permissions of a file, written in octal: `"0640"`. The owner must be able to read and write, since
/// the end of the file is read before something is appended; nobody can execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "config", schemars(with = "String", extend("pattern" = "^0?[0-7]{3}$", "examples" = ["0640", "0600"])))]
pub struct FileMode(u16);

impl FileMode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        self.0.into()
    }
}

impl FromStr for FileMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
        if digits.len() != 3 || !digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
            return Err(format!("`{text}` is no file mode: expected three octal digits, for example \"0640\""));
        }
        let bits = u16::from_str_radix(digits, 8).map_err(|error| error.to_string())?;
        if bits & 0o600 != 0o600 {
            return Err(format!("`{text}` does not let the owner read and write: expected for example \"0640\""));
        }
        if bits & 0o111 != 0 {
            return Err(format!("`{text}` lets the file be executed: expected for example \"0640\""));
        }
        Ok(Self(bits))
    }
}

impl TryFrom<String> for FileMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_and_let_the_owner_in() {
        assert_eq!("0640".parse::<FileMode>().unwrap().bits(), 0o640);
        assert_eq!("600".parse::<FileMode>().unwrap().bits(), 0o600);
        for bad in ["", "0", "640a", "0800", "00640", "1640", "0440", "0755", "-640", "0o640", "416"] {
            assert!(bad.parse::<FileMode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hook_is_warned_once_however_often_its_sink_is_built() {
        let config = FileConfig::new("/x/y");
        let built_again = config.clone();
        assert!(config.first_warning());
        assert!(!built_again.first_warning());
        assert!(FileConfig::new("/x/y").first_warning(), "another hook");
    }
}
