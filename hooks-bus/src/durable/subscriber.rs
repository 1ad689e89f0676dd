//! One hook of the durable bus: its cursor, and who reads for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use hooks_core::{
    BlockGuard, Delivery, DropReason, Envelope, Filter, HookId, Ledger, Position, Read, Subscription, WINDOW,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checkpoint::{Checkpoint, unacked_between};
use super::cursor::{Cursor, PositionRange};
use super::tail_cache::TailCache;
use crate::buffer::budget::Amount;
use crate::buffer::published::Run;

/// One hook.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) hook: HookId,
    state: Mutex<State>,
    pub(crate) readable: Notify,
    /// Its checkpoint has changed since it was last kept.
    pub(crate) dirty: AtomicBool,
    /// The database says that it is at the end.
    pub(crate) saved_at_end: AtomicBool,
    enabled: AtomicBool,
    removed: AtomicBool,
    /// Changes when another reader takes over, or the filter changes: what was found before is of no use.
    scan: AtomicU64,
}

#[derive(Debug)]
struct State {
    cursor: Cursor,
    filter: Arc<Filter>,
    ledger: Arc<Ledger>,
    /// Changes when another reader takes over.
    reader: u64,
    /// Events were read since the last time that the reader was asked to flush.
    may_flush: bool,
}

/// What a reader finds when it looks.
pub(crate) enum Poll {
    Ready(Read),
    /// Nothing now.
    Pending,
    /// The log has to be read from here on.
    Scan(u64),
}

/// What a scan found: events that match, and where it ended.
#[derive(Debug)]
pub(crate) struct ScanResult {
    pub(crate) runs: VecDeque<Run>,
    /// Positions whose events can't be read, whether they match or not.
    pub(crate) unreadable: VecDeque<(u64, u64)>,
    /// Everything before this position was looked at.
    pub(crate) until: u64,
    /// The scan it belongs to.
    pub(crate) scan: u64,
    #[expect(dead_code, reason = "held, and let go with the events")]
    pub(crate) piece: Option<BlockGuard>,
}

/// What a hook loses when a segment is given up, still to be counted: the matching events of this range.
#[derive(Debug)]
pub(crate) struct EvictedRange {
    pub(crate) from: u64,
    pub(crate) filter: Arc<Filter>,
    pub(crate) acked_ranges: Vec<(u64, u64)>,
}

impl EvictedRange {
    pub(crate) fn includes(&self, position: u64, envelope: &Envelope) -> bool {
        let is_acked = || self.acked_ranges.iter().any(|(from, to)| (*from..*to).contains(&position));
        position >= self.from && self.filter.matches(envelope) && !is_acked()
    }

    /// How many of these positions, whose events can't be read, it was not done with.
    pub(crate) fn unacked_in(&self, (from, to): (u64, u64)) -> u64 {
        unacked_between(&self.acked_ranges, from.max(self.from), to)
    }
}

impl Subscriber {
    pub(crate) fn new(subscription: &Subscription, cursor: Cursor, saved_at_end: bool) -> Self {
        let state = State {
            cursor,
            filter: subscription.filter.clone(),
            ledger: subscription.ledger.clone(),
            reader: 0,
            may_flush: false,
        };
        Self {
            hook: subscription.hook.clone(),
            state: Mutex::new(state),
            readable: Notify::new(),
            dirty: AtomicBool::new(false),
            saved_at_end: AtomicBool::new(saved_at_end),
            enabled: AtomicBool::new(true),
            removed: AtomicBool::new(false),
            scan: AtomicU64::new(0),
        }
    }

    /// A new reader takes over: what was in flight is to be read again. The log begins at `begin`: what was in flight
    /// before that can't be read any more. Returns the reader's number.
    pub(crate) fn take_over(&self, subscription: &Subscription, begin: u64) -> u64 {
        let mut state = self.state.lock();
        let (again, lost) = state.cursor.rewind(begin);
        if Arc::ptr_eq(&state.ledger, &subscription.ledger) {
            state.ledger.hand_over(again);
            state.ledger.give_up(lost, DropReason::Overflow);
        } else {
            // Whoever had it in flight hands it over.
            state.ledger = subscription.ledger.clone();
        }
        state.reader += 1;
        self.scan.fetch_add(1, Ordering::AcqRel);
        self.readable.notify_one();
        state.reader
    }

