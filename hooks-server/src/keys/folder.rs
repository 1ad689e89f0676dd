//! Keys that a daemon or service makes for itself.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::Keys;

/// Its name before all of it is on disk.
const NEW: &str = "secrets.key.new";

impl Keys {
    /// Their file in the folder of a durable bus.
    pub const FILE: &str = "secrets.key";

    /// Those of the file [`FILE`](Self::FILE) in this folder, made if there are none yet: nobody but the owner may read it. Whoever
    /// calls has the folder for itself, as the folder of an open durable bus. Blocks.
    ///
    /// # Errors
    /// When the file is there and is no file of keys, or can't be made. The error quotes nothing of it.
    pub fn in_folder(folder: &Path) -> Result<Self, String> {
        let path = folder.join(Self::FILE);
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        match std::fs::read(&path) {
            Ok(text) => {
                let text = hooks_core::secret::plain_text(&text).map_err(|why| failed(&why))?;
                Self::parse(text).map_err(|why| failed(&why))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let keys = Self::random()?;
                write(folder, &keys).map_err(|error| failed(&error))?;
                Ok(keys)
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

/// It is whole or not there.
fn write(folder: &Path, keys: &Keys) -> std::io::Result<()> {
    let new = folder.join(NEW);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(keys.to_text().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(Keys::FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::in_folder(folder.path()).unwrap();
        let path = folder.path().join(Keys::FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Keys::in_folder(folder.path()).unwrap().to_text(), first.to_text());
        std::fs::write(&path, "hunter2").unwrap();
        let error = Keys::in_folder(folder.path()).unwrap_err();
        assert!(error.contains("secrets.key: line 1: a key is 32 bytes") && !error.contains("hunter2"), "{error}");
    }
}
