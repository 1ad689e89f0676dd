//! Which records of a segment are about a hook, or about an event. A segment that is full has its index in a file beside it.
//!
//! ```text
//! file: header, keys of hooks, offsets of their records, keys of blocks of positions, offsets of theirs
//! key:  what is looked for (u64), where its offsets begin (u32) and how many there are (u32); sorted
//! ```

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hooks_core::stable_hash;
use hooks_core::uuid::Uuid;

use super::codec::Reader;
use super::record::{Record, checksum};

/// Positions of one block stand behind one key: more keys for each record, or more records to look at for each event.
const BLOCK: u64 = 256;

/// Most blocks that a run of positions is entered in. A longer one, which seeks have and no batch, is looked at for every
/// event.
const MOST_BLOCKS: u64 = 64;

/// The extension of an index that is being written.
pub(super) const NEW: &str = "new";

/// The key for such runs.
const ANYWHERE: u64 = u64::MAX;

const MAGIC: &[u8; 8] = b"hooksix1";
/// Its checksum stands behind it.
const HEADER: usize = 96;
const KEY: usize = 16;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Hook(&'a str),
    Position(u64),
}

/// What is known of a segment without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    /// The log that positions are of.
    pub(super) log: Uuid,
    /// The bytes of the segment that hold records, with its header.
    pub(super) length: u64,
    /// The numbers of the first and the last record.
    pub(super) numbers: (u64, u64),
    /// The earliest and the latest beginning of an attempt.
    pub(super) began: (u64, u64),
    /// The lowest and the highest position.
    pub(super) positions: (u64, u64),
}

/// The index of a segment that is being written.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) summary: Summary,
    hooks: Postings,
    blocks: Postings,
}

/// Keys and offsets of records, in the order of the records.
#[derive(Debug, Default)]
struct Postings(Vec<(u64, u32)>);

impl Summary {
    pub(super) fn new(log: Uuid, length: u64) -> Self {
        let nothing = (u64::MAX, 0);
        Self { log, length, numbers: nothing, began: nothing, positions: nothing }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.0 > self.numbers.1
    }
}

fn widen(range: &mut (u64, u64), by: u64) {
    *range = (range.0.min(by), range.1.max(by));
}

impl Index {
    pub(super) fn new(log: Uuid, length: u64) -> Self {
        Self { summary: Summary::new(log, length), hooks: Postings::default(), blocks: Postings::default() }
    }

    /// Enters the next record.
    pub(super) fn add(&mut self, record: &Record<'_>, offset: u32) {
        let facts = &record.facts;
        widen(&mut self.summary.numbers, facts.number);
        widen(&mut self.summary.began, facts.began);
        self.hooks.add(hash(facts.hook), offset);
        for (first, last) in record.runs() {
            widen(&mut self.summary.positions, first);
            widen(&mut self.summary.positions, last);
            let blocks = first / BLOCK..=last / BLOCK;
            match blocks.end().saturating_sub(*blocks.start()) {
                0..MOST_BLOCKS => blocks.for_each(|block| self.blocks.add(block, offset)),
                _ => self.blocks.add(ANYWHERE, offset),
            }
        }
    }

    /// The offsets of records that may be about this.
    pub(super) fn find(&self, key: Key<'_>) -> Vec<u32> {
        let (is_hook, keys) = keys(key);
        let postings = if is_hook { &self.hooks } else { &self.blocks };
        let mut found: Vec<u32> =
            postings.0.iter().filter(|(known, _)| keys.contains(known)).map(|(_, offset)| *offset).collect();
        found.dedup();
        found
    }

    /// The offsets of all records.
    pub(super) fn all(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.hooks.0.iter().map(|(_, offset)| *offset).collect();
        // Writing the file has sorted them by hook, if it failed.
        all.sort_unstable();
        all
    }

    /// The number of bytes of its file, at most.
    pub(super) fn file_bytes(&self) -> u64 {
        (HEADER + 4 + (self.hooks.0.len() + self.blocks.0.len()) * (KEY + 4)) as u64
    }

