//! The events in memory: the newest ones, and pieces of the log that hooks read.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{BusError, Slice};
use parking_lot::Mutex;

use super::log::Log;
use super::scan::{FetchRequest, Fetched, Pieces, fetch};
use super::segment::PIECE;
use super::subscriber::{ScanResult, Subscriber};
use super::tail_cache::{TailCache, held};
use crate::buffer::budget::{Amount, Budget};
use crate::buffer::published::Run;

/// Bytes that a hook with nothing in flight may read, however little memory there is.
const MIN_PIECE: usize = 16 << 10;

/// The events in memory.
#[derive(Debug)]
pub(crate) struct Cache {
    /// The memory that they may take.
    pub(crate) budget: Arc<Budget>,
    pub(crate) tail: Mutex<TailCache>,
    pieces: Pieces,
}

impl Cache {
    /// An empty cache of this many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let limit = Amount { events: usize::MAX, bytes: max_bytes };
        Self { budget: Budget::new(limit), tail: Mutex::default(), pieces: Pieces::default() }
    }

    /// Adds the newest slice.
    pub(crate) fn push(&self, first: u64, accepted: SystemTime, slice: Slice) {
        self.tail.lock().push(held(first, accepted, slice, &self.budget), &self.budget);
    }

    /// The time when an event was accepted, if it is one of the newest.
    pub(crate) fn accepted(&self, position: u64) -> Option<SystemTime> {
        self.tail.lock().run(position, u64::MAX).map(|run| run.accepted())
    }

    /// Scans the newest events before `end`. `None` if they are not here.
    pub(crate) fn scan(&self, subscriber: &Subscriber, from: u64, end: u64, max: usize) -> Option<ScanResult> {
        let scan = subscriber.scan();
        let filter = subscriber.filter();
        let tail = self.tail.lock();
        if tail.first()? > from {
            return None;
        }
        let mut found =
            ScanResult { runs: VecDeque::new(), unreadable: VecDeque::new(), until: from, scan, piece: None };
        for slice in tail.from(from)? {
            let most = from + max as u64;
            let mut run = Run::between(slice, from, end.min(most));
            if run.is_empty() {
                break;
            }
            found.until = run.last().get() + 1;
            run.retain(|_, _, envelope| filter.matches(envelope));
            if !run.is_empty() {
                found.runs.push_back(run);
            }
        }
        (found.until > from).then_some(found)
    }

    /// Reads a piece of the log. Blocks.
    pub(crate) fn fetch(&self, log: &Log, dir: &Path, request: FetchRequest) -> Result<Fetched, BusError> {
        fetch(log, dir, &self.budget, &self.pieces, request)
    }

    /// Bytes of log that a hook may read now. `None`: its events in flight must be settled first.
    pub(crate) fn piece_size(&self, subscriber: &Subscriber) -> Option<usize> {
        let fits = || self.budget.used().bytes.saturating_add(PIECE) <= self.budget.limit().bytes;
        if !fits() {
            self.tail.lock().free_memory(PIECE, &self.budget);
        }
        if fits() {
            return Some(PIECE);
        }
        (subscriber.unsettled().events == 0).then_some(MIN_PIECE)
    }

    /// Waits until there is memory for a piece of the log.
    pub(crate) async fn has_room(&self) {
        drop(self.budget.reserve(Amount::bytes(PIECE)).await);
    }
}
