//! A disk that loses what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use crate::durable::disk::{Disk, DiskFile};

/// Bytes of a sector: each survives a power cut as a whole or not at all, as on real disks.
const SECTOR: usize = 512;

/// A kind of call that makes something survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sync {
    Segment,
    Store,
    Format,
    Names,
}

/// Calls that do nothing, as if they stood nowhere in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignored {
    /// All of a kind.
    Kind(Sync),
    /// Only the one of this number.
    Nth(usize),
}

/// A simulated disk, and what has happened to it.
#[derive(Debug, Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Files by their number.
    files: BTreeMap<usize, SimFile>,
    /// The names in the folder now.
    names: BTreeMap<String, usize>,
    /// The names after a power cut.
    safe_names: BTreeMap<String, usize>,
    /// Names that changed since they were last synced.
    changes: Vec<(String, Option<usize>)>,
    /// Operations that change something, so far.
    operations: usize,
    /// The power is cut before this operation.
    cut_at: Option<usize>,
    /// Calls that succeed without doing anything.
    ignored: Option<Ignored>,
    syncs: usize,
    fails: Option<Fault>,
    /// Most bytes of all files together.
    room: Option<usize>,
    seen: BTreeSet<Sync>,
    /// The next sync says that it begins, and waits.
    pause: Option<(SyncSender<()>, Receiver<()>)>,
}

/// A kind of operation of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    List,
    Read,
    Create,
    Remove,
    SetLen,
    Write,
    Sync,
}

/// Calls that fail, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    /// From this operation on
    pub(super) at: usize,
    /// the first so many
    pub(super) times: usize,
    /// of these.
    pub(super) calls: &'static [Call],
    pub(super) kind: io::ErrorKind,
}

impl Fault {
    /// One call that changes something.
    pub(super) fn once(at: usize, kind: io::ErrorKind) -> Self {
        let calls = &[Call::Create, Call::Remove, Call::SetLen, Call::Write, Call::Sync];
        Self { at, times: 1, calls, kind }
    }
}

#[derive(Debug, Clone, Default)]
struct SimFile {
    name: String,
    now: Vec<u8>,
    safe: Vec<u8>,
    /// Sectors that were written since the last sync.
    dirty: BTreeSet<usize>,
}

impl SimDisk {
    /// Cuts the power before the operation of this number.
    pub(super) fn cut_at(&self, operation: usize) {
        self.0.lock().cut_at = Some(operation);
    }

    /// Makes calls do nothing, as if they stood nowhere in the code.
    pub(super) fn ignore(&self, ignored: Ignored) {
        self.0.lock().ignored = Some(ignored);
    }

    /// The next sync of a file says here that it begins, and goes on when it is told to.
    pub(super) fn pause_next_sync(&self) -> (Receiver<()>, SyncSender<()>) {
        let ((begins, has_begun), (go_on, told)) = (sync_channel(1), sync_channel(1));
        self.0.lock().pause = Some((begins, told));
        (has_begun, go_on)
    }

    /// Nothing gets an answer until this is dropped.
    pub(super) fn hang(&self) -> impl Drop + use<'_> {
        self.0.lock()
    }

    pub(super) fn is_cut(&self) -> bool {
        let state = self.0.lock();
        state.cut_at.is_some_and(|cut| state.operations >= cut)
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.0.lock().fails = Some(fault);
    }

    /// Bytes of all files.
    pub(super) fn used(&self) -> usize {
        self.0.lock().used()
    }

    /// Files take at most so many bytes together.
    pub(super) fn set_room(&self, room: usize) {
        self.0.lock().room = Some(room);
    }

    pub(super) fn operations(&self) -> usize {
        self.0.lock().operations
    }

    /// Calls that make something survive, so far.
    pub(super) fn syncs(&self) -> usize {
        self.0.lock().syncs
    }

    pub(super) fn seen(&self) -> BTreeSet<Sync> {
        self.0.lock().seen.clone()
    }

    /// The disk after a power cut: all synced data, and of the rest each sector and name for which `survives` is true.
    pub(super) fn after_power_cut(&self, mut survives: impl FnMut() -> bool) -> Self {
        let state = self.0.lock();
        let mut names = state.safe_names.clone();
        for (name, file) in &state.changes {
            if survives() {
                match file {
                    Some(file) => drop(names.insert(name.clone(), *file)),
                    None => drop(names.remove(name)),
                }
            }
        }
        let mut next = State::default();
        for (name, number) in names {
            let mut file = state.files[&number].after_power_cut(&mut survives);
            file.name.clone_from(&name);
            next.names.insert(name, number);
            next.files.insert(number, file);
        }
        next.safe_names.clone_from(&next.names);
        Self(Arc::new(Mutex::new(next)))
    }

    /// The disk as it is after the process died and the machine did not.
    pub(super) fn after_kill(&self) -> Self {
        self.after_power_cut(|| true)
    }
}

