//! The newest events, in memory, for hooks that have caught up.

use std::collections::VecDeque;
use std::sync::Arc;

use hooks_core::{BlockGuard, Envelope};

use crate::memory::room::{Amount, Room};

/// What one call published.
#[derive(Debug)]
struct Chunk {
    first: u64,
    /// In seconds since 1970.
    accepted: u64,
    events: Vec<Envelope>,
    #[expect(dead_code, reason = "held, and let go with the events")]
    memory: Vec<BlockGuard>,
}

/// So many bytes stay without anybody looking who has read them: looking at every hook costs something.
const UNWATCHED: usize = 4 << 20;

/// The newest events without a gap: those that a hook has not read yet, as many as there is memory for.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    chunks: VecDeque<Chunk>,
    /// Of their events.
    bytes: usize,
    /// With so many it is worth looking what every hook has read.
    watched_from: usize,
}

impl Ring {
    /// Adds what was published last. The oldest events make room.
    pub(crate) fn push(&mut self, first: u64, accepted: u64, events: Vec<Envelope>, room: &Arc<Room>) {
        let memory = events.chunk_by(Envelope::shares_block).map(|block| guard(&block[0], room)).collect();
        self.bytes += bytes(&events);
        self.chunks.push_back(Chunk { first, accepted, events, memory });
        self.shrink(room);
    }

    /// Gives up the oldest events until there is no more in memory than allowed.
    pub(crate) fn shrink(&mut self, room: &Arc<Room>) {
        while room.is_over() && self.pop() {}
    }

    /// The position from which on hooks may read here, if it is worth looking what they all have read.
    pub(crate) fn watched(&self) -> Option<u64> {
        if self.bytes > self.watched_from.max(UNWATCHED) { self.first() } else { None }
    }

    /// Every hook has read everything before this position.
    pub(crate) fn was_read(&mut self, until: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.first + chunk.events.len() as u64 <= until) && self.pop() {}
        self.watched_from = self.bytes * 2;
    }

    /// The position of the oldest event here.
    pub(crate) fn first(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.first)
    }

    /// The event of this position, and when it was accepted.
    pub(crate) fn get(&self, position: u64) -> Option<(&Envelope, u64)> {
        let chunk = &self.chunks[self.chunk(position)?];
        let at = usize::try_from(position - chunk.first).ok()?;
        chunk.events.get(at).map(|event| (event, chunk.accepted))
    }

    /// The events from this position on.
    pub(crate) fn from(&self, position: u64) -> Option<impl Iterator<Item = (u64, u64, &Envelope)>> {
        let chunks = self.chunks.range(self.chunk(position)?..);
        let events =
            chunks.flat_map(|chunk| (chunk.first..).zip(&chunk.events).map(|(at, event)| (at, chunk.accepted, event)));
        Some(events.skip_while(move |(at, ..)| *at < position))
    }

    /// Gives up the oldest events until there is memory for this many bytes.
    pub(crate) fn make_room(&mut self, bytes: usize, room: &Arc<Room>) {
        while room.used().bytes.saturating_add(bytes) > room.limit().bytes && self.pop() {}
    }

    fn chunk(&self, position: u64) -> Option<usize> {
        self.chunks.partition_point(|chunk| chunk.first <= position).checked_sub(1)
    }

    fn pop(&mut self) -> bool {
        let oldest = self.chunks.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |chunk| bytes(&chunk.events));
        oldest.is_some()
    }
}

fn bytes(events: &[Envelope]) -> usize {
    events.iter().map(Envelope::len).sum()
}

/// The claim on the memory of an event's block, for as long as anybody holds any of it.
pub(crate) fn guard(event: &Envelope, room: &Arc<Room>) -> BlockGuard {
    event.guard_block(|| Arc::new(room.take(Amount::bytes(event.block_bytes()))))
}
