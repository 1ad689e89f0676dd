//! The segments of the log, and the end of the safe events.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use super::begun::Begun;
use super::disk::Disk;
use super::format::segment_name;
use super::segment::{Place, RawPiece, Segment};

/// A file made to test whether one can be made, then removed.
const PROBE: &str = "probe";

/// The log, for reading it and removing its oldest segments.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// Every event before this position is safe.
    end: AtomicU64,
    /// Segments before this position are being removed.
    floor: AtomicU64,
    damaged: AtomicBool,
    /// What tenants take is known of all files.
    counted: AtomicBool,
}

/// A segment and the position behind its last event.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    pub(crate) end: u64,
}

impl Log {
    pub(crate) fn new(disk: Arc<dyn Disk>, segments: Vec<Arc<Segment>>, end: u64) -> Self {
        let segments = segments.into_iter().map(|segment| (segment.first, segment)).collect();
        Self {
            disk,
            segments: RwLock::new(segments),
            end: end.into(),
            floor: 0.into(),
            damaged: false.into(),
            counted: false.into(),
        }
    }

    /// The position behind the last safe event.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// The position of the oldest event that the log can have.
    pub(crate) fn begin(&self) -> u64 {
        let oldest = self.segments.read().keys().next().copied().unwrap_or_else(|| self.end());
        oldest.max(self.floor.load(Ordering::Acquire))
    }

    /// The segments before this position are going to be removed: no hook begins in one.
    pub(crate) fn begin_at(&self, floor: u64) {
        self.floor.fetch_max(floor, Ordering::AcqRel);
    }

    /// Bytes on the disk.
    pub(crate) fn size(&self) -> u64 {
        self.sum(Segment::size)
    }

    /// The sum of something over all segments.
    pub(crate) fn sum(&self, of: impl Fn(&Segment) -> u64) -> u64 {
        self.segments.read().values().map(|segment| of(segment)).sum()
    }

    /// True if what tenants take is known of all files.
    pub(crate) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Acquire)
    }

    pub(crate) fn set_counted(&self) {
        self.counted.store(true, Ordering::Release);
    }

    /// Bytes on the disk of the segment with this position and those behind it.
    pub(crate) fn size_from(&self, position: u64) -> u64 {
        let segments = self.segments.read();
        let first = segments.range(..=position).next_back().map_or(0, |(first, _)| *first);
        segments.range(first..).map(|(_, segment)| segment.size()).sum()
    }

    /// All segments, oldest first.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let segments = self.segments.read();
        let nexts = segments.values().skip(1).map(Some).chain([None]);
        segments.values().zip(nexts).map(|(segment, next)| self.part(segment, next)).collect()
    }

    /// The segment with this position, or the oldest one behind it. `None` in a log without segments.
    pub(crate) fn locate(&self, position: u64) -> Option<Part> {
        let segments = self.segments.read();
        let here = segments.range(..=position).next_back().map(|(_, segment)| segment);
        let segment = here.or_else(|| segments.values().next())?;
        let next = segments.range(segment.first + 1..).next().map(|(_, next)| next);
        Some(self.part(segment, next))
    }

    /// The oldest segment, if another follows it.
    pub(crate) fn oldest(&self) -> Option<Part> {
        let segments = self.segments.read();
        let mut both = segments.values();
        let (oldest, next) = (both.next()?, both.next()?);
        Some(self.part(oldest, Some(next)))
    }

    /// All segments but the newest, oldest first.
    pub(crate) fn parts_but_newest(&self) -> Vec<Part> {
        let mut parts = self.parts();
        parts.pop();
        parts
    }

    /// The time when a later segment was begun, in seconds since 1970: no event of this one is younger. `None` where
    /// unknown. Later segments with an earlier time don't count: the clock was set back.
    pub(crate) fn sealed(&self, segment: &Segment) -> Option<u64> {
        let begun = segment.begun().unwrap_or(0);
        let segments = self.segments.read();
        let later = segments.range(segment.first + 1..).filter_map(|(_, later)| later.begun());
        later.into_iter().find(|later| *later >= begun)
    }

    /// The position of the first event that was accepted at this time or later, in seconds since 1970; else the end.
    /// Blocks: it reads the segment that may have it, as far as its marks don't say more, and the next if it has not.
    pub(crate) fn since(&self, since: u64) -> io::Result<u64> {
        for part in self.parts() {
            // None of its events is younger.
            if self.sealed(&part.segment).is_some_and(|sealed| sealed < since) {
                continue;
            }
            if let Some(position) = part.segment.since(since, part.end)? {
                return Ok(position);
            }
        }
        Ok(self.end())
    }

    /// Moves the times of all segments by as much as the clock was set, at most to `now`.
    pub(crate) fn move_along(&self, by: i64, now: u64) {
        for segment in self.segments.read().values() {
            if let Some(begun) = segment.begun() {
                segment.set_begun(begun.saturating_add_signed(by).clamp(1, now.max(1)));
            }
        }
    }

    /// The times when segments were begun, where known.
    pub(crate) fn begun(&self) -> Begun {
        let segments = self.segments.read();
        segments.values().filter_map(|segment| Some((segment.first, (segment.stamp, segment.begun()?)))).collect()
    }

    /// True once events could not be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(crate) fn set_damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, segment: Arc<Segment>) {
        self.segments.write().insert(segment.first, segment);
    }

    pub(crate) fn last(&self) -> Option<Arc<Segment>> {
        self.segments.read().values().next_back().cloned()
    }

    /// Removes the oldest segment, even the only one. As for [`remove_below`](Self::remove_below).
    pub(crate) fn remove(&self, segment: &Segment) -> io::Result<()> {
        match self.disk.remove(&segment_name(segment.first)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.segments.write().remove(&segment.first);
                Ok(())
            }
        }
    }

    /// Removes segments that end at or before this position, which the database must have as the floor: if a crash
    /// undoes the removal, opening the folder repeats it.
    pub(crate) fn remove_below(&self, floor: u64) -> io::Result<()> {
        while let Some(part) = self.oldest().filter(|part| part.end <= floor) {
            self.remove(&part.segment)?;
        }
        Ok(())
    }

    /// Tests whether another file can be begun. Blocks.
    pub(crate) fn try_begin(&self) -> io::Result<()> {
        // A crash may have left one.
        let _ = self.disk.remove(PROBE);
        let begun = self.disk.create(PROBE).and_then(|file| file.set_len(1));
        let _ = self.disk.remove(PROBE);
        begun
    }

    fn part(&self, segment: &Arc<Segment>, next: Option<&Arc<Segment>>) -> Part {
        Part { segment: segment.clone(), end: next.map_or_else(|| self.end(), |next| next.first) }
    }
}

/// A place in the log, for reading on from there.
#[derive(Debug, Clone)]
pub(crate) struct SegmentCursor {
    pub(crate) part: Part,
    pub(crate) place: Place,
}

impl SegmentCursor {
    /// A cursor at this position, or at the first event behind it. Blocks.
    pub(crate) fn at(log: &Log, position: u64) -> io::Result<Option<Self>> {
        let Some(part) = log.locate(position) else { return Ok(None) };
        let place = part.segment.seek(position.max(part.segment.first), part.end)?;
        Ok(Some(Self { part, place }))
    }

    /// Reads on, up to the end of the segment. Blocks. Missing positions from the cursor on are among the gaps.
    pub(crate) fn read(&self, want: usize) -> io::Result<RawPiece> {
        self.part.segment.read(self.place, self.part.end, want)
    }
}
