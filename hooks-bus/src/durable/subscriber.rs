//! One hook of the durable bus: its cursor and its current reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hooks_core::{
    DropReason, Envelope, Filter, HookId, Ledger, Position,
    bus::{Delivery, Read, Subscription, WINDOW},
    envelope::BlockGuard,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checkpoint::{Behind, Checkpoint, unacked_between};
use super::cursor::{Cursor, PositionRange};
use super::pending::Pending;
use super::tail_cache::TailCache;
use crate::buffer::budget::Amount;
use crate::buffer::published::Run;

/// One hook.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) hook: HookId,
    state: Mutex<State>,
    pub(crate) readable: Notify,
    /// Its checkpoint has unsaved changes.
    pub(crate) dirty: AtomicBool,
    /// The database has it at the end.
    pub(crate) saved_at_end: AtomicBool,
    enabled: AtomicBool,
    removed: AtomicBool,
    /// Number of the current scan. A new reader or filter starts another, and makes results of the last one useless.
    scan: AtomicU64,
}

#[derive(Debug)]
struct State {
    cursor: Cursor,
    filter: Arc<Filter>,
    ledger: Arc<Ledger>,
    /// Number of the current reader.
    reader: u64,
    /// Events were read since the last request to flush.
    may_flush: bool,
}

/// The result of polling for events.
pub(crate) enum Poll {
    Ready(Read),
    /// Nothing to read now.
    Pending,
    /// The log must be scanned from this position.
    Scan(u64),
}

/// The matching events of a scan, and its end.
#[derive(Debug)]
pub(crate) struct ScanResult {
    pub(crate) runs: VecDeque<Run>,
    /// Unreadable positions, whether their events match or not.
    pub(crate) unreadable: VecDeque<(u64, u64)>,
    /// The position to scan next.
    pub(crate) until: u64,
    /// Number of the scan.
    pub(crate) scan: u64,
    #[expect(dead_code, reason = "held, and let go with the events")]
    pub(crate) piece: Option<BlockGuard>,
}

/// The range that a hook loses with an evicted segment. Its matching events are still to be counted.
#[derive(Debug)]
pub(crate) struct EvictedRange {
    pub(crate) from: u64,
    pub(crate) filter: Arc<Filter>,
    pub(crate) acked_ranges: Vec<(u64, u64)>,
}

impl EvictedRange {
    /// True if the hook loses this event.
    pub(crate) fn includes(&self, position: u64, envelope: &Envelope) -> bool {
        let is_acked = || self.acked_ranges.iter().any(|(from, to)| (*from..*to).contains(&position));
        position >= self.from && self.filter.matches(envelope) && !is_acked()
    }

    /// Number of unsettled positions in an unreadable range.
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

    /// Hands the hook to a new reader, which reads the events in flight again, except for those before `begin`, where
    /// the log begins. Returns the reader's number.
    pub(crate) fn take_over(&self, subscription: &Subscription, begin: u64) -> u64 {
        let mut state = self.state.lock();
        let (again, lost) = state.cursor.rewind(begin);
        if Arc::ptr_eq(&state.ledger, &subscription.ledger) {
            state.ledger.hand_over(again);
            state.ledger.give_up(lost, DropReason::Overflow);
        } else {
            // The previous worker hands over its own events in flight.
            state.ledger = subscription.ledger.clone();
        }
        state.reader += 1;
        self.scan.fetch_add(1, Ordering::AcqRel);
        self.readable.notify_one();
        state.reader
    }

    /// Sets another filter, for all unread events.
    pub(crate) fn refilter(&self, filter: Arc<Filter>) {
        let mut state = self.state.lock();
        state.filter = filter;
        // The old filter chose the queued events.
        state.cursor.scan();
        // The current reader has the events in flight.
        state.may_flush = true;
        self.scan.fetch_add(1, Ordering::AcqRel);
        self.readable.notify_one();
    }

    /// Goes on elsewhere, in a log that ends at `end`. The reader is lost, and what it has in flight is read again or not.
    pub(crate) fn move_to(&self, place: Behind, end: u64) {
        let mut state = self.state.lock();
        state.ledger.hand_over(state.cursor.unsettled().events);
        let at_end = place.committed >= end;
        state.cursor = Cursor::new(place);
        if at_end {
            state.cursor.follow();
        }
        state.reader += 1;
        self.scan.fetch_add(1, Ordering::AcqRel);
        self.saved_at_end.store(false, Ordering::Release);
        self.readable.notify_one();
    }

    /// Ends the subscription. Returns the place to store.
    pub(crate) fn remove(&self, begin: u64) -> Checkpoint {
        let mut state = self.state.lock();
        self.removed.store(true, Ordering::Release);
        let (again, lost) = state.cursor.rewind(begin);
        state.ledger.hand_over(again);
        state.ledger.give_up(lost, DropReason::Overflow);
        self.readable.notify_one();
        state.cursor.checkpoint()
    }

