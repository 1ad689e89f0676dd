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

/// What is in front of the number in it.
const HEAD: &str = "hooks log, format ";

/// What the file with the format version says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Known(u32),
    /// It is missing, or a crash left only a part of it.
    Unset,
    /// No version of this program wrote it, or it is damaged.
    Foreign,
}

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
        Version::Unset | Version::Foreign if has_segments => {
            Err(OpenError::unusable(dir, format!("`{FORMAT}` is missing or can't be read")))
        }
        Version::Foreign => Err(OpenError::Setting {
            setting: "dir".to_owned(),
            problem: format!(
                "`{}` was not written by this program: name a folder that nothing else uses",
                dir.join(FORMAT).display()
            ),
        }),
        Version::Unset => {
            // A crash interrupted the setup: no event was ever accepted.
            if has_store {
                disk.remove(store::FILE).map_err(failed("remove the unfinished database in"))?;
            }
            let store = create(disk, dir)?;
            mark(&**disk).map_err(failed("set up"))?;
            Ok(store)
        }
        Version::Known(0) => {
            Err(OpenError::unusable(dir, format!("`{FORMAT}` says version 0, which never existed: it is damaged")))
        }
        Version::Known(found) if found > VERSION => {
            Err(OpenError::Newer { dir: dir.to_owned(), found, known: VERSION })
        }
        Version::Known(_) if has_store => Store::open(disk.clone(), dir),
        Version::Known(_) if has_segments => Err(OpenError::unusable(
            dir,
            format!("`{}`, the database of the hooks' positions, is missing", store::FILE),
        )),
        // No event was ever accepted.
        Version::Known(_) => create(disk, dir),
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
    file.write_at(format!("{HEAD}{VERSION}\n").as_bytes(), 0)?;
    file.sync()?;
    disk.sync_names()
}

/// The folder's format version.
fn version(disk: &dyn Disk, dir: &Path) -> Result<Version, OpenError> {
    let failed = |source| OpenError::io(dir, "read `format` in", source);
    let text = match disk.open(FORMAT) {
        Ok(file) => read_all(&*file, 64).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Version::Unset),
        Err(error) => return Err(failed(error)),
    };
    let text = String::from_utf8_lossy(&text);
    let number = text.strip_prefix(HEAD).and_then(|rest| rest.split_once('\n'));
    let number = number.and_then(|(number, _)| number.parse().ok());
    Ok(match number {
        Some(number) => Version::Known(number),
        None if is_unfinished(&text) => Version::Unset,
        None => Version::Foreign,
    })
}

/// True for what a crash leaves of the line while it is written.
fn is_unfinished(text: &str) -> bool {
    let text = text.trim_end_matches('\0');
    let is_number = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    HEAD.starts_with(text) || text.strip_prefix(HEAD).is_some_and(is_number)
}

fn unreadable(dir: &Path, error: &BusError) -> OpenError {
    let text = error.to_string();
    OpenError::io(dir, "use the database in", io::Error::other(text))
}
