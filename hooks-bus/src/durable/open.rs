//! Opens a folder: reads its contents, or sets it up.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hooks_core::{BusError, uuid_v7};

use super::disk::{Disk, read_all};
use super::error::OpenError;
use super::format::{VERSION, segment_first};
use super::recover::{Found, leftovers, scan};
use super::store::{self, Known, Store};

/// The file with the format version. Written last when a folder is set up.
pub(crate) const FORMAT: &str = "format";

/// The contents of a folder.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) known: Known,
    pub(crate) found: Found,
}

/// Opens a folder, or sets up an empty one.
pub(crate) fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Opened, OpenError> {
    let (store, known) = store(disk, dir)?;
    let found = scan(&**disk, dir, &known)?;
    check_end(dir, &known, &found)?;
    for first in leftovers(&**disk, known.floor).map_err(|source| OpenError::io(dir, "list the files in", source))? {
        // They are only in the way: the next opening tries again.
        let _ = disk.remove(&super::format::segment_name(first));
    }
    Ok(Opened { store, known, found })
}

/// The database of a folder, and its contents.
pub(crate) fn store(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(Store, Known), OpenError> {
    let store = prepare(disk, dir)?;
    let known = store.known().map_err(|error| unreadable(dir, &error))?;
    let known = known.ok_or_else(|| OpenError::unusable(dir, format!("`{}` is empty", store::FILE)))?;
    Ok((store, known))
}

/// Checks that all safe events are there.
fn check_end(dir: &Path, known: &Known, found: &Found) -> Result<(), OpenError> {
    if found.end >= known.end {
        return Ok(());
    }
    Err(OpenError::damaged(dir, newest_gone(found.end, known.end)))
}

/// The damage of a log that ends too early.
pub(crate) fn newest_gone(end: u64, known_end: u64) -> String {
    format!("the events at positions {end} to {}, the newest, were safe and are gone", known_end - 1)
}

/// Opens the database of the folder, or makes one.
fn prepare(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Store, OpenError> {
    let failed = |what| move |source| OpenError::io(dir, what, source);
    let names = disk.list().map_err(failed("list the files in"))?;
    let has_segments = names.iter().any(|name| segment_first(name).is_some());
    let has_store = names.iter().any(|name| name == store::FILE);
    match version(&**disk, dir)? {
        None if has_segments => Err(OpenError::unusable(dir, format!("`{FORMAT}` is missing or can't be read"))),
        None => {
            // A crash interrupted the setup: no event was ever accepted.
            if has_store {
                disk.remove(store::FILE).map_err(failed("remove the unfinished database in"))?;
            }
            let store = create(disk, dir)?;
            mark(&**disk).map_err(failed("set up"))?;
            Ok(store)
        }
        Some(0) => {
            Err(OpenError::unusable(dir, format!("`{FORMAT}` says version 0, which never existed: it is damaged")))
        }
        Some(found) if found > VERSION => Err(OpenError::Newer { dir: dir.to_owned(), found, known: VERSION }),
        Some(_) if has_store => Store::open(disk.clone(), dir),
        Some(_) if has_segments => Err(OpenError::unusable(
            dir,
            format!("`{}`, the database of the hooks' positions, is missing", store::FILE),
        )),
        // No event was ever accepted.
        Some(_) => create(disk, dir),
    }
}

fn create(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Store, OpenError> {
    let store = Store::open(disk.clone(), dir)?;
    store.name_log(uuid_v7()).map_err(|error| unreadable(dir, &error))?;
    Ok(store)
}

/// Writes the format version. Its sync of names makes the database's name survive a crash, too.
fn mark(disk: &dyn Disk) -> io::Result<()> {
    let file = match disk.open(FORMAT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(FORMAT)?,
        opened => opened?,
    };
    file.set_len(0)?;
    file.write_at(format!("hooks log, format {VERSION}\n").as_bytes(), 0)?;
    file.sync()?;
    disk.sync_names()
}

/// The folder's format version. `None` if it is missing or unreadable.
pub(crate) fn version(disk: &dyn Disk, dir: &Path) -> Result<Option<u32>, OpenError> {
    let failed = |source| OpenError::io(dir, "read `format` in", source);
    let text = match disk.open(FORMAT) {
        Ok(file) => read_all(&*file, 64).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let text = String::from_utf8_lossy(&text);
    let number = text.strip_prefix("hooks log, format ").and_then(|rest| rest.strip_suffix('\n'));
    Ok(number.and_then(|number| number.parse().ok()))
}

fn unreadable(dir: &Path, error: &BusError) -> OpenError {
    let text = error.to_string();
    OpenError::io(dir, "use the database in", io::Error::other(text))
}