    /// Writes the file. It is whole or not there, also after a power cut: what it does not name is not found.
    pub(super) fn write(&mut self, path: &Path) -> io::Result<u64> {
        let (hooks, blocks) = (self.hooks.keys(), self.blocks.keys());
        let mut bytes = self.summary.header([hooks.len(), self.hooks.0.len(), blocks.len(), self.blocks.0.len()]);
        for (keys, postings) in [(hooks, &self.hooks), (blocks, &self.blocks)] {
            for (key, start, count) in keys {
                bytes.extend(key.to_le_bytes());
                bytes.extend(start.to_le_bytes());
                bytes.extend(count.to_le_bytes());
            }
            postings.0.iter().for_each(|(_, offset)| bytes.extend(offset.to_le_bytes()));
        }
        let new = path.with_extension(NEW);
        let written = write_synced(&new, &bytes).and_then(|()| std::fs::rename(&new, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        written.map(|()| bytes.len() as u64)
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

impl Postings {
    fn add(&mut self, key: u64, offset: u32) {
        if self.0.last() != Some(&(key, offset)) {
            self.0.push((key, offset));
        }
    }

    /// Sorts by key; each key with where its offsets begin, and how many there are.
    fn keys(&mut self) -> Vec<(u64, u32, u32)> {
        self.0.sort_unstable();
        self.0.dedup();
        let mut start = 0;
        let keys = self.0.chunk_by(|a, b| a.0 == b.0).map(|chunk| {
            let count = chunk.len() as u32;
            start += count;
            (chunk[0].0, start - count, count)
        });
        keys.collect()
    }
}

fn hash(hook: &str) -> u64 {
    stable_hash(hook.bytes())
}

/// True for hooks, and the keys.
fn keys(key: Key<'_>) -> (bool, [u64; 2]) {
    match key {
        Key::Hook(hook) => (true, [hash(hook); 2]),
        Key::Position(position) => (false, [position / BLOCK, ANYWHERE]),
    }
}

impl Summary {
    /// With the numbers of keys and offsets, of hooks and of blocks.
    fn header(&self, counts: [usize; 4]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.log.as_bytes());
        let Self { length, numbers, began, positions, .. } = *self;
        for number in [length, numbers.0, numbers.1, began.0, began.1, positions.0, positions.1] {
            bytes.extend(number.to_le_bytes());
        }
        counts.iter().for_each(|count| bytes.extend((*count as u32).to_le_bytes()));
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }
}

/// The index of a segment that is full.
#[derive(Debug)]
pub(super) struct StoredIndex {
    file: File,
    counts: [u32; 4],
    pub(super) summary: Summary,
    /// The number of bytes of the file.
    pub(super) bytes: u64,
}

impl StoredIndex {
    /// Opens the file. `None`: it is none, or not whole.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut header = [0; HEADER + 4];
        if file.read_exact_at(&mut header, 0).is_err() {
            return Ok(None);
        }
        let read = (|| {
            let mut reader = Reader(&header);
            let is_right = reader.array()? == *MAGIC && checksum(&header[..HEADER]) == u32_at(&header, HEADER);
            let log = Uuid::from_bytes(reader.array()?);
            let mut number = || reader.array().map(u64::from_le_bytes);
            let length = number()?;
            let (numbers, began, positions) = ((number()?, number()?), (number()?, number()?), (number()?, number()?));
            is_right.then_some(Summary { log, length, numbers, began, positions })
        })();
        let counts = [0, 4, 8, 12].map(|at| u32_at(&header, HEADER - 16 + at));
        let Some(summary) = read else { return Ok(None) };
        let stored = Self { file, counts, summary, bytes };
        Ok((stored.place(4) == bytes).then_some(stored))
    }

    /// Where a part begins: keys of hooks, their offsets, keys of blocks, their offsets, and the end.
    fn place(&self, part: usize) -> u64 {
        let sizes = [KEY, 4, KEY, 4];
        let before = self.counts.iter().zip(sizes).take(part).map(|(count, size)| u64::from(*count) * size as u64);
        (HEADER + 4) as u64 + before.sum::<u64>()
    }

    /// The offsets of records that may be about this.
    pub(super) fn find(&self, key: Key<'_>) -> io::Result<Vec<u32>> {
        let (is_hook, [first, second]) = keys(key);
        let part = if is_hook { 0 } else { 2 };
        let mut found = self.offsets(part, first)?;
        if first != second {
            found.extend(self.offsets(part, second)?);
            found.sort_unstable();
            found.dedup();
        }
        Ok(found)
    }

    /// The offsets of all records.
    pub(super) fn all(&self) -> io::Result<Vec<u32>> {
        let mut all = self.list(1, 0, self.counts[1])?;
        all.sort_unstable();
        Ok(all)
    }

    fn offsets(&self, part: usize, key: u64) -> io::Result<Vec<u32>> {
        let (mut low, mut high) = (0, u64::from(self.counts[part]));
        while low < high {
            let middle = low.midpoint(high);
            let mut entry = [0; KEY];
            self.file.read_exact_at(&mut entry, self.place(part) + middle * KEY as u64)?;
            let found = u64::from(u32_at(&entry, 0)) | u64::from(u32_at(&entry, 4)) << 32;
            match found.cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.list(part + 1, u32_at(&entry, 8), u32_at(&entry, 12)),
            }
        }
        Ok(Vec::new())
    }

    fn list(&self, part: usize, start: u32, count: u32) -> io::Result<Vec<u32>> {
        if start.checked_add(count).is_none_or(|end| end > self.counts[part]) {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; count as usize * 4];
        self.file.read_exact_at(&mut bytes, self.place(part) + u64::from(start) * 4)?;
        Ok(bytes.chunks_exact(4).map(|bytes| u32_at(bytes, 0)).collect())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}
