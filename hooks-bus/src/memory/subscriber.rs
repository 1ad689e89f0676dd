//! What the memory bus holds for one hook.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use hooks_core::{
    BlockGuard, BusError, Delivery, DropReason, Envelope, HookId, Lag, Ledger, Overflow, Position, QueueLimits, Read,
    Reader, Settle, Subscription, WINDOW,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::room::{Amount, Claim, Room};

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

/// An event, and the claim on the memory of its block that lives as long as a hook holds any of it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) envelope: Envelope,
    #[expect(dead_code, reason = "held, and let go with the event")]
    pub(crate) memory: BlockGuard,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<(Position, Held)>,
    /// What was read and, but for the holes, not settled. Rising positions.
    in_hand: VecDeque<(Position, Option<Held>)>,
    /// The last position of each slice that is not done with, and when it was accepted.
    accepted: VecDeque<(Position, SystemTime)>,
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
            queue: VecDeque::new(),
            in_hand: VecDeque::new(),
            accepted: VecDeque::new(),
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
        while let Some((position, held)) = state.in_hand.pop_back() {
            if let Some(held) = held {
                state.queue.push_front((position, held));
            }
        }
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
    pub(crate) fn push(
        &self,
        events: impl ExactSizeIterator<Item = (Position, Held)>,
        claim: Option<Claim>,
        size: Amount,
    ) {
        let mut state = self.state.lock();
        if state.removed {
            return;
        }
        state.ledger.take(events.len());
        state.queue.extend(events);
        if let Some((last, _)) = state.queue.back() {
            let last = *last;
            state.accepted.push_back((last, SystemTime::now()));
        }
        claim.unwrap_or_else(|| self.room.take(size)).keep();
        let dropped = if state.blocks() { Vec::new() } else { state.overflowing(&self.room) };
        state.forget_times();
        let report = state.gave_up(dropped.len());
        drop(state);
        self.log(report);
        self.readable.notify_one();
    }

    pub(crate) fn lag(&self) -> Lag {
        let mut state = self.state.lock();
        state.forget_times();
        let used = self.room.used();
        // Room that a publisher claimed and has not filled yet counts; it is about to be.
        let (events, bytes) = (used.events as u64, used.bytes as u64);
        Lag { events, bytes, oldest: state.accepted.front().map(|(_, at)| *at), exact: true }
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
        let Some((_, held)) = state.queue.pop_front() else { return false };
        self.room.release(size_of_one(&held.envelope));
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
        let in_hand = std::mem::take(&mut state.in_hand);
        let queue = std::mem::take(&mut state.queue);
        let mut size = Amount::default();
        in_hand
            .iter()
            .filter_map(|(_, held)| held.as_ref())
            .chain(queue.iter().map(|(_, held)| held))
            .for_each(|held| size.add(size_of_one(&held.envelope)));
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
        let (kept, gone): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut state.queue)
            .into_iter()
            .partition(|(_, held)| subscription.filter.matches(&held.envelope));
        state.queue = kept;
        gone.iter().for_each(|(_, held)| self.room.release(size_of_one(&held.envelope)));
        state.ledger.give_up(gone.len(), DropReason::Filtered);
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
        let count = max.min(state.queue.len()).min(WINDOW.saturating_sub(state.in_hand.len()));
        if count > 0 {
            let State { queue, in_hand, .. } = &mut *state;
            for (position, held) in queue.drain(..count) {
                into.push(Delivery { position, envelope: held.envelope.clone() });
                in_hand.push_back((position, Some(held)));
            }
            state.may_flush = true;
            return Some(Read::Events(count));
        }
        let stopped = state.in_hand.len() >= WINDOW;
        if state.may_flush && !state.in_hand.is_empty() && (stopped || pressed || self.room.is_wanted()) {
            state.may_flush = false;
            return Some(Read::Flush);
        }
        (state.queue.is_empty() && (dry || state.removed)).then_some(Read::Dry)
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
    fn overflowing(&mut self, room: &Arc<Room>) -> Vec<Held> {
        let mut dropped = Vec::new();
        while room.is_over() && room.used().events > 1 {
            let Some((_, held)) = self.queue.pop_front() else { break };
            room.release(size_of_one(&held.envelope));
            dropped.push(held);
        }
        dropped
    }

    /// Slices that everything of was settled or dropped.
    fn forget_times(&mut self) {
        let queued = self.queue.front().map(|(position, _)| *position);
        let oldest = self.in_hand.front().map(|(position, _)| *position).or(queued);
        while self.accepted.front().is_some_and(|(last, _)| oldest.is_none_or(|oldest| *last < oldest)) {
            self.accepted.pop_front();
        }
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
        let was_full = state.in_hand.len() >= WINDOW;
        let mut released = Amount::default();
        let mut gone = Vec::with_capacity(positions.len());
        let mut next = 0;
        for position in positions {
            // Almost always the one behind the last.
            let index = match state.in_hand.get(next) {
                Some((known, _)) if known == position => next,
                _ => match state.in_hand.binary_search_by_key(position, |(known, _)| *known) {
                    Ok(index) => index,
                    Err(_) => continue,
                },
            };
            next = index + 1;
            if let Some(held) = state.in_hand[index].1.take() {
                released.add(size_of_one(&held.envelope));
                gone.push(held);
            }
        }
        while state.in_hand.front().is_some_and(|(_, held)| held.is_none()) {
            state.in_hand.pop_front();
        }
        state.forget_times();
        self.room.release(released);
        drop(state);
        if was_full {
            self.readable.notify_one();
        }
        released.events
    }
}

/// What an event takes of a hook's room.
pub(crate) fn size_of_one(envelope: &Envelope) -> Amount {
    Amount { events: 1, bytes: envelope.len() }
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
