//! Finds the segments, end and damage of a log when its folder is opened. Changes nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::disk::Disk;
use super::error::OpenError;
use super::format::{HEADER_BYTES, Header, VERSION, segment_first, segment_name};
use super::segment::{Gap, MARK_SPACING, PIECE, Place, Segment};
use super::store::Known;

/// The result of scanning the log's files.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The position behind the last event.
    pub(crate) end: u64,
    /// Their damage.
    pub(crate) damage: Vec<String>,
    /// The offset in the last segment behind which there are only zeros, where known.
    pub(crate) used: Option<u64>,
}

/// The end of a segment.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// The position behind the last whole slice.
    end: u64,
    /// The offset behind which there are only zeros, where known.
    used: Option<u64>,
}

/// Lists the segments from the known floor on, and finds the end of the last one from its whole records.
pub(crate) fn scan(disk: &dyn Disk, dir: &Path, known: &Known) -> Result<Found, OpenError> {
    let (log, floor) = (known.log, known.floor);
    let failed = |what| move |source| OpenError::io(dir, what, source);
    let mut firsts: Vec<u64> =
        disk.list().map_err(failed("list the files in"))?.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    // A crash may have undone the removal of segments before it.
    let kept = firsts.partition_point(|first| *first <= floor).saturating_sub(1);
    let mut damage = Vec::new();
    let (mut segments, mut headless) = (Vec::new(), Vec::new());
    let given_up = kept.checked_sub(1).map(|last| open(disk, dir, log, firsts[last], &mut None, &mut Vec::new()));
    let given_up = given_up.transpose()?.map(|(segment, _)| segment);
    let mut before = None;
    for first in firsts.split_off(kept) {
        let (segment, has_header) = open(disk, dir, log, first, &mut before, &mut damage)?;
        headless.extend((!has_header).then_some(first));
        segments.push(Arc::new(segment));
    }
    for segment in &segments {
        if let Some((_, begun)) = known.begun.get(&segment.first).filter(|(stamp, _)| *stamp == segment.stamp) {
            segment.set_begun(*begun);
        }
    }
    check_strays(dir, given_up.as_ref(), &segments, &headless, known)?;
    if let Some(begin) = segments.first().map(|segment| segment.first).filter(|first| *first > floor) {
        damage.push(format!("the segment with positions {floor} to {} is missing", begin - 1));
    }
    let Tail { end, used } = match segments.last() {
        Some(last) => tail(last, &mut damage).map_err(failed("read the last segment of"))?,
        None => Tail { end: floor, used: None },
    };
    // A crash at the beginning of a segment leaves one without events or header.
    let empty = segments.last().map(|last| last.first).filter(|first| *first == end);
    for first in headless.into_iter().filter(|first| Some(*first) != empty) {
        let name = segment_name(first);
        damage.push(format!("the header of `{name}` is damaged; its events are read all the same"));
    }
    Ok(Found { segments, end, damage, used })
}

/// Refuses empty files that can't belong to the log. Only the name of an empty file says where it begins: a wrong one
/// would cut the file before it short, or move the end of the log too far. The file before the first one is the last
/// of those to be removed, `given_up`.
fn check_strays(
    dir: &Path,
    given_up: Option<&Segment>,
    segments: &[Arc<Segment>],
    headless: &[u64],
    known: &Known,
) -> Result<(), OpenError> {
    let failed = |source| OpenError::io(dir, "read a segment of", source);
    for (at, segment) in segments.iter().enumerate().filter(|(_, segment)| headless.contains(&segment.first)) {
        let first = segment.first;
        if tail(segment, &mut Vec::new()).map_err(failed)?.end != first {
            continue;
        }
        let end = match at.checked_sub(1).map_or(given_up, |before| Some(&segments[before])) {
            Some(before) => tail(before, &mut Vec::new()).map_err(failed)?.end,
            None => known.floor,
        };
        let is_last = at + 1 == segments.len();
        if end > first || is_last && first > end.max(known.end) {
            let name = segment_name(first);
            let what = format!(
                "it holds no event, and the events before it end at {end}: it is no file of this log, remove it"
            );
            return Err(OpenError::io(dir, "open a segment of", io::Error::other(format!("`{name}`: {what}"))));
        }
    }
    Ok(())
}

