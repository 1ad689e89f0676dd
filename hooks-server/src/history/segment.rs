//! A file of records.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hooks_core::AttemptOutcome;
use hooks_core::uuid::Uuid;

use super::codec::Reader;
use super::index::{Index, NEW, StoredIndex, Summary};
use super::record::{FRAME, Record, bodies, checksum};

const MAGIC: &[u8; 8] = b"hooksat1";

/// The length of a segment's header.
pub(super) const HEADER: usize = 28;

/// Attempts that went well, or others: each kind has files and a budget of its own, so that the many never push out the
/// few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chain {
    Delivered,
    Failed,
}

impl Chain {
    pub(super) const ALL: [Self; 2] = [Self::Delivered, Self::Failed];

    pub(super) fn of(outcome: AttemptOutcome) -> Self {
        match outcome {
            AttemptOutcome::Delivered => Self::Delivered,
            AttemptOutcome::Partly | AttemptOutcome::Failed | AttemptOutcome::Skipped => Self::Failed,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A segment that is full, or is not written to for another reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) path: PathBuf,
    pub(super) summary: Summary,
    /// The number of bytes of its two files.
    pub(super) bytes: u64,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) path: PathBuf,
    file: File,
    pub(super) index: Index,
}

/// The path of a segment whose first record has this number.
fn path(folder: &Path, first: u64, chain: Chain) -> PathBuf {
    folder.join(format!("{first:020}.{}", chain.extension()))
}

/// The extension of an index, behind the name of its segment.
const INDEX: &str = "index";

/// The path of a segment's index.
pub(super) fn index_path(segment: &Path) -> PathBuf {
    let mut path = segment.as_os_str().to_owned();
    path.push(".");
    path.push(INDEX);
    path.into()
}

/// The segments of a folder, oldest first.
pub(super) fn list(folder: &Path, chain: Chain) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_number = |stem: &str| stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
        let has_name = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_number);
        if has_name && path.extension().is_some_and(|extension| extension == chain.extension()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a segment with its index.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    // First that without which it would be read anew.
    let removed = std::fs::remove_file(path);
    let _ = std::fs::remove_file(index_path(path));
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes indexes without their segments, and those that were not written to their end: a crash leaves some.
pub(super) fn remove_leftovers(folder: &Path, chain: Chain, segments: &[PathBuf]) -> io::Result<()> {
    let indexes: HashSet<PathBuf> = segments.iter().map(|segment| index_path(segment)).collect();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_index = path.extension().is_some_and(|extension| extension == INDEX || extension == NEW);
        let is_of_chain =
            path.file_stem().is_some_and(|stem| Path::new(stem).extension() == Some(chain.extension().as_ref()));
        if is_index && is_of_chain && !indexes.contains(&path) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl Sealed {
    /// A segment whose index is whole. `None`: it has none.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let length = std::fs::metadata(path)?.len();
        let index = match StoredIndex::open(&index_path(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            index => index?,
        };
        let index = index.filter(|index| index.summary.length == length);
        let sealed =
            |index: StoredIndex| Self { path: path.to_owned(), summary: index.summary, bytes: length + index.bytes };
        Ok(index.map(sealed))
    }
}

impl Active {
    /// A new segment.
    pub(super) fn create(folder: &Path, chain: Chain, first: u64, log: Uuid) -> io::Result<Self> {
        let path = path(folder, first, chain);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let header = [&MAGIC[..], log.as_bytes(), &checksum(log.as_bytes()).to_le_bytes()].concat();
        file.write_all_at(&header, 0).inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        Ok(Self { path, file, index: Index::new(log, HEADER as u64) })
    }

    /// Reads a segment that has no index. With `writes`, what is torn at its end is cut off. `None`: it holds no record.
    pub(super) fn read(path: &Path, writes: bool) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(writes).open(path)?;
        let bytes = std::fs::read(path)?;
        let Some(index) = scan(&bytes).filter(|index| !index.summary.is_empty()) else { return Ok(None) };
        if writes {
            file.set_len(index.summary.length)?;
            // One of a longer file would be right again when this one is as long.
            match std::fs::remove_file(index_path(path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(Some(Self { path: path.to_owned(), file, index }))
    }

    pub(super) fn length(&self) -> u64 {
        self.index.summary.length
    }

    /// Appends whole frames. After an error nothing was.
    pub(super) fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frames, self.length())?;
        enter(&mut self.index, frames);
        Ok(())
    }

    /// Writes the index: the segment is not written to any more.
    pub(super) fn seal(&mut self) -> io::Result<Sealed> {
        // Whatever a write that failed left behind the last record.
        self.file.set_len(self.length())?;
        let index = self.index.write(&index_path(&self.path))?;
        Ok(Sealed { path: self.path.clone(), summary: self.index.summary, bytes: self.length() + index })
    }
}

/// Enters frames that stand at the end of a segment.
fn enter(index: &mut Index, frames: &[u8]) {
    let start = index.summary.length;
    for (offset, body) in bodies(frames) {
        if let Some(record) = Record::read(body) {
            index.add(&record, start as u32 + offset as u32);
        }
        index.summary.length = start + (offset + FRAME + body.len()) as u64;
    }
}

/// The index of a segment's bytes, as far as they are whole. `None`: it is no segment.
pub(super) fn scan(bytes: &[u8]) -> Option<Index> {
    let mut header = Reader(bytes);
    let is_ours = header.array()? == *MAGIC;
    let log: [u8; 16] = header.array()?;
    let is_whole = header.array()? == checksum(&log).to_le_bytes();
    if !is_ours || !is_whole {
        return None;
    }
    let mut index = Index::new(Uuid::from_bytes(log), HEADER as u64);
    let sound = bodies(header.0).take_while(|(offset, body)| {
        let said = header.0.get(offset + 4..offset + FRAME).unwrap_or_default();
        said == checksum(body).to_le_bytes() && Record::read(body).is_some()
    });
    let end = sound.last().map_or(0, |(offset, body)| offset + FRAME + body.len());
    enter(&mut index, &header.0[..end]);
    Some(index)
}

/// Reads the record at an offset. False: it is damaged.
pub(super) fn read_record(file: &File, offset: u32, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.resize(GUESS, 0);
    let mut read = 0;
    // At the end of the file there is less.
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], u64::from(offset) + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes.truncate(read);
    let Some(length) = bytes.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes) else {
        return Ok(false);
    };
    let whole = FRAME + length as usize;
    if whole > MAX_RECORD {
        return Ok(false);
    }
    if whole > read {
        bytes.resize(whole, 0);
        match file.read_exact_at(&mut bytes[read..], u64::from(offset) + read as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
    }
    bytes.truncate(whole);
    let said = bytes.get(4..FRAME).unwrap_or_default();
    // Zeros, where nothing was written, are no record.
    Ok(whole > FRAME && said == checksum(&bytes[FRAME..]).to_le_bytes())
}

/// As long as nearly all records are at most.
const GUESS: usize = 512;

/// The longest record, with its frame.
pub(super) const MAX_RECORD: usize = 1 << 20;
