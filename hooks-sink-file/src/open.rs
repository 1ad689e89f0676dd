//! Opening the file and nothing else in its place, and locking it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hooks_core::sink::DeliveryError;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::config::FileMode;
use crate::fault::failure;

/// Times that a file may appear or vanish while it is being opened.
const TRIES: usize = 8;

/// The longest wait of one attempt for another process's lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens `name` in `folder` to read its end and append to it; makes it when it is not there. `path` is
/// for messages.
pub(crate) fn open(folder: &OwnedFd, path: &Path, mode: Option<FileMode>) -> Result<File, DeliveryError> {
    let name = path.file_name().unwrap_or_default();
    for _ in 0..TRIES {
        let opened = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Even opening can have an effect, or none for ever, on what is no file.
            Ok(found) => {
                regular(FileType::from_raw_mode(found.st_mode), path)?;
                open_existing(folder, name)
            }
            Err(Errno::NOENT) => create(folder, name, mode),
            Err(errno) => Err(errno),
        };
        match opened {
            Ok(file) => {
                let found = rustix::fs::fstat(&file).map_err(|errno| failure(opening(path), errno))?;
                regular(FileType::from_raw_mode(found.st_mode), path)?;
                return Ok(file);
            }
            // It appeared or vanished in between.
            Err(Errno::NOENT | Errno::EXIST) => {}
            Err(errno) => return Err(failure(opening(path), errno)),
        }
    }
    Err(DeliveryError::retry(format!("{}: it keeps appearing and vanishing", opening(path))))
}

fn opening(path: &Path) -> String {
    format!("open `{}`", path.display())
}

/// For what is no regular file after all: a FIFO would otherwise wait for a reader.
const FLAGS: OFlags = OFlags::RDWR
    .union(OFlags::APPEND)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

fn open_existing(folder: &OwnedFd, name: &OsStr) -> Result<File, Errno> {
    rustix::fs::openat(folder, name, FLAGS, Mode::empty()).map(File::from)
}

fn create(folder: &OwnedFd, name: &OsStr, mode: Option<FileMode>) -> Result<File, Errno> {
    let bits = mode.map_or(0o640, FileMode::bits);
    let flags = FLAGS | OFlags::CREATE | OFlags::EXCL;
    let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(bits))?;
    if mode.is_some() {
        // The umask took some away; what the operator wrote is what the file gets.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(bits))?;
    }
    Ok(file.into())
}

fn regular(found: FileType, path: &Path) -> Result<(), DeliveryError> {
    let what = match found {
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => "a symbolic link, which is not followed",
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Err(DeliveryError::endpoint(format!("{}: it must be a regular file and is {what}", opening(path))))
}

/// True if the path still leads to the open file: nobody renamed or removed it.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool, DeliveryError> {
    let doing = || format!("look at `{}`", path.display());
    let open = file.metadata().map_err(|error| failure(doing(), error))?;
    match path.symlink_metadata() {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failure(doing(), error)),
    }
}

/// The advisory lock (`flock`) that writers of one file hold around looking at its end and writing.
/// Given back when dropped.
pub(crate) struct Lock(Arc<File>);

impl Lock {
    /// Waits a second at most: the holder of the lock may be stopped and never give it back.
    pub(crate) fn take(file: &Arc<File>, path: &Path) -> Result<Self, DeliveryError> {
        let doing = || format!("lock `{}`", path.display());
        let since = Instant::now();
        let mut pause = Duration::from_micros(50);
        loop {
            match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file.clone())),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if since.elapsed() < LOCK_TIMEOUT => {
                    // tidy-allow(thread-sleep): no event tells of a lock given back, but a wait without an end.
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(5));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(DeliveryError::retry(format!("{}: another process holds the lock", doing())));
                }
                Err(errno) => return Err(failure(doing(), errno)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would give it back, too; there is nothing else to do about a failure.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}