    /// Counts the events in flight that are gone from the log, which begins at `begin`, after the hook's last delivery.
    pub(crate) fn abandon(&self, begin: u64) {
        let mut state = self.state.lock();
        let lost = state.cursor.lose_before(begin);
        state.ledger.give_up(lost, DropReason::Overflow);
        drop(state);
        if lost > 0 {
            tracing::warn!(
                hook = %self.hook,
                events = lost,
                "events are lost: they were in flight, and the log has dropped them"
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

    /// Number of the current scan.
    pub(crate) fn scan(&self) -> u64 {
        self.scan.load(Ordering::Acquire)
    }

    pub(crate) fn filter(&self) -> Arc<Filter> {
        self.state.lock().filter.clone()
    }

    /// Queues matching events. Returns whether that changed the hook's checkpoint.
    pub(crate) fn enqueue(&self, ranges: impl IntoIterator<Item = PositionRange>) -> bool {
        let mut state = self.state.lock();
        let was_at_end = state.cursor.committed().is_none();
        ranges.into_iter().for_each(|range| state.cursor.enqueue(range));
        drop(state);
        self.readable.notify_one();
        was_at_end
    }

    /// Switches the hook to following, if its scan is at this position. Returns whether it is.
    pub(crate) fn follow_from(&self, from: u64) -> bool {
        let mut state = self.state.lock();
        let is_there = state.cursor.scans_from() == Some(from);
        if is_there {
            state.cursor.follow();
        }
        is_there
    }

    /// Reads queued events in memory, or those that a scan found.
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

    /// Asks the reader to flush its events in flight, once. False if there are none.
    pub(crate) fn asks_to_flush(&self) -> bool {
        let mut state = self.state.lock();
        let asks = state.may_flush && state.cursor.unsettled().events > 0;
        state.may_flush &= !asks;
        asks
    }

    pub(crate) fn unsettled(&self) -> Amount {
        self.state.lock().cursor.unsettled()
    }

    /// True if the hook has read every event.
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

    /// The oldest unsettled position. `None`: all events are settled.
    pub(crate) fn committed(&self) -> Option<u64> {
        self.state.lock().cursor.committed()
    }

    /// The oldest unread position. `None`: the hook has read every event.
    pub(crate) fn unread(&self) -> Option<u64> {
        let state = self.state.lock();
        state.cursor.scans_from().or_else(|| state.cursor.next_queued().map(|first| first.from))
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        self.state.lock().cursor.checkpoint()
    }

    /// Drops unread events before this position. Counts queued ones here; the returned range is for the caller to count.
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

    /// Counts events that were dropped unread.
    pub(crate) fn count_lost(&self, events: usize, reason: DropReason) {
        let state = self.state.lock();
        state.ledger.take(events);
        state.ledger.give_up(events, reason);
    }

    /// The hook's unsettled events.
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

impl State {
    fn take_queued(&mut self, count: usize, into: &mut Vec<Delivery>, tail: &Mutex<TailCache>) {
        let tail = tail.lock();
        let mut left = count;
        while left > 0
            && let Some(PositionRange { from, to, .. }) = self.cursor.next_queued()
        {
            let Some(run) = tail.run(from, to.min(from + left as u64)) else {
                // The event is no longer in memory.
                return self.cursor.scan();
            };
            left -= run.len();
            self.take(run, into);
        }
    }

    fn take_found(&mut self, mut left: usize, into: &mut Vec<Delivery>, slot: &mut Option<ScanResult>) {
        let Some(found) = slot else { return };
        while let Some(first) = found.runs.front_mut().filter(|_| left > 0) {
            let mut run = first.split(left);
            if first.is_empty() {
                found.runs.pop_front();
            }
            let from = self.cursor.scans_from().unwrap_or_default();
            // Without dropped events, and those settled before a restart.
            run.retain(|_, position, _| position.get() >= from && !self.cursor.is_acked(position.get()));
            if !run.is_empty() {
                left -= run.len();
                self.skip_unreadable(&mut found.unreadable, run.first().get());
                self.take(run, into);
            }
        }
        if found.runs.is_empty() {
            self.skip_unreadable(&mut found.unreadable, found.until);
            self.cursor.pass(found.until);
            *slot = None;
        }
    }

    /// Counts unreadable positions before `until` and settles them, so that another read does not count them again.
    fn skip_unreadable(&mut self, unreadable: &mut VecDeque<(u64, u64)>, until: u64) {
        let mut events = 0;
        while unreadable.front().is_some_and(|(from, _)| *from < until) {
            events += unreadable.pop_front().map_or(0, |range| self.cursor.mark_unreadable(range));
        }
        self.ledger.take(events);
        self.ledger.give_up(events, DropReason::Unreadable);
    }

    fn take(&mut self, run: Run, into: &mut Vec<Delivery>) {
        into.extend(run.deliveries());
        self.cursor.take(run);
    }
}
