//! What was recorded and is not written yet: a block of bytes, which a thread of its own writes a few times in a second.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Most bytes that wait. What comes while there are more is dropped and counted.
const MOST: usize = 4 << 20;

/// How long the first record waits for others.
const GATHER: Duration = Duration::from_millis(200);

/// How often what is too old is looked for, where nothing is recorded.
const IDLE: Duration = Duration::from_secs(600);

/// Records that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<u8>,
    /// The number of the last record.
    last: u64,
    counts: Counts,
    /// Those who wait until everything is written.
    waiting: Vec<oneshot::Sender<()>>,
    is_closed: bool,
}

/// What became of attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) attempts: u64,
    /// Of these, those that were not kept.
    pub(super) dropped: u64,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) frames: Vec<u8>,
    /// The number of the last record.
    pub(super) last: u64,
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    /// Nothing more comes.
    pub(super) is_closed: bool,
}

impl Queue {
    /// Numbers rise from this one on.
    pub(super) fn after(last: u64) -> Self {
        let queue = Self::default();
        queue.state.lock().last = last;
        queue
    }

    /// Takes what ended at this time, in microseconds since 1970, if there is room. `put` appends its frame with the number
    /// that it gets.
    pub(super) fn push(&self, ended: u64, put: impl FnOnce(&mut Vec<u8>, u64)) {
        let mut state = self.state.lock();
        state.counts.attempts += 1;
        if state.is_closed || state.frames.len() >= MOST {
            state.counts.dropped += 1;
            return;
        }
        let before = state.frames.len();
        state.last = ended.max(state.last + 1);
        let number = state.last;
        put(&mut state.frames, number);
        let is_half_full = before < MOST / 2 && state.frames.len() >= MOST / 2;
        if before == 0 || is_half_full {
            self.wake.notify_one();
        }
    }

    /// Records that were not written count as dropped.
    pub(super) fn lost(&self, records: u64) {
        self.state.lock().counts.dropped += records;
    }

    pub(super) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Says when all that was recorded before is written.
    pub(super) fn written(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if !state.is_closed {
            state.waiting.push(sender);
            self.wake.notify_one();
        }
        receiver
    }

    /// Nothing more is recorded.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake.notify_one();
    }

    /// Waits for records, or for somebody who waits for them, or for a while. `spare` is a block to be filled next.
    pub(super) fn take(&self, spare: Vec<u8>) -> Taken {
        let mut state = self.state.lock();
        let is_urgent = |state: &State| state.is_closed || !state.waiting.is_empty();
        let idle = Instant::now() + IDLE;
        while state.frames.is_empty() && !is_urgent(&state) {
            if self.wake.wait_until(&mut state, idle).timed_out() {
                break;
            }
        }
        let gathered = Instant::now() + GATHER;
        while !state.frames.is_empty() && !is_urgent(&state) && state.frames.len() < MOST / 2 {
            if self.wake.wait_until(&mut state, gathered).timed_out() {
                break;
            }
        }
        Taken {
            frames: std::mem::replace(&mut state.frames, spare),
            last: state.last,
            waiting: std::mem::take(&mut state.waiting),
            is_closed: state.is_closed,
        }
    }
}
