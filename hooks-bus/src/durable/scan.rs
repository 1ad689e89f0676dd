//! Reads the log for hooks that lag, a piece at a time.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use hooks_core::{BlockGuard, BusError, Envelope, Filter, SliceBuilder};

use super::format::Record;
use super::log::{Log, Tape};
use super::ring::guard;
use super::segment::{Hole, RawPiece};
use super::subscriber::{Catch, Seen};
use crate::memory::room::Room;

/// What a reader wants.
#[derive(Debug)]
pub(crate) struct Want {
    pub(crate) from: u64,
    /// Where that stands, if it is known.
    pub(crate) tape: Option<Tape>,
    /// About how many bytes.
    pub(crate) size: usize,
    /// Nothing from this position on.
    pub(crate) until: u64,
}

/// Events of the log, in one block of memory.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) from: u64,
    events: Vec<Seen>,
    memory: Option<BlockGuard>,
    /// Everything before this position was looked at.
    until: u64,
    /// Where that stands.
    pub(crate) next: Option<Tape>,
}

impl Fetched {
    /// What of it concerns a hook.
    pub(crate) fn caught(self, filter: &Filter, scan: u64) -> (Catch, Option<Tape>) {
        let events: VecDeque<_> = self
            .events
            .into_iter()
            .filter(|seen| seen.position >= self.from && filter.matches(&seen.envelope))
            .collect();
        (Catch { events, until: self.until, scan, memory: self.memory }, self.next)
    }
}

/// Reads a piece of the log. Blocks.
pub(crate) fn fetch(log: &Log, dir: &Path, room: &Arc<Room>, want: Want) -> Result<Fetched, BusError> {
    let failed = |error| BusError::Unavailable(format!("reading the log in `{}`: {error}", dir.display()));
    let tape = match want.tape {
        // The segment may have been sealed, or given up, since.
        Some(Tape { part, place }) => match log.locate(want.from) {
            Some(now) if now.segment.first == part.segment.first => Some(Tape { part: now, place }),
            _ => Tape::at(log, want.from).map_err(failed)?,
        },
        None => Tape::at(log, want.from).map_err(failed)?,
    };
    let Some(mut tape) = tape else {
        return Ok(Fetched { from: want.from, events: Vec::new(), memory: None, until: want.until, next: None });
    };
    tape.part.end = tape.part.end.min(want.until);
    let piece = tape.read(want.size).map_err(failed)?;
    report(dir, &piece.holes);
    let events = decode(&piece, dir);
    let memory = events.first().map(|seen| guard(&seen.envelope, room));
    let until = piece.next.position.max(want.from);
    tape.place = piece.next;
    Ok(Fetched { from: want.from, events, memory, until, next: Some(tape) })
}

/// The events of a piece, in one block of memory.
pub(crate) fn decode(piece: &RawPiece, dir: &Path) -> Vec<Seen> {
    let mut slice = SliceBuilder::new("").max_event_bytes(usize::MAX);
    let mut records = Vec::new();
    for (record, event) in piece.records() {
        match slice.push_json(event) {
            Ok(()) => records.push(*record),
            // It was an event when it was accepted.
            Err(error) => {
                let position = record.position;
                tracing::error!(dir = %dir.display(), position, %error, "the log holds what is no event; it is skipped");
            }
        }
    }
    let seen = |(record, envelope): (Record, Envelope)| Seen {
        position: record.position,
        accepted: record.accepted.into(),
        envelope,
    };
    records.into_iter().zip(slice.finish()).map(seen).collect()
}

fn report(dir: &Path, holes: &[Hole]) {
    for Hole(from, to) in holes.iter().filter(|hole| hole.0 < hole.1) {
        let (last, events) = (to - 1, to - from);
        tracing::error!(dir = %dir.display(), first = from, last, events, "the log is damaged: events are lost");
    }
}
