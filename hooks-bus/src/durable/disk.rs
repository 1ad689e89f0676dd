//! The disk of the durable bus: one flat folder of files.
//!
//! Every read and write goes through here, so that tests can use a disk that loses unsynced data.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// A folder.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a file. One of that name must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all creations and removals so far survive a crash.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Fills the buffer from this offset on, as far as the file goes. Returns the number of bytes.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of the data at this offset.
    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()>;

    /// Size in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Makes the file longer, with zeros, or shorter. Added bytes have space on the disk when this returns, so
    /// that a later write does not run out of it.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes contents and length survive a crash.
    fn sync(&self) -> io::Result<()>;
}

/// Reads the file, up to `limit` bytes.
pub(crate) fn read_all(file: &dyn DiskFile, limit: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(limit);
    let mut text = vec![0; len];
    let read = file.read_at(&mut text, 0)?;
    text.truncate(read);
    Ok(text)
}
