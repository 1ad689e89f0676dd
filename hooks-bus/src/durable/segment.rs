//! One file of the log, read in pieces.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::disk::DiskFile;
use super::format::{HEADER_BYTES, RECORD_BYTES, Record};
use super::tenants::FileTenants;

/// Bytes read at a time.
pub(crate) const PIECE: usize = 256 << 10;

/// A file of the log. Its contents never change, except that the newest one grows.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The position of its first event.
    pub(crate) first: u64,
    /// The time in its header when it was begun. 0 where the header can't be read.
    pub(crate) stamp: u64,
    /// The time when it was begun, in seconds since 1970. 0 where unknown.
    begun: AtomicU64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Its size on the disk.
    bytes: AtomicU64,
    /// The offset behind its last record.
    used: AtomicU64,
    /// The places of some records, rising.
    marks: Mutex<Vec<Mark>>,
    /// What the events of tenants take in it.
    pub(crate) tenants: FileTenants,
}

/// A record's place and the time when it was accepted, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Mark {
    place: Place,
    accepted: u32,
}

/// Bytes between two marks in the newest segment, because many hooks are a few events behind its end. In other
/// segments marks are a piece apart.
pub(crate) const MARK_SPACING: usize = 16 << 10;

/// Seconds between two marks, and the part of an old segment's age between them, whichever is longer: even a segment
/// that takes months to fill has only a few thousand marks.
const MARK_AGE: (u32, u32) = (60, 1000);

/// A record's place in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) offset: u64,
}

/// Unreadable positions, from the first to before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap(pub(crate) u64, pub(crate) u64);

/// Consecutive intact records of a segment, as they are on the disk.
#[derive(Debug)]
pub(crate) struct RawPiece {
    buffer: Vec<u8>,
    records: Vec<(Record, usize)>,
    /// The beginning of the next piece.
    pub(crate) next: Place,
    pub(crate) gaps: Vec<Gap>,
}

impl RawPiece {
    /// Each record with its event.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&Record, &[u8])> {
        self.records.iter().map(|(record, at)| (record, &self.buffer[at + RECORD_BYTES..at + record.size()]))
    }
}

impl Segment {
    pub(crate) fn new(first: u64, stamp: u64, file: Arc<dyn DiskFile>, bytes: u64) -> Self {
        let [begun, bytes, used] = [stamp, bytes, bytes].map(AtomicU64::new);
        Self { first, stamp, begun, file, bytes, used, marks: Mutex::default(), tenants: FileTenants::default() }
    }

    /// The time when it was begun, in seconds since 1970, where known.
    pub(crate) fn begun(&self) -> Option<u64> {
        Some(self.begun.load(Ordering::Relaxed)).filter(|begun| *begun > 0)
    }

    pub(crate) fn set_begun(&self, begun: u64) {
        self.begun.store(begun, Ordering::Relaxed);
    }

    /// The time of its oldest readable record, for a segment without a header.
    pub(crate) fn begun_by_records(&self) -> io::Result<Option<u64>> {
        let mut piece = self.read(self.begin(), u64::MAX, PIECE)?;
        if piece.records.is_empty() && piece.next != self.begin() {
            piece = self.read(piece.next, u64::MAX, PIECE)?;
        }
        Ok(piece.records.first().map(|(record, _)| record.accepted.into()))
    }

    /// Seconds by which its time was moved along with the clock since it was begun. 0 where its header can't be read.
    pub(crate) fn moved(&self) -> i64 {
        let begun = self.begun().filter(|_| self.stamp > 0);
        begun.map_or(0, |begun| begun.cast_signed() - self.stamp.cast_signed())
    }

