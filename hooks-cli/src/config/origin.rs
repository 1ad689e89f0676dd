//! Where the text of a config comes from.

use std::path::{Component, Path, PathBuf};

use super::problem::{Lines, Problem, Problems};
use crate::exit::Exit;
use crate::files;

/// Where a config comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The arguments of the command, which stand for this text.
    Arguments(String),
}

impl From<&Path> for Origin {
    fn from(file: &Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl Origin {
    /// The text.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn text(&self) -> Result<ConfigText, Problems> {
        match self {
            Self::File(path) => ConfigText::read(path),
            // Its paths are absolute, so that no folder is needed to find what they name.
            Self::Arguments(text) => {
                Ok(ConfigText { file: "the command line".to_owned(), text: text.clone(), folder: None })
            }
        }
    }

    /// The exit code where the text can't be used.
    pub(crate) fn fault(&self) -> Exit {
        if matches!(self, Self::File(_)) { Exit::Config } else { Exit::Usage }
    }

    /// The problems, told to whoever wrote what they are in: nobody sees the text that arguments stand for.
    pub(super) fn told(&self, mut problems: Problems) -> Problems {
        if matches!(self, Self::Arguments(_)) {
            problems.list = problems.list.into_iter().map(|problem| Problem::new(None, problem.message)).collect();
        }
        problems
    }
}

/// The text of a config file.
pub(super) struct ConfigText {
    /// The file, as it is to be shown.
    pub(super) file: String,
    pub(super) text: String,
    /// The folder that it is in.
    pub(super) folder: Option<String>,
}

impl ConfigText {
    pub(super) fn read(path: &Path) -> Result<Self, Problems> {
        let file = path.display().to_string();
        let whole = |place, message: String| Problems { file: file.clone(), list: vec![Problem::new(place, message)] };
        let bytes = files::read(path).map_err(|error| whole(None, format!("can't be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let sound = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
            whole(Some(Lines::new(&sound).place(sound.len())), "not UTF-8".to_owned())
        })?;
        let full = std::path::absolute(path).map_err(|error| whole(None, format!("has no absolute path: {error}")))?;
        let folder = full.parent().map(without_steps_up);
        let folder = folder.as_deref().and_then(Path::to_str).map(str::to_owned);
        Ok(Self { file, text, folder })
    }
}

/// A folder under a name without `..`, which paths that are written to must not have.
pub(crate) fn without_steps_up(folder: &Path) -> PathBuf {
    let has_steps = folder.components().any(|part| part == Component::ParentDir);
    let found = if has_steps { std::fs::canonicalize(folder).ok() } else { None };
    found.unwrap_or_else(|| folder.to_owned())
}
