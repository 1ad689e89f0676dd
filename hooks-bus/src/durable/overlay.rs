//! A read-only view of a folder: writes stay in memory.
//!
//! Reading the database after a crash repairs it first. Here only the changed pages in memory are repaired.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// A disk with changes in memory, which are lost when this is dropped.
#[derive(Debug)]
pub(crate) struct Overlay {
    under: Arc<dyn Disk>,
    /// Opened and created files; `None` for removed ones.
    files: Mutex<BTreeMap<String, Option<Arc<Layered>>>>,
}

#[derive(Debug)]
struct Layered {
    under: Option<Arc<dyn DiskFile>>,
    state: Mutex<Layer>,
}

#[derive(Debug)]
struct Layer {
    len: u64,
    /// The file underneath is valid up to this offset.
    kept: u64,
    /// Changed pages, by number.
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(crate) fn new(under: Arc<dyn Disk>) -> Self {
        Self { under, files: Mutex::default() }
    }
}

impl Disk for Overlay {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock();
        let file = match files.get(name) {
            Some(Some(file)) => file.clone(),
            Some(None) => return Err(io::ErrorKind::NotFound.into()),
            None => Layered::new(Some(self.under.open(name)?))?,
        };
        files.insert(name.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if self.list()?.iter().any(|there| there == name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Layered::new(None)?;
        self.files.lock().insert(name.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = self.under.list()?;
        let files = self.files.lock();
        names.retain(|name| !files.contains_key(name));
        names.extend(files.iter().filter(|(_, file)| file.is_some()).map(|(name, _)| name.clone()));
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().insert(name.to_owned(), None);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Layered {
    fn new(under: Option<Arc<dyn DiskFile>>) -> io::Result<Arc<Self>> {
        let len = under.as_ref().map_or(Ok(0), |file| file.len())?;
        let state = Mutex::new(Layer { len, kept: len, pages: BTreeMap::new() });
        Ok(Arc::new(Self { under, state }))
    }

    /// Reads the file underneath from this offset on, with zeros behind its valid part.
    fn read_under(&self, buffer: &mut [u8], at: u64, kept: u64) -> io::Result<()> {
        let there = usize::try_from(kept.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        let read = match &self.under {
            Some(file) => file.read_at(&mut buffer[..there], at)?,
            None => 0,
        };
        buffer[read..].fill(0);
        Ok(())
    }
}

impl DiskFile for Layered {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let state = self.state.lock();
        let read = usize::try_from(state.len.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..read];
        self.read_under(buffer, at, state.kept)?;
        let end = at + read as u64;
        for (number, page) in state.pages.range(at / PAGE..end.div_ceil(PAGE)) {
            let (from, to) = (at.max(number * PAGE), end.min((number + 1) * PAGE));
            let part = &page[(from - number * PAGE) as usize..(to - number * PAGE) as usize];
            buffer[(from - at) as usize..(to - at) as usize].copy_from_slice(part);
        }
        Ok(read)
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let Layer { len, kept, pages } = &mut *state;
        let end = at + data.len() as u64;
        for number in at / PAGE..end.div_ceil(PAGE) {
            let begin = number * PAGE;
            let page = match pages.entry(number) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(free) => {
                    let mut page = vec![0; PAGE as usize];
                    self.read_under(&mut page, begin, *kept)?;
                    free.insert(page)
                }
            };
            let (from, to) = (at.max(begin), end.min(begin + PAGE));
            page[(from - begin) as usize..(to - begin) as usize]
                .copy_from_slice(&data[(from - at) as usize..(to - at) as usize]);
        }
        *len = end.max(*len);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn set_len(&self, new: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let Layer { len, kept, pages } = &mut *state;
        if new < *len {
            *kept = new.min(*kept);
            pages.retain(|number, _| number * PAGE < new);
            if let Some(page) = pages.get_mut(&(new / PAGE)) {
                page[(new % PAGE) as usize..].fill(0);
            }
        }
        *len = new;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
