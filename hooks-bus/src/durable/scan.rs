//! Reads pieces of the log for hooks that lag.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{BusError, Filter, SliceBuilder, envelope::BlockGuard};
use parking_lot::Mutex;

use super::format::Record;
use super::log::{Log, SegmentCursor};
use super::segment::{Gap, Place, RawPiece};
use super::subscriber::ScanResult;
use super::tail_cache::held;
use crate::buffer::budget::Budget;
use crate::buffer::published::{Published, Run};

/// A request for a piece of the log.
#[derive(Debug)]
pub(crate) struct FetchRequest {
    pub(crate) from: u64,
    /// The place of that position, if known.
    pub(crate) segment_cursor: Option<SegmentCursor>,
    /// Bytes to read, about.
    pub(crate) size: usize,
    /// The position to stop before.
    pub(crate) until: u64,
}

/// Events of the log in one block of memory. Hooks that read the same piece at the same time share it.
#[derive(Debug)]
struct Piece {
    slices: Vec<Arc<Published>>,
    /// The beginning of the next piece.
    next: Place,
}

/// A piece's first position, the position to stop before, and the size to read.
type Key = (u64, u64, usize);

/// The pieces in use, and a few that were.
#[derive(Debug, Default)]
pub(crate) struct Pieces(Mutex<VecDeque<(Key, Weak<Piece>)>>);

/// A piece of the log, read for one hook.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) from: u64,
    piece: Option<Arc<Piece>>,
    /// The position to read next.
    until: u64,
    /// The place of that position.
    next: Option<SegmentCursor>,
}

impl Fetched {
    /// The events that match a hook.
    pub(crate) fn scan_result(self, filter: &Filter, scan: u64) -> (ScanResult, Option<SegmentCursor>) {
        let slices = || self.piece.iter().flat_map(|piece| &piece.slices);
        let unreadable = uncovered(slices().map(|slice| (slice.first(), slice.until())), self.from, self.until);
        let wanted = slices().map(|slice| {
            let mut run = Run::between(slice, self.from, u64::MAX);
            run.retain(|_, _, envelope| filter.matches(envelope));
            run
        });
        let runs: VecDeque<Run> = wanted.filter(|run| !run.is_empty()).collect();
        // Keeps the piece for its next reader, as long as this hook has events of it.
        let piece = self.piece.filter(|_| !runs.is_empty()).map(|piece| piece as BlockGuard);
        (ScanResult { runs, unreadable, until: self.until, scan, piece }, self.next)
    }
}

/// The positions from `from` to before `until` outside of these rising ranges, as ranges.
pub(crate) fn uncovered(ranges: impl Iterator<Item = (u64, u64)>, from: u64, until: u64) -> VecDeque<(u64, u64)> {
    let mut next = from;
    let before = ranges.chain([(until, until)]).map(|(from, to)| {
        let gap = (next, from.min(until));
        next = to.max(next);
        gap
    });
    before.filter(|(from, to)| from < to).collect()
}

impl Pieces {
    fn find(&self, key: Key) -> Option<Arc<Piece>> {
        let mut pieces = self.0.lock();
        pieces.retain(|(_, piece)| piece.strong_count() > 0);
        pieces.iter().find(|(known, _)| *known == key)?.1.upgrade()
    }

    fn add(&self, key: Key, piece: &Arc<Piece>) {
        self.0.lock().push_back((key, Arc::downgrade(piece)));
    }
}

/// Reads a piece of the log. Blocks.
pub(crate) fn fetch(
    log: &Log,
    dir: &Path,
    budget: &Arc<Budget>,
    pieces: &Pieces,
    request: FetchRequest,
) -> Result<Fetched, BusError> {
    let failed = |error| BusError::Unavailable(format!("reading the log in `{}`: {error}", dir.display()));
    let segment_cursor = match request.segment_cursor {
        // The segment may have been sealed or removed since.
        Some(SegmentCursor { part, place }) => match log.locate(request.from) {
            Some(now) if now.segment.first == part.segment.first => Some(SegmentCursor { part: now, place }),
            _ => SegmentCursor::at(log, request.from).map_err(failed)?,
        },
        None => SegmentCursor::at(log, request.from).map_err(failed)?,
    };
    let Some(mut segment_cursor) = segment_cursor else {
        return Ok(Fetched { from: request.from, piece: None, until: request.until, next: None });
    };
    // The search passed over damage, unless the log has just dropped those positions.
    if request.from >= log.begin() {
        report(log, dir, &[Gap(request.from, segment_cursor.place.position.min(request.until))]);
    }
    segment_cursor.part.end = segment_cursor.part.end.min(request.until);
    let key = (segment_cursor.place.position, segment_cursor.part.end, request.size);
    let piece = match pieces.find(key) {
        Some(piece) => piece,
        None => {
            let piece = Arc::new(read(log, &segment_cursor, dir, budget, request.size).map_err(failed)?);
            pieces.add(key, &piece);
            piece
        }
    };
    let until = piece.next.position.max(request.from);
    segment_cursor.place = piece.next;
    Ok(Fetched { from: request.from, piece: Some(piece), until, next: Some(segment_cursor) })
}

fn read(log: &Log, segment_cursor: &SegmentCursor, dir: &Path, budget: &Arc<Budget>, size: usize) -> io::Result<Piece> {
    let raw = segment_cursor.read(size)?;
    report(log, dir, &raw.gaps);
    Ok(Piece { slices: decode(&raw, dir, budget), next: raw.next })
}

/// The events of a piece, in one block of memory.
pub(crate) fn decode(piece: &RawPiece, dir: &Path, budget: &Arc<Budget>) -> Vec<Arc<Published>> {
    let mut slice = SliceBuilder::new("").max_event_bytes(usize::MAX);
    let mut records = Vec::new();
    for (record, event) in piece.records() {
        match slice.push_json(event) {
            Ok(()) => records.push(*record),
            // It was an event when it was accepted.
            Err(error) => {
                let position = record.position;
                tracing::error!(dir = %dir.display(), position, %error, "a record of the log is no event: it is skipped");
            }
        }
    }
    let mut rest = slice.finish();
    let together = |a: &Record, b: &Record| a.position + 1 == b.position && a.accepted == b.accepted;
    let slices = records.chunk_by(together).map(|records| {
        let Record { position, accepted, .. } = records[0];
        held(position, time(accepted.into()), rest.split_to(records.len()), budget)
    });
    slices.collect()
}

/// The time of so many seconds since 1970. One out of range becomes 1970.
pub(crate) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

fn report(log: &Log, dir: &Path, gaps: &[Gap]) {
    for Gap(from, to) in gaps.iter().filter(|gap| gap.0 < gap.1) {
        log.set_damaged();
        let (last, events) = (to - 1, to - from);
        tracing::error!(dir = %dir.display(), first = from, last, events, "the log is damaged: events are lost");
    }
}
