//! The segments of a history: what is written, what goes for it, and what can be read.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::uuid::Uuid;

use super::index::{Key, Summary};
use super::record::{FRAME, bodies, checksum, outcome_of};
use super::segment::{self, Active, Chain, MAX_RECORD, Sealed};

/// The file that a process locks while it writes to the folder.
const LOCK: &str = "lock";

/// The sizes of a segment, least and most.
const SIZES: (u64, u64) = (64 << 10, 8 << 20);

/// A chain has about as many segments when it is full: as much of it goes at once.
const PARTS: u64 = 32;

/// What limits a history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For each chain.
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
}

impl Limits {
    fn segment(&self) -> u64 {
        (self.max_bytes / PARTS).clamp(SIZES.0, SIZES.1)
    }
}

/// The reason why a history can't be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Another process has the folder.
    #[error("{}: another process keeps its history there", .0.display())]
    InUse(PathBuf),
    /// Its folder can't be used.
    #[error("{}: can't {what}", .folder.display())]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// What can't be done.
        what: &'static str,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// There can be no thread that writes.
    #[error("no thread can be started")]
    Thread(#[source] io::Error),
}

/// All segments of a folder.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// The log of the attempts that are recorded.
    log: Uuid,
    limits: Limits,
    chains: [Segments; 2],
    /// `None` where it is only looked at.
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct Segments {
    sealed: VecDeque<Arc<Sealed>>,
    active: Option<Active>,
}

/// What a query may have to look at.
pub(super) struct View {
    pub(super) path: PathBuf,
    pub(super) summary: Summary,
    /// Of a segment that is written to: the records that may be about what is looked for. `None`: its index says so.
    pub(super) offsets: Option<Vec<u32>>,
}

impl Segments {
    fn bytes(&self) -> u64 {
        let active = self.active.as_ref().map_or(0, Active::length);
        active + self.sealed.iter().map(|sealed| sealed.bytes).sum::<u64>()
    }

    /// Removes the oldest segments until so many bytes more fit.
    fn make_room(&mut self, bytes: u64, limits: &Limits) {
        let mut taken = self.bytes();
        while taken + bytes > limits.max_bytes
            && let Some(oldest) = self.sealed.pop_front()
        {
            taken -= oldest.bytes;
            remove(&oldest.path);
        }
    }

