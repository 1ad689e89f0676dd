//! Writes checkpoints of hooks: all changes in one commit, a few times a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hooks_core::{BusError, DropReason, HookId};
use parking_lot::{Condvar, Mutex};
// tidy-allow(bus-io): a clock, no file
use rustix::time::{ClockId, clock_gettime};

use super::checkpoint::Checkpoint;
use super::inner::Inner;
use super::subscriber::Subscriber;

/// Time between two searches for segments older than `max_age`.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// Time to the next try after a failure, if nothing changes before.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Settings that tests replace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    /// Time for gathering changes before a commit.
    pub(crate) gather: Duration,
    /// The time of day, in seconds since 1970.
    pub(crate) clock: fn() -> u64,
    /// A clock that can't be set, in seconds since some moment.
    pub(crate) steady: fn() -> u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { gather: Duration::from_millis(200), clock: now, steady }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds of a clock that can't be set. It runs while the machine sleeps, where the system has such a clock.
fn steady() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    u64::try_from(clock_gettime(CLOCK).tv_sec).unwrap_or(0)
}

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
    stopped: bool,
    /// Number of new hooks so far, and of those the database has.
    hooks_added: u64,
    hooks_saved: u64,
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

    /// Counts a hook that is new to the database. The bus accepts no event for it before a commit.
    pub(crate) fn add_hook(&self) {
        self.state.lock().hooks_added += 1;
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

    fn take(&self) -> Vec<Arc<Subscriber>> {
        std::mem::take(&mut self.state.lock().subscribers)
    }

    /// Waits for a change, then gathers more. True after [`stop`](Self::stop).
    fn wait(&self, limit: Option<Duration>, gather: Duration) -> bool {
        let mut state = self.state.lock();
        while !state.woken && !state.stopped {
            match limit {
                Some(limit) if self.woken.wait_for(&mut state, limit).timed_out() => return state.stopped,
                Some(_) => {}
                None => self.woken.wait(&mut state),
            }
        }
        state.woken = false;
        let until = Instant::now() + gather;
        while !state.stopped && !self.woken.wait_until(&mut state, until).timed_out() {}
        state.stopped
    }
}

/// The places that the database holds.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    pub(crate) end: u64,
    /// Committed positions of hooks that are not at the end.
    pub(crate) behind: HashMap<HookId, u64>,
}

impl Checkpoints {
    /// Every hook has settled every event before this position.
    pub(crate) fn floor(&self) -> u64 {
        self.behind.values().copied().min().unwrap_or(u64::MAX).min(self.end)
    }
}

/// Runs until [`DirtySet::stop`].
pub(crate) fn run(inner: &Inner) {
    let expiry = inner.config.max_age.map(|_| EXPIRY_INTERVAL);
    loop {
        let retry = inner.health.may_pass().then_some(RETRY_INTERVAL);
        let last = inner.dirty.wait(retry.or(expiry), inner.tuning.gather);
        // Publishers may be waiting for a file to be possible again.
        if inner.health.beginning.is_there() && inner.log.try_begin().is_ok() {
            inner.health.beginning.ends();
        }
        inner.checkpoint_and_clean();
        if last {
            return;
        }
    }
}

impl Inner {
    /// Writes checkpoints, then removes segments that no hook needs. Logs an error once, and tries again later.
    pub(crate) fn checkpoint_and_clean(&self) {
        let dir = self.dir.display();
        if let Err(error) = self.checkpoint() {
            if self.health.checkpointing.begins(error.to_string()) {
                tracing::error!(%dir, %error, "can't write the positions of hooks: a restart would deliver events again");
            }
            return;
        }
        self.health.checkpointing.ends();
        match self.reclaim().and_then(|()| self.expire()) {
            Ok(()) => self.health.removing.ends(),
            Err(error) if self.health.removing.begins(error.to_string()) => {
                tracing::error!(%dir, %error, "can't remove files of the log that no hook needs: they take up disk space until it works");
            }
            Err(_) => {}
        }
    }