    /// Another filter, for everything that was not read.
    pub(crate) fn refilter(&self, filter: Arc<Filter>) {
        let mut state = self.state.lock();
        state.filter = filter;
        // What was queued was chosen by the old filter.
        state.cursor.scan();
        // Whoever reads now has what is in flight.
        state.may_flush = true;
        self.scan.fetch_add(1, Ordering::AcqRel);
        self.readable.notify_one();
    }

    /// The hook is no longer here. Returns what has to be remembered of it.
    pub(crate) fn remove(&self, begin: u64) -> Checkpoint {
        let mut state = self.state.lock();
        self.removed.store(true, Ordering::Release);
        let (again, lost) = state.cursor.rewind(begin);
        state.ledger.hand_over(again);
        state.ledger.give_up(lost, DropReason::Overflow);
        self.readable.notify_one();
        state.cursor.checkpoint()
    }

    /// Nobody delivers what is in flight any more. What of it is gone from the log, which begins at `begin`, is
    /// counted.
    pub(crate) fn abandon(&self, begin: u64) {
        let mut state = self.state.lock();
        let lost = state.cursor.lose_before(begin);
        state.ledger.give_up(lost, DropReason::Overflow);
        drop(state);
        if lost > 0 {
            tracing::warn!(
                hook = %self.hook,
                events = lost,
                "these were on their way when the log gave them up: they are lost"
            );
        }
    }

    pub(crate) fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Which scan is the current one.
    pub(crate) fn scan(&self) -> u64 {
        self.scan.load(Ordering::Acquire)
    }

    pub(crate) fn filter(&self) -> Arc<Filter> {
        self.state.lock().filter.clone()
    }

    /// These events concern the hook. Returns whether its checkpoint changed by that.
    pub(crate) fn enqueue(&self, ranges: impl IntoIterator<Item = PositionRange>) -> bool {
        let mut state = self.state.lock();
        let was_at_end = state.cursor.committed().is_none();
        ranges.into_iter().for_each(|range| state.cursor.enqueue(range));
        drop(state);
        self.readable.notify_one();
        was_at_end
    }

    /// The hook has seen everything before the position where its scan stands, and is told what comes. False when
    /// the scan does not stand there any more.
    pub(crate) fn follow_from(&self, from: u64) -> bool {
        let mut state = self.state.lock();
        let is_there = state.cursor.scans_from() == Some(from);
        if is_there {
            state.cursor.follow();
        }
        is_there
    }

    /// Takes what is there: what was queued and is in memory, or what a scan found.
    pub(crate) fn poll(
        &self,
        reader: u64,
        max: usize,
        into: &mut Vec<Delivery>,
        found: &mut Option<ScanResult>,
        tail: &Mutex<TailCache>,
    ) -> Poll {
        let mut state = self.state.lock();
        if state.reader != reader {
            return Poll::Ready(Read::Lost);
        }
        if self.is_removed() {
            return Poll::Ready(Read::Dry);
        }
        let count = max.min(WINDOW.saturating_sub(state.cursor.window()));
        if count == 0 {
            let asks = state.may_flush && state.cursor.unsettled().events > 0;
            state.may_flush &= !asks;
            return if asks { Poll::Ready(Read::Flush) } else { Poll::Pending };
        }
        if found.as_ref().is_some_and(|found| found.scan != self.scan()) {
            *found = None;
        }
        let before = into.len();
        match state.cursor.scans_from() {
            None => state.take_queued(count, into, tail),
            Some(_) => state.take_found(count, into, found),
        }
        let taken = into.len() - before;
        if taken > 0 {
            state.ledger.take(taken);
            state.may_flush = true;
            return Poll::Ready(Read::Events(taken));
        }
        match state.cursor.scans_from() {
            Some(from) if found.is_none() => Poll::Scan(from),
            _ => Poll::Pending,
        }
    }

    /// Asks whoever has events in flight to send them, once. False when there are none.
    pub(crate) fn asks_to_flush(&self) -> bool {
        let mut state = self.state.lock();
        let asks = state.may_flush && state.cursor.unsettled().events > 0;
        state.may_flush &= !asks;
        asks
    }

    pub(crate) fn unsettled(&self) -> Amount {
        self.state.lock().cursor.unsettled()
    }

