//! What the durable bus asks of a disk: one flat folder of files.
//!
//! Everything it reads and writes goes through here, so that tests can put a disk underneath that loses
//! whatever was not synced.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// A folder.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a file that must not be there yet.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names survive: what was created and removed so far.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Fills the buffer from this place on, as far as the file goes; returns how far.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of it.
    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()>;

    /// Bytes.
    fn len(&self) -> io::Result<u64>;

    /// Makes the file longer, with zeros, or shorter. What it grows by has its place on the disk when
    /// this returns, so that writing there finds room.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes contents and length survive.
    fn sync(&self) -> io::Result<()>;
}

/// The whole file.
pub(crate) fn read_all(file: &dyn DiskFile, limit: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(limit);
    let mut text = vec![0; len];
    let read = file.read_at(&mut text, 0)?;
    text.truncate(read);
    Ok(text)
}
