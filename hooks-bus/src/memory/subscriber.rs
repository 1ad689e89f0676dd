//! One hook's queue and its events in flight.

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    DropReason, HookId, Lag, Ledger, Overflow, Position, QueueLimits,
    bus::{Delivery, Read, Seek, SeekError, Settle, Sought, Subscription, WINDOW},
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::queue::Queue;
use super::target::Target;
use crate::buffer::budget::{Amount, Budget, Reservation};
use crate::buffer::in_flight::InFlight;
use crate::buffer::published::Run;

/// Shortest time between two log lines about dropped events of a hook.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// One hook's queue.
#[derive(Debug)]
pub(crate) struct Subscriber {
    hook: HookId,
    state: Mutex<State>,
    pub(super) readable: Notify,
    /// The hook's limits, and the size of its queued and unsettled events.
    pub(crate) budget: Arc<Budget>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    in_flight: InFlight,
    ledger: Arc<Ledger>,
    overflow: Overflow,
    enabled: bool,
    removed: bool,
    /// Number of the current reader.
    reader: u64,
    /// Events were read since the last request to flush.
    may_flush: bool,
    drops: Drops,
}

#[derive(Debug, Default)]
struct Drops {
    unlogged: u64,
    logged: Option<Instant>,
}

impl Subscriber {
    pub(crate) fn new(subscription: &Subscription) -> Self {
        let state = State {
            queue: Queue::default(),
            in_flight: InFlight::default(),
            ledger: subscription.ledger.clone(),
            overflow: subscription.queue.overflow,
            enabled: true,
            removed: false,
            reader: 0,
            may_flush: false,
            drops: Drops::default(),
        };
        Self {
            hook: subscription.hook.clone(),
            state: Mutex::new(state),
            readable: Notify::new(),
            budget: Budget::new(amount(&subscription.queue)),
        }
    }

    /// Hands the hook to a new reader, which reads the events in flight again. Returns the reader's number.
    pub(crate) fn take_over(&self, ledger: &Arc<Ledger>) -> u64 {
        let mut state = self.state.lock();
        let queued = state.queue.len();
        let State { queue, in_flight, .. } = &mut *state;
        in_flight.take_all().rev().for_each(|run| queue.push_front(run));
        if !Arc::ptr_eq(&state.ledger, ledger) {
            // The previous worker hands over its own events in flight.
            state.ledger.hand_over(queued);
            ledger.take(state.queue.len());
            state.ledger = ledger.clone();
        }
        state.reader += 1;
        self.readable.notify_one();
        state.reader
    }

    /// Drops the events before a place, and loses the reader. The next event that is published gets the position `end`.
    pub(super) fn seek(&self, target: Target, end: u64, seek: &Seek) -> Result<Sought, SeekError> {
        let mut state = self.state.lock();
        let runs = || state.in_flight.runs().chain(state.queue.runs().cloned());
        let before = runs().next().map_or(end, |run| run.first().get());
        let skipped: usize = runs().map(|run| target.passes(&run)).sum();
        let after = match target {
            Target::Position(position) => position.get().max(before),
            Target::Time(_) => runs().find(|run| target.passes(run) == 0).map_or(end, |run| run.first().get()),
        };
        seek.check(before, after)?;
        let sought = Sought::new(before, after, skipped as u64, true).reached(target.is_reached(runs().next()));
        if seek.dry_run {
            return Ok(sought);
        }
        let State { queue, in_flight, .. } = &mut *state;
        in_flight.take_all().rev().for_each(|run| queue.push_front(run));
        let (mut left, mut size) = (skipped, Amount::default());
        while left > 0
            && let Some(run) = queue.pop(left)
        {
            left -= run.len();
            size.add(run.size());
        }
        self.budget.release(size);
        state.ledger.give_up(skipped, DropReason::Skipped);
        state.reader += 1;
        self.readable.notify_one();
        Ok(sought)
    }

    /// True if a reader came.
    pub(super) fn has_reader(&self) -> bool {
        self.state.lock().reader > 0
    }

    /// True if publishers wait at the limit, false if the oldest events are dropped.
    pub(crate) fn blocks(&self) -> bool {
        self.state.lock().blocks()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.state.lock().enabled
    }

    /// Appends events. Without a reservation, the oldest events are dropped at the limit.
    pub(crate) fn push(&self, run: Run, reservation: Option<Reservation>, size: Amount) {
        let mut state = self.state.lock();
        if state.removed {
            return;
        }
        state.ledger.take(size.events);
        state.queue.push(run);
        reservation.unwrap_or_else(|| self.budget.reserve_anyway(size)).commit();
        let dropped = if state.blocks() { Vec::new() } else { state.drop_overflow(&self.budget) };
        let report = state.count_dropped(dropped.len());
        drop(state);
        self.log(report);
        self.readable.notify_one();
    }

    pub(crate) fn lag(&self) -> Lag {
        let state = self.state.lock();
        let oldest = state.in_flight.first().or(state.queue.first()).map(Run::accepted);
        let used = self.budget.used();
        // A publisher's reservation counts before it is filled.
        let (events, bytes) = (used.events as u64, used.bytes as u64);
        Lag { events, bytes, oldest, exact: true }
    }

