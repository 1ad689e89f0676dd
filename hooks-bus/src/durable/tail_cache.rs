//! The newest events, in memory, for hooks that have caught up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::Slice;

use crate::buffer::budget::{Amount, Budget};
use crate::buffer::published::{Published, Run};

/// So many bytes stay without anybody looking who has read them: looking at every hook costs something.
const UNWATCHED: usize = 4 << 20;

/// The newest events without a gap: those that a hook has not read yet, as many as there is memory for.
#[derive(Debug, Default)]
pub(crate) struct TailCache {
    slices: VecDeque<Arc<Published>>,
    /// Of their events.
    bytes: usize,
    /// With so many it is worth looking what every hook has read.
    watched_from: usize,
}

impl TailCache {
    /// Adds what was published last. The oldest events make room.
    pub(crate) fn push(&mut self, slice: Arc<Published>, budget: &Arc<Budget>) {
        self.bytes += slice.bytes();
        self.slices.push_back(slice);
        self.shrink(budget);
    }

    /// Gives up the oldest events until there is no more in memory than allowed.
    pub(crate) fn shrink(&mut self, budget: &Arc<Budget>) {
        while budget.is_over() && self.pop() {}
    }

    /// The position from which on hooks may read here, if it is worth looking what they all have read.
    pub(crate) fn watched(&self) -> Option<u64> {
        if self.bytes > self.watched_from.max(UNWATCHED) { self.first() } else { None }
    }

    /// Every hook has read everything before this position.
    pub(crate) fn was_read(&mut self, until: u64) {
        while self.slices.front().is_some_and(|slice| slice.until() <= until) && self.pop() {}
        self.watched_from = self.bytes + UNWATCHED.max(self.bytes / 4);
    }

    /// The position of the oldest event here.
    pub(crate) fn first(&self) -> Option<u64> {
        self.slices.front().map(|slice| slice.first())
    }

    /// Events from this position up to another, as far as they stand together.
    pub(crate) fn run(&self, from: u64, to: u64) -> Option<Run> {
        self.from(from)?.next().map(|slice| Run::between(slice, from, to)).filter(|run| !run.is_empty())
    }

    /// What holds the event of this position, and what comes behind it.
    pub(crate) fn from(&self, position: u64) -> Option<impl Iterator<Item = &Arc<Published>>> {
        let at = self.slices.partition_point(|slice| slice.first() <= position).checked_sub(1)?;
        Some(self.slices.range(at..))
    }

    /// Gives up the oldest events until there is memory for this many bytes.
    pub(crate) fn free_memory(&mut self, bytes: usize, budget: &Arc<Budget>) {
        while budget.used().bytes.saturating_add(bytes) > budget.limit().bytes && self.pop() {}
    }

    fn pop(&mut self) -> bool {
        let oldest = self.slices.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |slice| slice.bytes());
        oldest.is_some()
    }
}

/// A slice of the log, with the reservation of its memory for as long as anybody holds any of it.
pub(crate) fn held(first: u64, accepted: SystemTime, slice: Slice, budget: &Arc<Budget>) -> Arc<Published> {
    let reservation = || slice.guard_with(Arc::new(budget.reserve_anyway(Amount::bytes(slice.memory()))));
    let memory = slice.guard().unwrap_or_else(reservation);
    Published::new(first, slice, accepted, memory)
}