    fn seal(&mut self, limits: &Limits) -> io::Result<()> {
        let Some(mut active) = self.active.take() else { return Ok(()) };
        self.make_room(active.length() + active.index.file_bytes(), limits);
        match active.seal() {
            Ok(sealed) => self.sealed.push_back(Arc::new(sealed)),
            Err(error) => {
                self.active = Some(active);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// What can't be removed is removed by the next process.
fn remove(path: &Path) {
    if let Err(error) = segment::remove(path) {
        let path = path.display();
        tracing::warn!(%path, %error, "a part of the history that is to go can't be removed");
    }
}

impl Shelf {
    /// Opens a folder to write to it, made if it is missing. No other process may.
    ///
    /// # Errors
    /// When it can't be.
    pub(super) fn open(folder: &Path, log: Uuid, limits: Limits) -> Result<Self, HistoryError> {
        let failed =
            |what: &'static str, error: io::Error| HistoryError::Failed { folder: folder.to_owned(), what, error };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(|error| failed("make the folder", error))?;
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join(LOCK));
        let lock = lock.map_err(|error| failed("open `lock` in it", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HistoryError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed("lock it", error)),
        }
        let chains = Chain::ALL.map(|chain| recover(folder, chain, true));
        let [delivered, failures] = chains;
        let failed = |error: io::Error| failed("read its segments", error);
        let chains = [delivered.map_err(failed)?, failures.map_err(failed)?];
        let mut shelf = Self { folder: folder.to_owned(), log, limits, chains, _lock: Some(lock) };
        for segments in &mut shelf.chains {
            segments.make_room(0, &limits);
        }
        Ok(shelf)
    }

    /// Looks at a folder without changing it.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn look(folder: &Path, log: Uuid, limits: Limits) -> io::Result<Self> {
        let [delivered, failures] = Chain::ALL.map(|chain| recover(folder, chain, false));
        Ok(Self { folder: folder.to_owned(), log, limits, chains: [delivered?, failures?], _lock: None })
    }

    pub(super) fn log(&self) -> Uuid {
        self.log
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The bytes that it takes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.chains.iter().map(Segments::bytes).sum()
    }

    /// The number of the newest record.
    pub(super) fn newest(&self) -> u64 {
        let summaries = self.chains.iter().flat_map(|segments| {
            let active = segments.active.as_ref().map(|active| active.index.summary);
            segments.sealed.back().map(|sealed| sealed.summary).into_iter().chain(active)
        });
        summaries.filter(|summary| !summary.is_empty()).map(|summary| summary.numbers.1).max().unwrap_or(0)
    }

    /// Appends frames, whose checksums are filled in here. Returns how many were not written, and the error of the last.
    pub(super) fn append(&mut self, frames: &[u8]) -> (u64, Option<io::Error>) {
        let (mut lost, mut error) = (0, None);
        for chain in Chain::ALL {
            let mut batch = Vec::new();
            let mut count = 0;
            let of_chain =
                bodies(frames).filter(|(_, body)| outcome_of(body).is_some_and(|outcome| Chain::of(outcome) == chain));
            for (_, body) in of_chain {
                let bytes = (FRAME + body.len()) as u64;
                if bytes > (self.limits.segment() / 2).min(MAX_RECORD as u64) {
                    lost += 1;
                    continue;
                }
                let length = self.chains[chain as usize].active.as_ref().map_or(0, Active::length);
                if length + batch.len() as u64 + bytes > self.limits.segment() {
                    error = self.write(chain, &batch).err().inspect(|_| lost += count).or(error);
                    error = self.seal(chain).err().or(error);
                    batch.clear();
                    count = 0;
                }
                batch.extend((body.len() as u32).to_le_bytes());
                batch.extend(checksum(body).to_le_bytes());
                batch.extend(body);
                count += 1;
            }
            error = self.write(chain, &batch).err().inspect(|_| lost += count).or(error);
        }
        (lost, error)
    }

    fn write(&mut self, chain: Chain, frames: &[u8]) -> io::Result<()> {
        let Some((_, first)) = bodies(frames).next() else { return Ok(()) };
        let segments = &mut self.chains[chain as usize];
        let is_of_log = |active: &mut Active| active.index.summary.log == self.log;
        if segments.active.is_some() && segments.active.as_mut().is_none_or(|active| !is_of_log(active)) {
            segments.seal(&self.limits)?;
        }
        segments.make_room(frames.len() as u64 + segment::HEADER as u64, &self.limits);
        let active = match &mut segments.active {
            Some(active) => active,
            none => {
                let number = first.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
                none.insert(Active::create(&self.folder, chain, number, self.log)?)
            }
        };
        active.append(frames)
    }

    pub(super) fn seal(&mut self, chain: Chain) -> io::Result<()> {
        self.chains[chain as usize].seal(&self.limits)
    }

    /// Removes what is too old by this time, in microseconds since 1970.
    pub(super) fn expire(&mut self, now: u64) -> io::Result<()> {
        let age = u64::try_from(self.limits.max_age.as_micros()).unwrap_or(u64::MAX);
        let oldest = now.saturating_sub(age);
        for segments in &mut self.chains {
            while segments.sealed.front().is_some_and(|sealed| sealed.summary.numbers.1 < oldest)
                && let Some(first) = segments.sealed.pop_front()
            {
                remove(&first.path);
            }
            // So that what is quiet does not keep what is too old.
            let is_old = |active: &Active| active.index.summary.numbers.0 < now.saturating_sub(age / PARTS);
            if segments.active.as_ref().is_some_and(is_old) {
                segments.seal(&self.limits)?;
            }
        }
        Ok(())
    }

    /// What may have records about this, of these chains, oldest first.
    pub(super) fn views(&self, chain: Chain, key: Option<Key<'_>>) -> Vec<View> {
        let segments = &self.chains[chain as usize];
        let may_have = |summary: &Summary| match key {
            Some(Key::Position(position)) => {
                summary.log == self.log && (summary.positions.0..=summary.positions.1).contains(&position)
            }
            _ => true,
        };
        let sealed = segments.sealed.iter().filter(|sealed| may_have(&sealed.summary));
        let sealed = sealed.map(|sealed| View { path: sealed.path.clone(), summary: sealed.summary, offsets: None });
        let active = segments.active.iter().filter(|active| may_have(&active.index.summary));
        let active = active.map(|active| View {
            path: active.path.clone(),
            summary: active.index.summary,
            offsets: Some(key.map_or_else(|| active.index.all(), |key| active.index.find(key))),
        });
        sealed.chain(active).filter(|view| !view.summary.is_empty()).collect()
    }
}

/// The segments of a folder. With `writes`, those without an index get one, but for the last, which is written to.
fn recover(folder: &Path, chain: Chain, writes: bool) -> io::Result<Segments> {
    let mut segments = Segments::default();
    let paths = segment::list(folder, chain)?;
    if writes {
        segment::remove_leftovers(folder, chain, &paths)?;
    }
    for path in &paths {
        if let Some(sealed) = Sealed::open(path)? {
            segments.sealed.push_back(Arc::new(sealed));
            continue;
        }
        match Active::read(path, writes)? {
            Some(active) if Some(path) == paths.last() => segments.active = Some(active),
            Some(mut active) if writes => segments.sealed.push_back(Arc::new(active.seal()?)),
            None if writes => segment::remove(path)?,
            // It was cut off from its index by somebody else, who left it to the next daemon.
            _ => {}
        }
    }
    Ok(segments)
}
