//! Limits how many calls block at a time: a disk that gives no answer stops what writes to it, and nothing else.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use hooks_core::sink::SinkContext;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most calls at a time that block on the files of one disk.
const ON_ONE: usize = 32;

/// And on those of all disks. Less than half of the threads that tokio has for work that blocks, as names that are
/// looked up take less than half: together with what else blocks there are enough.
const ON_ALL: usize = 192;

/// One disk, or mount, and who may block on it.
pub(crate) struct Disk {
    device: u64,
    places: [Arc<Semaphore>; 2],
}

/// Held while a call blocks.
pub(crate) type Place = [Option<OwnedSemaphorePermit>; 2];

impl Disk {
    /// The one with this device number, as all sinks of a dispatcher share it.
    pub(crate) fn of(device: u64, context: &SinkContext) -> Self {
        let places = |key: &str, most| {
            let Ok(places) = context.shared(key, || Ok::<_, Infallible>(Semaphore::new(most)));
            places
        };
        let own = places(&format!("hooks-sink-file-disk:{device}"), ON_ONE);
        Self { device, places: [own, places("hooks-sink-file-disks", ON_ALL)] }
    }

    /// The one that a file seems to lie on, before the file is touched: that may already hang.
    pub(crate) fn before_looking(path: &Path, context: &SinkContext) -> Self {
        // What the kernel knows by itself; other systems don't say it.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::of(device_by_name(path, &mounts).unwrap_or_default(), context)
    }

    pub(crate) fn is(&self, device: u64) -> bool {
        self.device == device
    }

    /// Waits until one more call may block.
    pub(crate) async fn place(&self) -> Place {
        let [own, all] = &self.places;
        // No semaphore is ever closed.
        [own.clone().acquire_owned().await.ok(), all.clone().acquire_owned().await.ok()]
    }
}

/// The device of the mount that a path leads into, links left aside.
fn device_by_name(path: &Path, mounts: &str) -> Option<u64> {
    let written = path.to_string_lossy();
    let written = written.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012");
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(2);
        let (device, at) = (fields.next()?, fields.nth(1)?);
        Path::new(&written).starts_with(at).then_some((at.len(), device))
    });
    // Of several in one place the last is on top.
    let (_, device) = above.max_by_key(|(length, _)| *length)?;
    let (major, minor) = device.split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_the_innermost_mount_above_it() {
        let mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
            42 27 0:39 / /mnt rw,relatime shared:1 - nfs4 a:/ rw\n\
            43 27 0:40 /in /mnt/a\\040b rw - nfs4 a:/b rw\n\
            44 27 0:41 / /mnt/a\\040b rw - fuse hang rw\n";
        let on = |path| device_by_name(Path::new(path), mounts);
        for (path, minor) in [("/mnt/a", 39), ("/mnt", 39), ("/mnt/a b/c", 41), ("/mnt/a bc", 39)] {
            assert_eq!(on(path), Some(rustix::fs::makedev(0, minor)), "{path}");
        }
        assert_eq!(on("/mntx/a"), Some(rustix::fs::makedev(254, 0)));
        assert_eq!(device_by_name(Path::new("/a"), ""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_kernel_says_is_what_files_say() {
        use std::os::unix::fs::MetadataExt as _;
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let device = Path::new("/proc/self").metadata().unwrap().dev();
        assert_eq!(device_by_name(Path::new("/proc/self/x"), &mounts), Some(device));
    }
}
