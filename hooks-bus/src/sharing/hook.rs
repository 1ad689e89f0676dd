//! One hook of an instance: its ownership and its cursor. No I/O; time is a parameter.

mod follow;
mod leave;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{DropReason, Filter, HookId, Ledger, bus::Subscription};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::assignment::hook_hash;
use super::cursor::{Cursor, PositionRange};
use super::lease::Lease;
use super::step::{CheckpointWrite, Reading, Step};
use follow::Following;
use leave::Leaving;

/// Most acked ranges in a checkpoint. Events of further ranges come again when another instance acquires the hook.
const MAX_ACKED_RANGES: usize = 1_024;

/// A position that moved only over events that don't concern the hook is written when it moved this far,
const IDLE_CHECKPOINT_EVENTS: u64 = 10_000;
/// or after this time.
const IDLE_CHECKPOINT_AFTER: Duration = Duration::from_secs(30);

/// One hook of this instance. `T`: what its bus knows it by beside its name; `F`: how far the reading of its events is.
#[derive(Debug)]
pub(crate) struct Hook<T, F> {
    pub(crate) id: HookId,
    pub(crate) hash: u32,
    pub(crate) tag: T,
    pub(crate) state: Mutex<State<F>>,
    /// Wakes the reader.
    pub(crate) changed: Notify,
    /// Wakes those who wait until this instance owns the hook.
    acquired: Notify,
    /// Held while the hook's entry is written: one write at a time.
    pub(crate) write_lock: tokio::sync::Mutex<()>,
    lease: Arc<Lease>,
    /// Wakes whoever writes positions.
    settled: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct State<F> {
    filter: Arc<Filter>,
    pub(crate) ledger: Arc<Ledger>,
    /// Changes when another reader takes over.
    reader: u64,
    /// Changes when an open feed no longer fits what is to be read.
    pub(crate) version: u64,
    /// The revision of the hook's entry, if this instance owns it.
    pub(crate) owned_revision: Option<u64>,
    /// True if the entry was seen to be this instance's since the lease last ran out.
    verified: bool,
    leaving: Leaving,
    /// The owned cursor, until the reader takes it.
    pub(crate) next: Option<Cursor>,
    pub(crate) cursor: Cursor,
    /// The worker may have events in hand.
    in_worker: bool,
    flushed: bool,
    removed: bool,
    following: Following,
    /// Delivers nothing until the override is followed.
    paused: bool,
    /// True once this instance has owned the hook, so that the cursor means something.
    was_owned: bool,
    committed: u64,
    committed_at: Instant,
    dirty: bool,
    missing: Option<Instant>,
    pub(crate) feed: Option<F>,
}

impl<T, F> Hook<T, F> {
    pub(crate) fn new(subscription: &Subscription, tag: T, lease: Arc<Lease>, settled: Arc<Notify>) -> Self {
        let state = State {
            filter: subscription.filter.clone(),
            ledger: subscription.ledger.clone(),
            reader: 0,
            version: 0,
            owned_revision: None,
            verified: false,
            leaving: Leaving::No,
            next: None,
            cursor: Cursor::default(),
            in_worker: false,
            flushed: false,
            removed: false,
            following: Following::Done,
            paused: false,
            was_owned: false,
            committed: 0,
            committed_at: Instant::now(),
            dirty: false,
            missing: None,
            feed: None,
        };
        let id = subscription.hook.clone();
        Self {
            hash: hook_hash(id.as_str()),
            id,
            tag,
            state: Mutex::new(state),
            changed: Notify::new(),
            acquired: Notify::new(),
            write_lock: tokio::sync::Mutex::new(()),
            lease,
            settled,
        }
    }

    /// Attaches a new reader; events in flight are read again. Returns the reader's number.
    pub(crate) fn attach_reader(&self, subscription: &Subscription) -> u64 {
        let mut state = self.state.lock();
        let in_flight = state.cursor.rewind();
        if Arc::ptr_eq(&state.ledger, &subscription.ledger) {
            state.ledger.hand_over(in_flight);
        }
        state.reader += 1;
        state.in_worker = false;
        state.ledger = subscription.ledger.clone();
        state.filter = subscription.filter.clone();
        state.version += 1;
        self.changed.notify_one();
        state.reader
    }

