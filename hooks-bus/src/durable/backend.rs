//! Puts redb on a [`Disk`](super::disk::Disk)'s file.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::disk::DiskFile;

/// Errors of the file so far.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicU8);

const FAILED: u8 = 1;
const BROKEN: u8 = 2;

impl Health {
    /// True once a write or a sync failed: the contents of the disk are unknown until a restart.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire) == BROKEN
    }

    /// True if [`take_failed`](Self::take_failed) would be.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.load(Ordering::Acquire) == FAILED
    }

    /// True once after an operation failed that changed nothing. The database then takes no more changes, but its file
    /// is whole: open it again.
    pub(crate) fn take_failed(&self) -> bool {
        self.0.compare_exchange(FAILED, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Records the result of an operation that changes nothing when it fails.
    fn record<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.0.fetch_max(FAILED, Ordering::AcqRel);
        }
        result
    }

    fn set_broken(&self) {
        self.0.store(BROKEN, Ordering::Release);
    }
}

/// True if more room on the disk would have prevented the error.
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
        self.health.record(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.health.record(self.file.read_at(out, offset))? {
            read if read == out.len() => Ok(()),
            _ => self.health.record(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.record(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        // Whatever the reason, the data may be gone: never try again.
        self.file.sync().inspect_err(|_| self.health.set_broken())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let written = self.file.write_at(data, offset);
        match &written {
            // The old data is whole: the database never writes over it.
            Err(error) if is_no_room(error) => self.health.record(written),
            Err(_) => written.inspect_err(|_| self.health.set_broken()),
            Ok(()) => written,
        }
    }
}