impl State {
    /// Counts an operation that changes something.
    fn operate(&mut self, call: Call) -> io::Result<()> {
        if self.cut_at.is_some_and(|cut| self.operations >= cut) {
            return Err(io::Error::other("the power is cut"));
        }
        self.operations += 1;
        self.may_fail(call)
    }

    fn may_fail(&mut self, call: Call) -> io::Result<()> {
        match &mut self.fails {
            Some(fault) if fault.times > 0 && self.operations > fault.at && fault.calls.contains(&call) => {
                fault.times -= 1;
                Err(fault.kind.into())
            }
            _ => Ok(()),
        }
    }

    fn used(&self) -> usize {
        self.names.values().map(|number| self.files[number].now.len()).sum()
    }

    fn syncs(&mut self, sync: Sync) -> bool {
        self.seen.insert(sync);
        self.syncs += 1;
        match self.ignored {
            Some(Ignored::Kind(kind)) => kind != sync,
            Some(Ignored::Nth(number)) => number != self.syncs - 1,
            None => true,
        }
    }
}

impl SimFile {
    fn write(&mut self, data: &[u8], at: usize) {
        if self.now.len() < at + data.len() {
            self.resize(at + data.len());
        }
        self.now[at..at + data.len()].copy_from_slice(data);
        self.touch(at, at + data.len());
    }

    fn resize(&mut self, len: usize) {
        let old = self.now.len();
        self.now.resize(len, 0);
        self.touch(old.min(len), old.max(len));
    }

    fn touch(&mut self, from: usize, to: usize) {
        self.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
    }

    fn after_power_cut(&self, survives: &mut impl FnMut() -> bool) -> Self {
        // The length is one more thing that may survive or not.
        let len = if self.now.len() == self.safe.len() || survives() { self.now.len() } else { self.safe.len() };
        let mut bytes = self.safe.clone();
        bytes.resize(len, 0);
        for sector in &self.dirty {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(len).min(self.now.len()));
            if from < to && survives() {
                bytes[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
        Self { name: String::new(), now: bytes.clone(), safe: bytes, dirty: BTreeSet::new() }
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.may_fail(Call::Open)?;
        let number = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle { disk: self.clone(), number }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.operate(Call::Create)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.files.keys().next_back().map_or(0, |last| last + 1);
        state.files.insert(number, SimFile { name: name.to_owned(), ..SimFile::default() });
        state.names.insert(name.to_owned(), number);
        state.changes.push((name.to_owned(), Some(number)));
        Ok(Arc::new(Handle { disk: self.clone(), number }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        state.may_fail(Call::List)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate(Call::Remove)?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.changes.push((name.to_owned(), None));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate(Call::Sync)?;
        if state.syncs(Sync::Names) {
            state.safe_names = state.names.clone();
            state.changes.clear();
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    number: usize,
}

impl Handle {
    fn change<T>(&self, call: Call, change: impl FnOnce(&mut SimFile) -> T) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        state.operate(call)?;
        let file = state.files.get_mut(&self.number).ok_or(io::ErrorKind::NotFound)?;
        Ok(change(file))
    }

    fn look<T>(&self, look: impl FnOnce(&SimFile) -> T) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        state.may_fail(Call::Read)?;
        Ok(look(state.files.get(&self.number).ok_or(io::ErrorKind::NotFound)?))
    }
}

impl DiskFile for Handle {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.look(|file| {
            let from = file.now.len().min(at as usize);
            let read = buffer.len().min(file.now.len() - from);
            buffer[..read].copy_from_slice(&file.now[from..from + read]);
            read
        })
    }

    fn write_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.change(Call::Write, |file| file.write(data, at as usize))
    }

    fn len(&self) -> io::Result<u64> {
        self.look(|file| file.now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let have = self.len()?;
        let state = self.disk.0.lock();
        if state.room.is_some_and(|room| len > have && state.used() + (len - have) as usize > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(state);
        self.change(Call::SetLen, |file| file.resize(len as usize))
    }

    fn sync(&self) -> io::Result<()> {
        let pause = self.disk.0.lock().pause.take();
        if let Some((begins, told)) = pause {
            begins.send(()).unwrap();
            told.recv().unwrap();
        }
        let mut state = self.disk.0.lock();
        state.operate(Call::Sync)?;
        let name = state.files[&self.number].name.clone();
        let sync = match name.as_str() {
            crate::durable::store::FILE => Sync::Store,
            crate::durable::open::FORMAT => Sync::Format,
            _ => Sync::Segment,
        };
        if state.syncs(sync)
            && let Some(file) = state.files.get_mut(&self.number)
        {
            file.safe = file.now.clone();
            file.dirty.clear();
        }
        Ok(())
    }
}
