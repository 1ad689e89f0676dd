//! A small file system in memory, which only root can mount.

use std::path::PathBuf;
use std::process::Command;

/// A small file system, mounted until this is dropped.
pub(crate) struct Small(pub(crate) PathBuf, #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir);

impl Small {
    /// `None`, and a word why, where it can't be had.
    pub(crate) fn new(kib: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let size = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&dir).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir, folder));
        }
        eprintln!("skipped: needs root, to mount a small file system");
        None
    }

    /// Takes all the room that there is. It is there again when the file is removed.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while std::io::Write::write(&mut file, &[1; 512]).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "can't unmount");
    }
}
