//! A folder of the file system.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FallocateFlags, Mode, OFlags, fallocate, openat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::disk::{Disk, DiskFile};
use super::error::OpenError;

/// The file that a process locks while it has the folder.
pub(crate) const LOCK: &str = "lock";

/// A folder that belongs to this process until this is dropped. It stays the same folder when somebody renames it and
/// makes another one in its place.
#[derive(Debug)]
pub(crate) struct Folder {
    handle: File,
    /// `None` in a folder without the file, which no process ever had.
    lock: Option<File>,
    /// True if files are opened for writing.
    writes: bool,
}

impl Folder {
    /// Makes the folder if it is missing (mode 0700), and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |what: &'static str| {
            let path = path.to_owned();
            move |source: io::Error| OpenError::io(&path, what, source)
        };
        make(path).map_err(failed("make the folder"))?;
        let handle = File::open(path).map_err(failed("open the folder"))?;
        let lock = open_in(&handle, LOCK, OFlags::RDWR | OFlags::CREATE).map_err(failed("open `lock` in it"))?;
        Self { handle, lock: Some(lock), writes: true }.locked(path, File::try_lock)
    }

    /// Opens an existing folder to read from it. Several processes may do so at the same time.
    pub(crate) fn look(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::io(path, "open the folder", source);
        let handle = File::open(path).map_err(failed)?;
        let lock = match open_in(&handle, LOCK, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(failed)?),
        };
        Self { handle, lock, writes: false }.locked(path, File::try_lock_shared)
    }

    /// Locks the folder and the file: somebody may replace the file, and not every file system locks folders.
    fn locked(self, path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Self, OpenError> {
        if let Err(TryLockError::WouldBlock) = lock(&self.handle) {
            return Err(OpenError::InUse { dir: path.to_owned() });
        }
        match self.lock.as_ref().map_or(Ok(()), lock) {
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(OpenError::io(path, "lock", source)),
            Ok(()) => Ok(self),
        }
    }
}

/// Unlocks: a child that was just forked has the files as well for a moment, so that closing them is not enough.
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.lock.as_ref().map(File::unlock);
        let _ = self.handle.unlock();
    }
}

/// Opens a regular file of a folder. Never waits, as opening a FIFO would.
fn open_in(folder: &File, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = retry_on_intr(|| openat(folder, name, flags, Mode::RUSR | Mode::WUSR));
    let file = File::from(opened.map_err(explained)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok(file)
}

fn explained(errno: Errno) -> io::Error {
    match errno {
        Errno::MFILE => io::Error::other(format!(
            "{errno}; each file of the log stays open: allow this process more (LimitNOFILE of the service, ulimit -n), or raise the bus's `segment_size`"
        )),
        errno => errno.into(),
    }
}

/// Makes the folder and missing parents, and makes their names survive a crash.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|part| !part.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for part in missing {
        let parent = part.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// The names of all files in a folder.
pub(crate) fn names(path: &Path) -> io::Result<Vec<String>> {
    std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

impl Disk for Folder {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let flags = if self.writes { OFlags::RDWR } else { OFlags::RDONLY };
        Ok(Arc::new(PlainFile(open_in(&self.handle, name, flags)?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(Arc::new(PlainFile(open_in(&self.handle, name, flags)?)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = Dir::read_from(&self.handle)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.filter(|name| !matches!(name.as_deref(), Ok("." | ".."))).collect()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

#[derive(Debug)]
struct PlainFile(File);

impl DiskFile for PlainFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(data, at)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let old = self.len()?;
        if len <= old {
            return self.0.set_len(len);
        }
        let grown = match fallocate(&self.0, FallocateFlags::empty(), old, len - old) {
            Ok(()) => return Ok(()),
            // The file system does not support it. Writing zeros reserves space, too.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.zero(old, len),
            Err(errno) => Err(errno.into()),
        };
        if grown.is_err() {
            // A part of the space is no use.
            let _ = self.0.set_len(old);
        }
        grown
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl PlainFile {
    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; 1 << 16];
        let mut at = from;
        while at < to {
            let next = to.min(at + zeros.len() as u64);
            self.0.write_all_at(&zeros[..(next - at) as usize], at)?;
            at = next;
        }
        Ok(())
    }
}