/// The first positions of segments that no hook needs.
pub(crate) fn leftovers(disk: &dyn Disk, floor: u64) -> io::Result<Vec<u64>> {
    let mut firsts: Vec<u64> = disk.list()?.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    firsts.truncate(firsts.partition_point(|first| *first <= floor).saturating_sub(1));
    Ok(firsts)
}

fn open(
    disk: &dyn Disk,
    dir: &Path,
    log: Uuid,
    first: u64,
    before: &mut Option<u64>,
    damage: &mut Vec<String>,
) -> Result<(Segment, bool), OpenError> {
    let name = segment_name(first);
    let failed = |source: io::Error| {
        let source = io::Error::new(source.kind(), format!("`{name}`: {source}"));
        OpenError::io(dir, "open a segment of", source)
    };
    let file = disk.open(&name).map_err(failed)?;
    let bytes = file.len().map_err(failed)?;
    let mut start = vec![0; HEADER_BYTES];
    let read = file.read_at(&mut start, 0).map_err(failed)?;
    let header = Header::decode(&start[..read]);
    let begun = match header {
        Some(header) if header.version > VERSION => {
            return Err(OpenError::Newer { dir: dir.to_owned(), found: header.version, known: VERSION });
        }
        Some(header) if header.log != log => {
            return Err(OpenError::unusable(dir, format!("`{name}` belongs to another log")));
        }
        // By its name it would move the end of the log too far.
        Some(header) if header.first != first => {
            let own = segment_name(header.first);
            let what = format!("it is the file `{own}` under another name: rename it, or remove it if it is a copy");
            return Err(failed(io::Error::other(what)));
        }
        Some(header) => {
            if before.is_some() && header.previous != *before {
                let until = first - 1;
                damage.push(format!("a segment before `{name}`, with positions up to {until}, is missing"));
            }
            header.begun
        }
        None => 0,
    };
    *before = Some(first);
    let segment = Segment::new(first, begun, file, bytes);
    if header.is_none() {
        segment.set_begun(segment.begun_by_records().map_err(failed)?.unwrap_or(0));
    }
    Ok((segment, header.is_some()))
}

fn tail(segment: &Segment, damage: &mut Vec<String>) -> io::Result<Tail> {
    let mut place = segment.begin();
    let mut end = place.position;
    let mut used = place.offset;
    let mut slice_is_whole = false;
    let mut gaps: Vec<Gap> = Vec::new();
    let len = segment.file.len()?;
    while place.offset < len {
        let piece = segment.read(place, u64::MAX, PIECE)?;
        let mut offset = place.offset;
        for (record, _) in piece.records() {
            segment.mark(Place { position: record.position, offset }, record.accepted, MARK_SPACING);
            offset += record.size() as u64;
            slice_is_whole = record.is_first || slice_is_whole;
            if record.is_last && slice_is_whole {
                end = record.position + 1;
            }
            slice_is_whole &= !record.is_last;
        }
        if piece.gaps.is_empty() {
            used = piece.next.offset;
        } else {
            slice_is_whole = false;
            gaps.extend(&piece.gaps);
        }
        place = stepped(place, piece.next, len);
    }
    // Events behind the last whole slice were never accepted.
    for Gap(from, to) in gaps.into_iter().filter(|gap| gap.0 < end) {
        damage.push(format!("positions {from} to {} are damaged, or were being written at a crash", to.min(end) - 1));
    }
    let used = is_zero(segment, used, len)?.then_some(used);
    Ok(Tail { end, used })
}

/// True if there are only zeros from here on.
fn is_zero(segment: &Segment, from: u64, len: u64) -> io::Result<bool> {
    let mut window = vec![0; PIECE];
    let mut offset = from;
    while offset < len {
        let read = segment.file.read_at(&mut window, offset)?;
        if read == 0 || window[..read].iter().any(|byte| *byte != 0) {
            return Ok(read == 0);
        }
        offset += read as u64;
    }
    Ok(true)
}

/// The next place to read: always ahead, or the end of the file.
fn stepped(from: Place, to: Place, len: u64) -> Place {
    if to.offset > from.offset { to } else { Place { offset: len, ..to } }
}
