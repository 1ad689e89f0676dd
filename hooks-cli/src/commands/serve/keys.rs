//! The keys that a daemon makes for itself.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hooks_core::BoxError;
use hooks_server::Keys;

use crate::files;

/// Their file in the folder of a durable bus.
const FILE: &str = "secrets.key";

/// Its name before all of it is on disk.
const NEW: &str = "secrets.key.new";

/// The keys of a daemon whose config file names none: those in the bus's folder, made if there are none yet. Without a
/// folder: new ones, which end with the process. Whoever calls has the folder for itself.
///
/// # Errors
/// When the file is there and is no file of keys, or can't be made.
pub(super) fn own(folder: Option<&Path>) -> Result<Keys, BoxError> {
    let Some(folder) = folder else { return Ok(Keys::random()?) };
    let path = folder.join(FILE);
    let failed = |why: &dyn std::fmt::Display| BoxError::from(format!("{}: {why}", path.display()));
    match files::secrets(&path) {
        Ok(text) => Keys::parse(&text).map_err(|why| failed(&why)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let keys = Keys::random()?;
            write(folder, &keys).map_err(|error| failed(&error))?;
            Ok(keys)
        }
        Err(error) => Err(failed(&error)),
    }
}

/// The keys that are there already: those of a file that the config names, else those in the bus's folder.
///
/// # Errors
/// When there are none.
pub(crate) fn kept(named: Option<&Path>, folder: Option<&Path>) -> Result<Keys, BoxError> {
    let path = named.map(Path::to_owned).or_else(|| folder.map(|folder| folder.join(FILE)));
    let path = path.ok_or("there is no key that seals: set api.secrets_key_file, the same on all instances")?;
    let keys = files::secrets(&path).map_err(|error| error.to_string()).and_then(|text| Keys::parse(&text));
    keys.map_err(|why| format!("{}: {why}", path.display()).into())
}

/// Nobody else may read it, and it is whole or not there.
fn write(folder: &Path, keys: &Keys) -> std::io::Result<()> {
    let new = folder.join(NEW);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(keys.to_text().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let first = own(Some(folder.path())).unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(own(Some(folder.path())).unwrap().to_text(), first.to_text());
        assert_ne!(own(None).unwrap().to_text(), first.to_text());
        std::fs::write(&path, "hunter2").unwrap();
        let error = own(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("secrets.key: line 1: a key is 32 bytes") && !error.contains("hunter2"), "{error}");
    }
}