    pub(crate) fn reconfigure(&self, subscription: &Subscription) {
        let mut state = self.state.lock();
        state.filter = subscription.filter.clone();
        state.version += 1;
    }

    /// Removes the hook from this instance.
    pub(crate) fn remove(&self) {
        let mut state = self.state.lock();
        state.removed = true;
        let in_flight = state.cursor.rewind();
        state.ledger.give_up(in_flight, DropReason::Removed);
        self.changed.notify_one();
    }

    /// This instance owns the hook from here on.
    pub(crate) fn acquired(&self, revision: u64, (position, acked_ranges): (u64, &[PositionRange]), now: Instant) {
        let mut state = self.state.lock();
        state.owned_revision = Some(revision);
        state.was_owned = true;
        state.verified = true;
        state.leaving = Leaving::No;
        state.next = Some(Cursor::new(position, acked_ranges));
        state.committed = position;
        state.committed_at = now;
        state.dirty = false;
        state.missing = None;
        self.changed.notify_one();
        self.acquired.notify_waiters();
    }

    /// Waits until this instance owns the hook.
    pub(crate) async fn until_owned(&self) {
        loop {
            let acquired = self.acquired.notified();
            if self.is_owned() {
                return;
            }
            acquired.await;
        }
    }

    pub(crate) fn is_owned(&self) -> bool {
        self.state.lock().owned_revision.is_some()
    }

    /// Another instance owns the hook, by an entry of this revision, or the entry is gone.
    pub(crate) fn lose(&self, revision: u64) {
        let mut state = self.state.lock();
        if state.owned_revision.is_some_and(|own| own < revision) {
            state.owned_revision = None;
            state.next = None;
            state.leaving = Leaving::No;
            self.changed.notify_one();
        }
    }

    /// This instance still owns the hook, by an entry of this revision.
    pub(crate) fn confirm(&self, revision: u64) {
        let mut state = self.state.lock();
        if let Some(own) = &mut state.owned_revision {
            *own = revision.max(*own);
        }
    }

    /// True if this instance owns the hook by a later entry than this one, which is the last there is.
    pub(crate) fn is_owned_later_than(&self, revision: u64) -> bool {
        self.state.lock().owned_revision.is_some_and(|own| own > revision)
    }

    /// The lease ran out: the next write of the entry shows if this instance still owns the hook.
    pub(crate) fn unverify(&self) {
        self.state.lock().verified = false;
    }

    /// The reader's next step.
    pub(crate) fn step(&self, reader: u64, now: Instant, window: usize) -> Step {
        let mut state = self.state.lock();
        if state.reader != reader {
            return Step::Lost;
        }
        if state.removed {
            return Step::Dry;
        }
        let usable = state.is_usable() && self.lease.holds(now);
        if (!usable || state.next.is_some()) && std::mem::take(&mut state.in_worker) {
            // The worker enters the dropped events in the ledger.
            state.cursor.rewind();
            state.version += 1;
            return Step::Lost;
        }
        if !usable {
            if let Leaving::Asked(_) = state.leaving {
                state.leaving = Leaving::Dropped;
            }
            return Step::Wait;
        }
        state.adopt_next_cursor();
        if state.cursor.window() >= window {
            return if std::mem::replace(&mut state.flushed, true) { Step::Wait } else { Step::Flush };
        }
        Step::Read { after: state.cursor.read_to(), version: state.version }
    }

