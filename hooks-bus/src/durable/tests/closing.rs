//! The bus unlocks the folder only after its last write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hooks_core::{Bus, Filter};

use super::sim::SimDisk;
use super::{End, TUNING, block_on, config, slice};
use crate::durable::DurableBus;
use crate::durable::disk::{Disk, DiskFile};
use crate::durable::hold::Hold;

/// Events of a disk.
#[derive(Debug, Default)]
struct Fate {
    /// Another process may have the folder now.
    given_up: AtomicBool,
    written_later: AtomicBool,
}

impl Fate {
    fn writes(&self) {
        self.written_later.fetch_or(self.given_up.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Owned(SimDisk, Arc<Fate>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.1.given_up.store(true, Ordering::SeqCst);
    }
}

impl Disk for Owned {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OwnedFile(self.0.open(name)?, self.1.clone())))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OwnedFile(self.0.create(name)?, self.1.clone())))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

#[derive(Debug)]
struct OwnedFile(Arc<dyn DiskFile>, Arc<Fate>);

impl DiskFile for OwnedFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.1.writes();
        self.0.write_at(data, at)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.writes();
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn nothing_is_written_once_another_process_may_have_the_folder() {
    let fate = Arc::<Fate>::default();
    let disk = Owned(SimDisk::default(), fate.clone());
    let bus = DurableBus::on(Arc::new(disk), &config(), TUNING, Hold::UntilPublished).unwrap();
    block_on(async {
        let mut end = End::new(&bus, "a", Filter::default()).await;
        bus.publish(slice(0..10)).await.unwrap();
        end.read(usize::MAX).await;
    });
    drop(bus);
    assert!(fate.given_up.load(Ordering::SeqCst), "it is closed");
    assert!(!fate.written_later.load(Ordering::SeqCst));
}
