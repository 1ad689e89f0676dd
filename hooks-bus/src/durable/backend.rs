//! Puts redb on a [`Disk`](super::disk::Disk)'s file.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::disk::DiskFile;

/// What went wrong so far. Grows worse only, until the file is opened again.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicU8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Well,
    /// There was no room: opening the file again is enough once there is some.
    NoRoom,
    /// A write or a sync failed: what the disk holds is not known until the process starts again.
    Broken,
}

impl Health {
    pub(crate) fn state(&self) -> State {
        match self.0.load(Ordering::Acquire) {
            0 => State::Well,
            1 => State::NoRoom,
            _ => State::Broken,
        }
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let state = if is_no_room(error) { 1 } else { 2 };
            self.0.fetch_max(state, Ordering::AcqRel);
        }
        result
    }
}

/// Whether there would have been no error with more room on the disk.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

pub(crate) struct Backend {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) health: Arc<Health>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("file", &self.file).finish_non_exhaustive()
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.file.read_at(out, offset)? {
            read if read == out.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.note(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.file.sync();
        if synced.is_err() {
            // Whatever the reason, what was to be synced may be gone: never try again.
            self.health.0.store(2, Ordering::Release);
        }
        synced
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.note(self.file.write_at(data, offset))
    }
}
