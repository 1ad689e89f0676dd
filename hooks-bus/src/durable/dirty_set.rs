//! The hooks whose checkpoints have to be written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hooks_core::HookId;
use parking_lot::{Condvar, Mutex};

use super::subscriber::Subscriber;
use super::tuning::Pace;

/// Hooks with unsaved changes, and the signal that wakes the checkpointer.
#[derive(Debug, Default)]
pub(crate) struct DirtySet {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    subscribers: Vec<Arc<Subscriber>>,
    woken: bool,
    /// The change can't wait for others.
    soon: bool,
    stopped: bool,
    /// Number of new hooks so far, and of those the database has.
    hooks_added: u64,
    hooks_saved: u64,
    /// Where those began that the database lacks.
    began: Vec<(HookId, u64)>,
}

impl DirtySet {
    /// Adds a hook whose checkpoint has changed.
    pub(crate) fn insert(&self, subscriber: &Arc<Subscriber>) {
        if !subscriber.dirty.swap(true, Ordering::AcqRel) {
            self.state.lock().subscribers.push(subscriber.clone());
        }
    }

    /// Wakes the checkpointer after a change.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.woken, true) {
            self.woken.notify_all();
        }
    }

    /// Wakes the checkpointer after a change that can't wait for others.
    pub(crate) fn wake_soon(&self) {
        let mut state = self.state.lock();
        (state.woken, state.soon) = (true, true);
        self.woken.notify_all();
    }

    /// Counts a hook that is new to the database, and notes where it began, if it did so now. The bus accepts no event
    /// for it before a commit.
    pub(crate) fn add_hook(&self, began: Option<(HookId, u64)>) {
        let mut state = self.state.lock();
        state.hooks_added += 1;
        state.began.extend(began);
    }

    /// Takes out where new hooks began.
    pub(crate) fn take_began(&self) -> Vec<(HookId, u64)> {
        std::mem::take(&mut self.state.lock().began)
    }

    /// Puts it back in front of those that came since.
    pub(crate) fn put_back_began(&self, began: Vec<(HookId, u64)>) {
        drop(self.state.lock().began.splice(0..0, began));
    }

    /// True while the database lacks a new hook.
    pub(crate) fn has_unsaved_hooks(&self) -> bool {
        let state = self.state.lock();
        state.hooks_added > state.hooks_saved
    }

    /// Tells the checkpointer to write all changes and end.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.woken.notify_all();
    }

    /// Number of new hooks so far.
    pub(crate) fn hooks_added(&self) -> u64 {
        self.state.lock().hooks_added
    }

    /// Notes that the database has so many of the new hooks.
    pub(crate) fn set_hooks_saved(&self, hooks: u64) {
        self.state.lock().hooks_saved = hooks;
    }

    /// Takes the hooks out.
    pub(crate) fn take(&self) -> Vec<Arc<Subscriber>> {
        std::mem::take(&mut self.state.lock().subscribers)
    }

    /// Waits for a change, then gathers more until it is time for the next commit; the last one began at `begun`. True
    /// after [`stop`](Self::stop).
    pub(crate) fn wait(&self, limit: Option<Duration>, begun: Instant, pace: Pace) -> bool {
        let mut state = self.state.lock();
        while !state.woken && !state.stopped {
            match limit {
                Some(limit) if self.woken.wait_for(&mut state, limit).timed_out() => return state.stopped,
                Some(_) => {}
                None => self.woken.wait(&mut state),
            }
        }
        while !state.stopped {
            let until = begun + if state.soon { pace.first } else { pace.gather };
            if self.woken.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        (state.woken, state.soon) = (false, false);
        state.stopped
    }
}