    /// The place of the first record.
    pub(crate) fn begin(&self) -> Place {
        Place { position: self.first, offset: HEADER_BYTES as u64 }
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The offset behind its last record.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn set_used(&self, used: u64) {
        self.used.store(used, Ordering::Relaxed);
    }

    /// Ends the segment at this offset.
    pub(crate) fn seal(&self, used: u64) {
        self.trim(used);
        let mut marks = self.marks.lock();
        let mut last: Option<Mark> = None;
        marks.retain(|mark| {
            let stays = last.is_none_or(|last| !self.is_near(&last, mark, PIECE));
            last = if stays { Some(*mark) } else { last };
            stays
        });
        marks.shrink_to_fit();
    }

    /// Frees the space behind this offset. A crash may undo that without harm.
    pub(crate) fn trim(&self, used: u64) {
        self.set_used(used);
        if used < self.size() && self.file.set_len(used).is_ok() {
            self.bytes.store(used, Ordering::Relaxed);
        }
    }

    /// Marks a record, unless one within this many bytes before it and about as old is marked.
    pub(crate) fn mark(&self, place: Place, accepted: u32, within: usize) {
        let mut marks = self.marks.lock();
        let mark = Mark { place, accepted };
        if !marks.last().is_some_and(|last| self.is_near(last, &mark, within)) {
            marks.push(mark);
        }
    }

    /// True if the last mark makes another one needless.
    fn is_near(&self, last: &Mark, mark: &Mark, within: usize) -> bool {
        let begun = self.begun().and_then(|begun| u32::try_from(begun).ok()).unwrap_or(0);
        let step = MARK_AGE.0.max(mark.accepted.saturating_sub(begun) / MARK_AGE.1);
        let is_close = last.place.offset + within as u64 > mark.place.offset;
        mark.place.offset <= last.place.offset || is_close && mark.accepted < last.accepted.saturating_add(step)
    }

    /// The last marked place at or before this position.
    pub(crate) fn nearest(&self, position: u64) -> Place {
        self.marked(position).map_or_else(|| self.begin(), |mark| mark.place)
    }

    /// The earliest time when this position's event may have been accepted, in seconds since 1970.
    pub(crate) fn accepted(&self, position: u64) -> Option<u64> {
        self.marked(position).map(|mark| mark.accepted.into()).or_else(|| self.begun())
    }

    /// The position of the first record before `end` that was accepted at this time or later, in seconds since 1970.
    pub(crate) fn since(&self, since: u64, end: u64) -> io::Result<Option<u64>> {
        // As the file's time was moved along with the clock, so are those of its records.
        let moved = self.moved();
        let is_late = |accepted: u32| u64::from(accepted).saturating_add_signed(moved) >= since;
        let mut place = {
            let marks = self.marks.lock();
            let late = marks.iter().position(|mark| is_late(mark.accepted)).unwrap_or(marks.len());
            late.checked_sub(1).map_or_else(|| self.begin(), |before| marks[before].place)
        };
        while place.position < end {
            let piece = self.read(place, end, PIECE)?;
            if let Some((record, _)) = piece.records().find(|(record, _)| is_late(record.accepted)) {
                return Ok(Some(record.position));
            }
            place = piece.next;
        }
        Ok(None)
    }

    /// The last marked place at or before this position whose records were all accepted before `since`, in seconds since
    /// 1970.
    pub(crate) fn nearest_before(&self, position: u64, since: u64) -> Place {
        let marks = self.marks.lock();
        let is_early = |mark: &Mark| u64::from(mark.accepted).saturating_add_signed(self.moved()) < since;
        let early = marks.iter().take_while(|mark| mark.place.position <= position && is_early(mark)).last();
        early.map_or_else(|| self.begin(), |mark| mark.place)
    }

    /// The position of a record that is followed by none that was accepted before `until`, in seconds since 1970; or `end`.
    pub(crate) fn end_before(&self, until: u64, end: u64) -> u64 {
        let marks = self.marks.lock();
        let is_late = |mark: &&Mark| u64::from(mark.accepted).saturating_add_signed(self.moved()) >= until;
        marks.iter().find(is_late).map_or(end, |mark| mark.place.position.min(end))
    }

    /// A marked place before this position, about a piece before it; and the bytes from there to the next mark behind
    /// the position, or to the end.
    pub(crate) fn stretch_before(&self, position: u64) -> (Place, u64) {
        let marks = self.marks.lock();
        let before = marks.partition_point(|mark| mark.place.position < position);
        let end = marks.get(before).map_or_else(|| self.used(), |mark| mark.place.offset);
        let is_far = |mark: &&Mark| mark.place.offset + PIECE as u64 <= end;
        let begin = match marks[..before].iter().rev().find(is_far) {
            _ if before == 0 => self.begin(),
            Some(mark) => mark.place,
            None => self.begin(),
        };
        (begin, end.saturating_sub(begin.offset))
    }

    fn marked(&self, position: u64) -> Option<Mark> {
        let marks = self.marks.lock();
        let after = marks.partition_point(|mark| mark.place.position <= position);
        after.checked_sub(1).map(|at| marks[at])
    }

    /// Reads whole records from this place to before position `end`: about `want` bytes, and at least one record.
    pub(crate) fn read(&self, from: Place, end: u64, want: usize) -> io::Result<RawPiece> {
        let mut piece = RawPiece { buffer: vec![0; want], records: Vec::new(), next: from, gaps: Vec::new() };
        let read = self.file.read_at(&mut piece.buffer, from.offset)?;
        piece.buffer.truncate(read);
        let mut at = 0;
        while piece.next.position < end {
            let here = &piece.buffer[at..];
            let record = Record::peek(here).filter(|record| record.position == piece.next.position);
            match record {
                Some(record) if record.is_intact(here) => {
                    piece.records.push((record, at));
                    at += record.size();
                    piece.next = Place { position: record.position + 1, offset: from.offset + at as u64 };
                }
                // The record may continue behind the buffer.
                _ if at > 0 && here.len() < record.map_or(RECORD_BYTES, |record| record.size()) => break,
                Some(record) if here.len() < record.size() && self.holds(piece.next.offset, &record)? => {
                    piece.buffer.resize(record.size(), 0);
                    let read = self.file.read_at(&mut piece.buffer, from.offset)?;
                    piece.buffer.truncate(read);
                }
                _ => {
                    // Returns the records before the damage first.
                    if piece.records.is_empty() {
                        let found = self.find(piece.next, end)?;
                        piece.gaps.push(Gap(piece.next.position, found.position));
                        piece.next = found;
                    }
                    break;
                }
            }
        }
        if let Some((record, 0)) = piece.records.first() {
            self.mark(from, record.accepted, PIECE);
        }
        Ok(piece)
    }

    /// Finds the place from which to read this position.
    pub(crate) fn seek(&self, position: u64, end: u64) -> io::Result<Place> {
        let mut place = self.nearest(position);
        while place.position < position {
            let piece = self.read(place, end.min(position), PIECE)?;
            if piece.next == place {
                break;
            }
            place = piece.next;
        }
        Ok(place)
    }

    fn holds(&self, offset: u64, record: &Record) -> io::Result<bool> {
        Ok(offset + record.size() as u64 <= self.file.len()?)
    }

    /// The first intact record behind a damaged place, or, where there is none, position `end`.
    fn find(&self, from: Place, end: u64) -> io::Result<Place> {
        let len = self.file.len()?;
        let mut offset = from.offset;
        let mut window = vec![0; PIECE];
        while offset < len {
            let read = self.file.read_at(&mut window, offset)?;
            let bytes = &window[..read];
            if bytes.iter().any(|byte| *byte != 0)
                && let Some(found) = self.find_in(bytes, offset, from, end.min(from.position + len), len)?
            {
                return Ok(found);
            }
            // A record may begin in the last bytes.
            let step = read.saturating_sub(RECORD_BYTES - 1).max(1);
            offset += step as u64;
        }
        Ok(Place { position: end, offset: len })
    }

    fn find_in(&self, bytes: &[u8], offset: u64, from: Place, end: u64, len: u64) -> io::Result<Option<Place>> {
        for at in 0..(bytes.len() + 1).saturating_sub(RECORD_BYTES) {
            let Some(record) = Record::peek(&bytes[at..]) else { continue };
            let place = Place { position: record.position, offset: offset + at as u64 };
            let plausible = (from.position..end).contains(&record.position)
                && place.offset > from.offset
                && place.offset + record.size() as u64 <= len;
            if !plausible {
                continue;
            }
            let mut whole = vec![0; record.size()];
            let read = self.file.read_at(&mut whole, place.offset)?;
            if record.is_intact(&whole[..read]) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