    /// Counts published events as taken and dropped, for want of memory.
    pub(crate) fn drop_incoming(&self, events: usize) {
        let mut state = self.state.lock();
        state.ledger.take(events);
        state.ledger.give_up(events, DropReason::Overflow);
        let report = state.drops.add(events);
        drop(state);
        self.log(report);
    }

    /// Drops the oldest queued event. False if there is none.
    pub(crate) fn drop_oldest(&self) -> bool {
        let mut state = self.state.lock();
        let Some(dropped) = state.queue.pop(1) else { return false };
        self.budget.release(dropped.size());
        let report = state.count_dropped(1);
        drop(state);
        self.log(report);
        true
    }

    /// Asks a reader with events in flight to flush, because a publisher waits.
    pub(crate) fn request_flush(&self) {
        if self.state.lock().may_flush {
            self.readable.notify_one();
        }
    }

    /// Wakes the reader.
    pub(crate) fn wake(&self) {
        self.readable.notify_one();
    }

    /// Takes no more events, and drops all there are as removed.
    pub(crate) fn remove(&self) {
        let mut state = self.state.lock();
        state.removed = true;
        let mut removed: Vec<Run> = state.in_flight.take_all().collect();
        removed.extend(state.queue.take_all());
        let mut size = Amount::default();
        removed.iter().for_each(|run| size.add(run.size()));
        self.budget.release(size);
        state.ledger.give_up(size.events, DropReason::Removed);
        drop(state);
        self.budget.set_open(true);
        self.readable.notify_one();
    }

    pub(crate) fn reconfigure(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        state.overflow = subscription.queue.overflow;
        self.budget.set_limit(amount(&subscription.queue));
        let gone = state.queue.filter(&subscription.filter);
        self.budget.release(gone);
        state.ledger.give_up(gone.events, DropReason::Filtered);
        if state.reader == 0 {
            // The hook was defined, and nobody read: only now it is known what its events are.
            subscription.ledger.take(state.queue.len());
            state.ledger = subscription.ledger.clone();
        }
        let dropped = if state.blocks() { Vec::new() } else { state.drop_overflow(&self.budget) };
        let report = state.count_dropped(dropped.len());
        self.budget.set_open(!state.blocks());
        // The current reader has the events in flight, and has not heard of waiting publishers.
        state.may_flush = true;
        drop(state);
        self.log(report);
    }

    pub(crate) fn set_enabled(&self, enabled: bool) {
        let mut state = self.state.lock();
        state.enabled = enabled;
        self.budget.set_open(!state.blocks());
    }

    /// Reads for this reader, if there is anything. `flush`: publishers wait for memory.
    pub(super) fn read(
        &self,
        reader: u64,
        max: usize,
        into: &mut Vec<Delivery>,
        dry: bool,
        flush: bool,
    ) -> Option<Read> {
        let mut state = self.state.lock();
        if state.reader != reader {
            return Some(Read::Lost);
        }
        let count = max.min(state.queue.len()).min(WINDOW.saturating_sub(state.in_flight.window()));
        if count > 0 {
            into.reserve(count);
            let mut left = count;
            while left > 0
                && let Some(run) = state.queue.pop(left)
            {
                left -= run.len();
                into.extend(run.deliveries());
                state.in_flight.push(run);
            }
            state.may_flush = true;
            return Some(Read::Events(count));
        }
        let stopped = state.in_flight.window() >= WINDOW;
        if state.may_flush && !state.in_flight.is_empty() && (stopped || flush || self.budget.has_waiters()) {
            state.may_flush = false;
            return Some(Read::Flush);
        }
        (state.queue.len() == 0 && (dry || state.removed)).then_some(Read::Dry)
    }

    fn log(&self, dropped: Option<u64>) {
        if let Some(events) = dropped {
            tracing::warn!(hook = %self.hook, events, "the queue is full: the oldest events are dropped");
        }
    }
}

impl State {
    fn blocks(&self) -> bool {
        self.overflow == Overflow::Block && self.enabled
    }

    /// Removes the oldest events until the rest is within the limits. A single event may exceed them.
    fn drop_overflow(&mut self, budget: &Arc<Budget>) -> Vec<Run> {
        let mut dropped = Vec::new();
        while budget.is_over() && budget.used().events > 1 {
            let Some(run) = self.queue.pop(1) else { break };
            budget.release(run.size());
            dropped.push(run);
        }
        dropped
    }

    fn count_dropped(&mut self, events: usize) -> Option<u64> {
        self.ledger.give_up(events, DropReason::Overflow);
        self.drops.add(events)
    }
}

impl Drops {
    /// Adds dropped events. Returns the number to log, when a line is due.
    fn add(&mut self, events: usize) -> Option<u64> {
        self.unlogged += events as u64;
        let now = Instant::now();
        let due = self.logged.is_none_or(|logged| now >= logged + LOG_EVERY);
        (self.unlogged > 0 && due).then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.unlogged)
        })
    }
}

impl Settle for Subscriber {
    fn settle(&self, positions: &[Position]) -> usize {
        let mut state = self.state.lock();
        let was_full = state.in_flight.window() >= WINDOW;
        let (released, done) = state.in_flight.settle(positions);
        self.budget.release(released);
        drop(state);
        drop(done);
        if was_full {
            self.readable.notify_one();
        }
        released.events
    }
}

fn amount(limits: &QueueLimits) -> Amount {
    Amount { events: limits.max_events.get(), bytes: limits.max_bytes.get() }
}