    /// Writes changed checkpoints. Returns when they would survive a crash. Blocks.
    pub(crate) fn checkpoint(&self) -> Result<(), BusError> {
        let mut saved = self.saved.lock();
        // Checkpoints and end must be of one moment: no event may lie between them.
        let dispatched = self.dispatched.lock();
        let end = *dispatched;
        let hooks_added = self.dirty.state.lock().hooks_added;
        let dirty = self.dirty.take();
        let checkpoints: Vec<(HookId, Checkpoint, bool)> =
            dirty.iter().filter_map(|hook| self.checkpoint_of(hook)).collect();
        let pinned = if end > saved.end { self.pin() } else { Vec::new() };
        drop(dispatched);
        if end == saved.end && checkpoints.is_empty() {
            return Ok(());
        }
        let changed: Vec<(HookId, Checkpoint)> = checkpoints
            .iter()
            .filter(|(_, checkpoint, saved_at_end)| !(*checkpoint == Checkpoint::AtEnd && *saved_at_end))
            .map(|(hook, checkpoint, _)| (hook.clone(), checkpoint.clone()))
            .chain(pinned)
            .collect();
        if let Err(error) = self.store.advance(end, &changed) {
            self.put_back(&dirty);
            return Err(error);
        }
        self.mark_saved(&changed);
        // Not before the commit: a crash would lose them.
        self.dirty.state.lock().hooks_saved = hooks_added;
        saved.end = end;
        for (hook, checkpoint, _) in checkpoints {
            match checkpoint {
                Checkpoint::AtEnd => drop(saved.behind.remove(&hook)),
                Checkpoint::Behind(behind) => drop(saved.behind.insert(hook, behind.committed)),
            }
        }
        Ok(())
    }

    fn checkpoint_of(&self, subscriber: &Arc<Subscriber>) -> Option<(HookId, Checkpoint, bool)> {
        subscriber.dirty.store(false, Ordering::Release);
        let hook = subscriber.hook.clone();
        if subscriber.is_removed() {
            // The hook may be forgotten, or subscribed again.
            let behind = self.away.lock().get(&hook)?.behind.clone();
            return Some((hook, Checkpoint::Behind(behind), false));
        }
        Some((hook, subscriber.checkpoint(), subscriber.saved_at_end.load(Ordering::Acquire)))
    }

    /// Checkpoints of hooks that left at the end: as the end moves on, they fall behind.
    fn pin(&self) -> Vec<(HookId, Checkpoint)> {
        let away = self.away.lock();
        let at_end = away.iter().filter(|(_, away)| away.saved_at_end);
        at_end.map(|(hook, away)| (hook.clone(), Checkpoint::Behind(away.behind.clone()))).collect()
    }

    fn mark_saved(&self, changed: &[(HookId, Checkpoint)]) {
        for (hook, checkpoint) in changed {
            let at_end = *checkpoint == Checkpoint::AtEnd;
            // The hook may have come or gone since.
            if let Some((_, subscriber)) = self.hooks.lock().get(hook) {
                subscriber.saved_at_end.store(at_end, Ordering::Release);
            }
            if let Some(away) = self.away.lock().get_mut(hook) {
                away.saved_at_end = at_end;
            }
        }
    }

    fn put_back(&self, dirty: &[Arc<Subscriber>]) {
        dirty.iter().for_each(|subscriber| self.dirty.insert(subscriber));
    }

    /// Removes segments that every hook has settled.
    pub(crate) fn reclaim(&self) -> Result<(), BusError> {
        if !self.holding.is_released() {
            return Ok(());
        }
        let saved = self.saved.lock();
        let floor = saved.floor();
        if self.log.oldest().is_none_or(|part| part.end > floor) {
            return Ok(());
        }
        self.store.set_floor(floor)?;
        self.log.remove_below(floor).map_err(|error| self.unavailable("remove a segment", &error))
    }

    /// Evicts segments older than `max_age`.
    pub(crate) fn expire(&self) -> Result<(), BusError> {
        let Some(max_age) = self.config.max_age.filter(|_| self.holding.is_released()) else { return Ok(()) };
        let now = self.now();
        while let Some(part) = self.log.oldest() {
            let sealed = self.log.sealed(&part.segment);
            if sealed.is_none_or(|sealed| sealed.saturating_add(max_age.0.as_secs()) >= now) {
                break;
            }
            self.evict(&part, DropReason::Expired)?;
        }
        Ok(())
    }
}