    /// Whether everything is read, by whoever has this result.
    pub(crate) fn has_read_all(&self) -> bool {
        let state = self.state.lock();
        state.cursor.scans_from().is_none() && state.cursor.next_queued().is_none()
    }

    pub(crate) fn settle(&self, positions: &[Position]) -> usize {
        let mut state = self.state.lock();
        let was_full = state.cursor.window() >= WINDOW;
        let released = state.cursor.settle(positions);
        drop(state);
        if was_full {
            self.readable.notify_one();
        }
        released
    }

    /// The oldest position that the hook is not done with.
    pub(crate) fn committed(&self) -> Option<u64> {
        self.state.lock().cursor.committed()
    }

    /// Where the hook reads on. `None`: it has read everything.
    pub(crate) fn unread(&self) -> Option<u64> {
        let state = self.state.lock();
        state.cursor.scans_from().or_else(|| state.cursor.next_queued().map(|first| first.from))
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.state.lock().cursor.checkpoint()
    }

    /// Gives up what was not read before this position; what was queued is counted here.
    pub(crate) fn skip(&self, to: u64, reason: DropReason) -> (usize, Option<EvictedRange>) {
        let mut state = self.state.lock();
        let (queued, from) = state.cursor.skip(to);
        state.ledger.take(queued);
        state.ledger.give_up(queued, reason);
        let evicted = from.map(|from| EvictedRange {
            from,
            filter: state.filter.clone(),
            acked_ranges: state.cursor.acked_ranges(),
        });
        state.cursor.pass(to);
        (queued, evicted)
    }

    /// This many events were given up before they were read.
    pub(crate) fn count_lost(&self, events: usize, reason: DropReason) {
        let state = self.state.lock();
        state.ledger.take(events);
        state.ledger.give_up(events, reason);
    }

    /// What is not settled: what is in flight, since when, what is queued, and where a scan goes on.
    pub(crate) fn pending(&self) -> Pending {
        let State { cursor, .. } = &*self.state.lock();
        Pending {
            in_flight: cursor.unsettled(),
            oldest: cursor.oldest(),
            queued: cursor.queued().collect(),
            scans_from: cursor.scans_from(),
        }
    }
}

/// What a hook has not settled.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) in_flight: Amount,
    pub(crate) oldest: Option<SystemTime>,
    pub(crate) queued: Vec<PositionRange>,
    pub(crate) scans_from: Option<u64>,
}

impl State {
    fn take_queued(&mut self, count: usize, into: &mut Vec<Delivery>, tail: &Mutex<TailCache>) {
        let tail = tail.lock();
        let mut left = count;
        while left > 0
            && let Some(PositionRange { from, to, .. }) = self.cursor.next_queued()
        {
            let Some(run) = tail.run(from, to.min(from + left as u64)) else {
                // No longer in memory.
                return self.cursor.scan();
            };
            left -= run.len();
            self.take(run, into);
        }
    }

    fn take_found(&mut self, count: usize, into: &mut Vec<Delivery>, slot: &mut Option<ScanResult>) {
        let Some(found) = slot else { return };
        let mut left = count;
        while left > 0
            && let Some(first) = found.runs.front_mut()
        {
            let mut run = first.split(left);
            found.runs.pop_front_if(|first| first.is_empty());
            let from = self.cursor.scans_from().unwrap_or_default();
            // What was given up, or settled before a restart.
            run.retain(|_, Position(position), _| position >= from && !self.cursor.is_acked(position));
            if !run.is_empty() {
                left -= run.len();
                self.skip_unreadable(&mut found.unreadable, run.first().0);
                self.take(run, into);
            }
        }
        if found.runs.is_empty() {
            self.skip_unreadable(&mut found.unreadable, found.until);
            self.cursor.pass(found.until);
            *slot = None;
        }
    }

    /// Counts what can't be read before this position. It is done with: who reads here again does not count it again.
    fn skip_unreadable(&mut self, unreadable: &mut VecDeque<(u64, u64)>, until: u64) {
        let mut events = 0;
        while let Some(range) = unreadable.pop_front_if(|(from, _)| *from < until) {
            events += self.cursor.mark_unreadable(range);
        }
        self.ledger.take(events);
        self.ledger.give_up(events, DropReason::Unreadable);
    }

    fn take(&mut self, run: Run, into: &mut Vec<Delivery>) {
        into.extend(run.deliveries());
        self.cursor.take(run);
    }
}
