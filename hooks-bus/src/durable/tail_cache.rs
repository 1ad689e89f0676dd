//! The newest events, in memory, for hooks that have caught up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::Slice;

use crate::buffer::budget::{Amount, Budget};
use crate::buffer::published::{Published, Run};

/// Bytes that may stay without a look at what every hook has read, because that look costs time,
const UNWATCHED: usize = 4 << 20;

/// and more of it the more hooks there are: so many bytes for each.
const UNWATCHED_FOR_EACH: usize = 256;

/// The newest events, without a gap: those that a hook has not read, as far as memory allows.
#[derive(Debug, Default)]
pub(crate) struct TailCache {
    slices: VecDeque<Arc<Published>>,
    /// Size of their events.
    bytes: usize,
    /// From this size on, a look at what every hook has read is worth it.
    watched_from: usize,
}

impl TailCache {
    /// Adds the newest slice. Removes the oldest ones at the limit.
    pub(crate) fn push(&mut self, slice: Arc<Published>, budget: &Arc<Budget>) {
        self.bytes += slice.bytes();
        self.slices.push_back(slice);
        self.shrink(budget);
    }

    /// Removes the oldest events while memory is over its limit.
    pub(crate) fn shrink(&mut self, budget: &Arc<Budget>) {
        while budget.is_over() && self.pop() {}
    }

    /// The oldest position here, if a look at what every hook has read is worth it.
    pub(crate) fn watched(&self) -> Option<u64> {
        if self.bytes > self.watched_from.max(UNWATCHED) { self.first() } else { None }
    }

    /// Removes events before this position, which every one of so many hooks has read.
    pub(crate) fn was_read(&mut self, until: u64, hooks: usize) {
        while self.slices.front().is_some_and(|slice| slice.until() <= until) && self.pop() {}
        self.watched_from = self.bytes + UNWATCHED.max(self.bytes / 4).max(UNWATCHED_FOR_EACH * hooks);
    }

    /// The position of the oldest event here.
    pub(crate) fn first(&self) -> Option<u64> {
        self.slices.front().map(|slice| slice.first())
    }

    /// Events from one position to before another, as far as one slice has them.
    pub(crate) fn run(&self, from: u64, to: u64) -> Option<Run> {
        self.from(from)?.next().map(|slice| Run::between(slice, from, to)).filter(|run| !run.is_empty())
    }

    /// The slice with this position, and the slices behind it.
    pub(crate) fn from(&self, position: u64) -> Option<impl Iterator<Item = &Arc<Published>>> {
        let at = self.slices.partition_point(|slice| slice.first() <= position).checked_sub(1)?;
        Some(self.slices.range(at..))
    }

    /// Removes the oldest events until this many bytes of memory are free.
    pub(crate) fn free_memory(&mut self, bytes: usize, budget: &Arc<Budget>) {
        while budget.used().bytes.saturating_add(bytes) > budget.limit().bytes && self.pop() {}
    }

    fn pop(&mut self) -> bool {
        let oldest = self.slices.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |slice| slice.bytes());
        oldest.is_some()
    }
}

/// A slice of the log. Its memory stays reserved while a hook has any event of it.
pub(crate) fn held(first: u64, accepted: SystemTime, slice: Slice, budget: &Arc<Budget>) -> Arc<Published> {
    let reservation = || slice.guard_with(Arc::new(budget.reserve_anyway(Amount::bytes(slice.memory()))));
    let memory = slice.guard().unwrap_or_else(reservation);
    Published::new(first, slice, accepted, memory)
}
