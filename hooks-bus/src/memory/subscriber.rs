//! What the memory bus holds for one hook.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hooks_core::{
    BusError, Delivery, DropReason, HookId, Lag, Ledger, Overflow, Position, QueueLimits, Read, Reader, Settle,
    Subscription, WINDOW,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::queue::Queue;
use crate::hold::in_hand::InHand;
use crate::hold::published::Run;
use crate::hold::room::{Amount, Claim, Room};

/// Dropped events are logged at most this often per hook.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// One hook's queue.
#[derive(Debug)]
pub(crate) struct Subscriber {
    hook: HookId,
    state: Mutex<State>,
    readable: Notify,
    /// What is queued and in hand, against the hook's limits.
    pub(crate) room: Arc<Room>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    in_hand: InHand,
    ledger: Arc<Ledger>,
    overflow: Overflow,
    enabled: bool,
    removed: bool,
    /// Changes when another reader takes over.
    reader: u64,
    /// Events were read since the last time that the reader was asked to flush.
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
            in_hand: InHand::default(),
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
            room: Room::new(amount(&subscription.queue)),
        }
    }

    /// A new reader takes over: what was in hand is to be read again. Returns the reader's number.
    pub(crate) fn take_over(&self, ledger: &Arc<Ledger>) -> u64 {
        let mut state = self.state.lock();
        let queued = state.queue.len();
        let State { queue, in_hand, .. } = &mut *state;
        in_hand.take_all().rev().for_each(|run| queue.push_front(run));
        if !Arc::ptr_eq(&state.ledger, ledger) {
            // What was in hand is handed over by whoever had it there.
            state.ledger.hand_over(queued);
            ledger.take(state.queue.len());
            state.ledger = ledger.clone();
        }
        state.reader += 1;
        self.readable.notify_one();
        state.reader
    }

    /// Whether publishers wait for room rather than the oldest events being dropped.
    pub(crate) fn blocks(&self) -> bool {
        self.state.lock().blocks()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.state.lock().enabled
    }

    /// Appends events. With a claim the room is there; without, the oldest events make room.
    pub(crate) fn push(&self, run: Run, claim: Option<Claim>, size: Amount) {
        let mut state = self.state.lock();
        if state.removed {
            return;
        }
        state.ledger.take(size.events);
        state.queue.push(run);
        claim.unwrap_or_else(|| self.room.take(size)).keep();
        let dropped = if state.blocks() { Vec::new() } else { state.overflowing(&self.room) };
        let report = state.gave_up(dropped.len());
        drop(state);
        self.log(report);
        self.readable.notify_one();
    }

    pub(crate) fn lag(&self) -> Lag {
        let state = self.state.lock();
        let oldest = state.in_hand.first().or(state.queue.first()).map(Run::accepted);
        let used = self.room.used();
        // Room that a publisher claimed and has not filled yet counts; it is about to be.
        let (events, bytes) = (used.events as u64, used.bytes as u64);
        Lag { events, bytes, oldest, exact: true }
    }

    /// Counts events as taken and dropped that there is no memory for.
    pub(crate) fn turn_away(&self, events: usize) {
        let mut state = self.state.lock();
        state.ledger.take(events);
        state.ledger.give_up(events, DropReason::Overflow);
        let report = state.drops.note(events);
        drop(state);
        self.log(report);
    }

    /// Drops the oldest event that is not in hand. False when there is none.
    pub(crate) fn drop_oldest(&self) -> bool {
        let mut state = self.state.lock();
        let Some(dropped) = state.queue.pop(1) else { return false };
        self.room.release(dropped.size());
        let report = state.gave_up(1);
        drop(state);
        self.log(report);
        true
    }

    /// A publisher waits: wakes a reader that has events in hand, which then says so.
    pub(crate) fn press(&self) {
        if self.state.lock().may_flush {
            self.readable.notify_one();
        }
    }

    /// Makes the reader look again.
    pub(crate) fn wake(&self) {
        self.readable.notify_one();
    }

    /// Nothing more is taken; what there is counts as removed.
    pub(crate) fn remove(&self) {
        let mut state = self.state.lock();
        state.removed = true;
        let mut removed: Vec<Run> = state.in_hand.take_all().collect();
        removed.extend(state.queue.take_all());
        let mut size = Amount::default();
        removed.iter().for_each(|run| size.add(run.size()));
        self.room.release(size);
        state.ledger.give_up(size.events, DropReason::Removed);
        drop(state);
        self.room.set_open(true);
        self.readable.notify_one();
    }

    pub(crate) fn reconfigure(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        state.overflow = subscription.queue.overflow;
        self.room.set_limit(amount(&subscription.queue));
        let gone = state.queue.filter(&subscription.filter);
        self.room.release(gone);
        state.ledger.give_up(gone.events, DropReason::Filtered);
        let dropped = if state.blocks() { Vec::new() } else { state.overflowing(&self.room) };
        let report = state.gave_up(dropped.len());
        self.room.set_open(!state.blocks());
        // Whoever reads now has what is in hand, and knows of no publisher that waits.
        state.may_flush = true;
        drop(state);
        self.log(report);
    }

    pub(crate) fn set_enabled(&self, enabled: bool) {
        let mut state = self.state.lock();
        state.enabled = enabled;
        self.room.set_open(!state.blocks());
    }

    /// What is there for this reader, if anything. `pressed`: publishers wait for memory.
    fn read(&self, reader: u64, max: usize, into: &mut Vec<Delivery>, dry: bool, pressed: bool) -> Option<Read> {
        let mut state = self.state.lock();
        if state.reader != reader {
            return Some(Read::Lost);
        }
        let count = max.min(state.queue.len()).min(WINDOW.saturating_sub(state.in_hand.window()));
        if count > 0 {
            into.reserve(count);
            let mut left = count;
            while left > 0
                && let Some(run) = state.queue.pop(left)
            {
                left -= run.len();
                into.extend(run.deliveries());
                state.in_hand.push(run);
            }
            state.may_flush = true;
            return Some(Read::Events(count));
        }
        let stopped = state.in_hand.window() >= WINDOW;
        if state.may_flush && !state.in_hand.is_empty() && (stopped || pressed || self.room.is_wanted()) {
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

    /// Takes the oldest events out of the queue until the rest is within the limits. One event alone
    /// may be larger than the limit.
    fn overflowing(&mut self, room: &Arc<Room>) -> Vec<Run> {
        let mut dropped = Vec::new();
        while room.is_over() && room.used().events > 1 {
            let Some(run) = self.queue.pop(1) else { break };
            room.release(run.size());
            dropped.push(run);
        }
        dropped
    }

    fn gave_up(&mut self, events: usize) -> Option<u64> {
        self.ledger.give_up(events, DropReason::Overflow);
        self.drops.note(events)
    }
}

impl Drops {
    /// How many drops are to be logged now, if any.
    fn note(&mut self, events: usize) -> Option<u64> {
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
        let was_full = state.in_hand.window() >= WINDOW;
        let (released, done) = state.in_hand.settle(positions);
        self.room.release(released);
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

/// A hook's way through the memory bus.
pub(super) struct MemoryReader {
    pub(super) bus: Arc<super::Inner>,
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) number: u64,
    pub(super) closed: bool,
}

#[async_trait]
impl Reader for MemoryReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            let dry = self.closed || self.bus.is_closed();
            let pressed = self.bus.memory.is_wanted();
            if let Some(read) = self.subscriber.read(self.number, max.max(1), into, dry, pressed) {
                return Ok(read);
            }
            self.subscriber.readable.notified().await;
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        self.bus.reroute(&subscription);
        self.subscriber.reconfigure(&subscription);
        self.bus.give_way();
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.subscriber.set_enabled(enabled);
        self.bus.give_way();
    }
}