    /// Runs `read` on cursor and ledger, if this reader still reads the hook, in this version.
    pub(crate) fn read<R>(
        &self,
        (reader, version): (u64, u64),
        read: impl FnOnce(&mut Reading<'_, F>) -> R,
    ) -> Option<R>
    where
        F: Default,
    {
        let mut state = self.state.lock();
        let same = state.reader == reader && state.version == version;
        if !same || !state.is_usable() || state.next.is_some() {
            return None;
        }
        let State { cursor, ledger, in_worker, filter, feed, flushed, .. } = &mut *state;
        let feed = feed.get_or_insert_default();
        *flushed = false;
        Some(read(&mut Reading { cursor, ledger, in_worker, filter, feed }))
    }

    /// The hook's place as its entry would have it, if this instance owns it.
    pub(crate) fn place_to_write(&self) -> Option<CheckpointWrite> {
        let state = self.state.lock();
        let cursor = state.next.as_ref().unwrap_or(&state.cursor);
        let (position, acked_ranges) = (cursor.position(), cursor.acked_ranges(MAX_ACKED_RANGES));
        Some(CheckpointWrite { revision: state.owned_revision?, position, acked_ranges })
    }

    /// Enters events in the ledger that the hook skips.
    pub(crate) fn count_skipped(&self, events: u64) {
        let state = self.state.lock();
        let events = usize::try_from(events).unwrap_or(usize::MAX);
        state.ledger.take(events);
        state.ledger.give_up(events, DropReason::Skipped);
    }

    pub(crate) fn filter(&self) -> Arc<Filter> {
        self.state.lock().filter.clone()
    }

    /// The checkpoint that is due now, if one is; `all`: in any case. Without what is settled from now on.
    pub(crate) fn checkpoint_due(&self, now: Instant, all: bool) -> Option<CheckpointWrite> {
        let mut state = self.state.lock();
        let revision = state.owned_revision?;
        let cursor = state.next.as_ref().unwrap_or(&state.cursor);
        let position = cursor.position();
        let moved = position.saturating_sub(state.committed);
        let late = moved > 0 && now.saturating_duration_since(state.committed_at) >= IDLE_CHECKPOINT_AFTER;
        let due = state.dirty || !state.verified || moved >= IDLE_CHECKPOINT_EVENTS || late || all;
        let write =
            due.then(|| CheckpointWrite { revision, position, acked_ranges: cursor.acked_ranges(MAX_ACKED_RANGES) });
        state.dirty &= !due;
        write
    }

    /// A write succeeded, which proves that this instance owned the hook all the time, or failed (`None`).
    pub(crate) fn checkpoint_written(&self, revision: Option<u64>, position: u64, now: Instant) {
        let mut state = self.state.lock();
        let Some(revision) = revision else {
            state.dirty = true;
            return;
        };
        if state.owned_revision.is_some() {
            state.owned_revision = Some(revision);
            state.committed = position;
            state.committed_at = now;
            if !std::mem::replace(&mut state.verified, true) {
                self.changed.notify_one();
            }
        }
    }

    /// Position and acked ranges of the hook when this instance last owned it, in the present log.
    pub(crate) fn last_position(&self) -> Option<(u64, Vec<PositionRange>)> {
        let state = self.state.lock();
        let cursor = state.next.as_ref().unwrap_or(&state.cursor);
        state.was_owned.then(|| (cursor.position(), cursor.acked_ranges(MAX_ACKED_RANGES)))
    }

    /// The stream was rolled back to here: events read beyond are gone.
    pub(crate) fn roll_back(&self, kept: u64) {
        let mut state = self.state.lock();
        let cursor = state.next.as_ref().unwrap_or(&state.cursor);
        if cursor.read_to() <= kept {
            return;
        }
        let back = cursor.rolled_back_to(kept);
        if state.owned_revision.is_some() {
            state.next = Some(back);
            state.dirty = true;
            self.changed.notify_one();
        } else {
            state.was_owned = false;
        }
    }

    /// The time for which an entry has been missing that this instance never saw.
    pub(crate) fn missing_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.state.lock().missing.get_or_insert(now))
    }

    /// The entry is there.
    pub(crate) fn found(&self) {
        self.state.lock().missing = None;
    }

    /// The entry is gone: the next checkpoint, which follows, recreates it.
    pub(crate) fn checkpoint_soon(&self) {
        self.state.lock().dirty = true;
        self.settled.notify_one();
    }

    /// The bucket is another one: recreating the entry there shows if this instance still owns the hook.
    pub(crate) fn reset_revisions(&self) {
        let mut state = self.state.lock();
        state.owned_revision = state.owned_revision.map(|_| 0);
        state.verified = false;
    }

    /// The hook was released.
    pub(crate) fn released(&self) {
        let mut state = self.state.lock();
        state.owned_revision = None;
        state.next = None;
        state.leaving = Leaving::No;
        self.changed.notify_one();
    }
}

impl<F> State<F> {
    /// Starts at the acquired cursor, if the hook was acquired since.
    fn adopt_next_cursor(&mut self) {
        if let Some(next) = self.next.take() {
            self.cursor = next;
            self.feed = None;
            self.version += 1;
        }
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.owned_revision.is_some() && self.verified && self.leaving == Leaving::No && !self.removed && !self.paused
    }
}
