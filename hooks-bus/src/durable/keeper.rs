//! Keeps how far the hooks are: everything that changed, in one commit, a few times a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hooks_core::{BusError, DropReason, HookId};
use parking_lot::{Condvar, Mutex};
// tidy-allow(bus-io): a clock, no file
use rustix::time::{ClockId, clock_gettime};

use super::inner::Inner;
use super::row::Row;
use super::subscriber::Subscriber;

/// How often segments are looked at that may have become too old.
const AGING: Duration = Duration::from_secs(1);

/// How soon what could not be done is tried again though nothing has changed.
const AGAIN: Duration = Duration::from_secs(1);

/// What tests set otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    /// How long changes are gathered before they are kept.
    pub(crate) gather: Duration,
    /// In seconds since 1970.
    pub(crate) clock: fn() -> u64,
    /// A clock that nobody can set, in seconds since some moment.
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

/// Goes on while the machine sleeps, where the system has such a clock.
fn steady() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    u64::try_from(clock_gettime(CLOCK).tv_sec).unwrap_or(0)
}

/// What has to be kept, and a bell to wake whoever keeps it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    dirty: Vec<Arc<Subscriber>>,
    rung: bool,
    stopped: bool,
    /// Hooks that came so far, and how many of them the database knows.
    announced: u64,
    known: u64,
}

impl Bell {
    /// This hook's row has changed.
    pub(crate) fn mark(&self, subscriber: &Arc<Subscriber>) {
        if !subscriber.dirty.swap(true, Ordering::AcqRel) {
            self.state.lock().dirty.push(subscriber.clone());
        }
    }

    /// Something has changed.
    pub(crate) fn ring(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.rung, true) {
            self.rung.notify_all();
        }
    }

    /// There is a hook that the database does not know: nothing may be accepted for it before it does.
    pub(crate) fn announce(&self) {
        self.state.lock().announced += 1;
    }

    pub(crate) fn has_new(&self) -> bool {
        let state = self.state.lock();
        state.announced > state.known
    }

    /// The last time: what is there is kept, and the keeper ends.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        self.rung.notify_all();
    }

    fn take(&self) -> Vec<Arc<Subscriber>> {
        std::mem::take(&mut self.state.lock().dirty)
    }

    /// Waits for a change and gathers what else changes. True when it is the last time.
    fn wait(&self, limit: Option<Duration>, gather: Duration) -> bool {
        let mut state = self.state.lock();
        while !state.rung && !state.stopped {
            match limit {
                Some(limit) if self.rung.wait_for(&mut state, limit).timed_out() => return state.stopped,
                Some(_) => {}
                None => self.rung.wait(&mut state),
            }
        }
        state.rung = false;
        let until = Instant::now() + gather;
        while !state.stopped && !self.rung.wait_until(&mut state, until).timed_out() {}
        state.stopped
    }
}

/// What the database holds.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) end: u64,
    /// Hooks that are not at the end.
    pub(crate) behind: HashMap<HookId, u64>,
}

impl Kept {
    /// Every hook is done with everything before this.
    pub(crate) fn floor(&self) -> u64 {
        self.behind.values().copied().min().unwrap_or(u64::MAX).min(self.end)
    }
}

/// Runs until the bell is stopped.
pub(crate) fn run(inner: &Inner) {
    let aging = inner.config.max_age.map(|_| AGING);
    loop {
        let again = inner.health.may_pass().then_some(AGAIN);
        let last = inner.bell.wait(again.or(aging), inner.tuning.gather);
        // Whoever publishes may wait until it is well again.
        if inner.health.beginning.is_there() && inner.log.try_begin().is_ok() {
            inner.health.beginning.ends();
        }
        inner.keep_and_clear();
        if last {
            return;
        }
    }
}

impl Inner {
    /// Keeps how far hooks are, and removes what nobody needs. What fails is said once, and tried again.
    pub(crate) fn keep_and_clear(&self) {
        let dir = self.dir.display();
        if let Err(error) = self.keep() {
            if self.health.keeping.begins(error.to_string()) {
                tracing::error!(%dir, %error, "positions can't be kept: after a restart events would be delivered again");
            }
            return;
        }
        self.health.keeping.ends();
        match self.reclaim().and_then(|()| self.expire()) {
            Ok(()) => self.health.removing.ends(),
            Err(error) if self.health.removing.begins(error.to_string()) => {
                tracing::error!(%dir, %error, "can't remove files of the log that no hook needs: they take disk until this is mended");
            }
            Err(_) => {}
        }
    }

    /// Keeps what has changed. Returns when it would survive. Blocks.
    pub(crate) fn keep(&self) -> Result<(), BusError> {
        let mut kept = self.kept.lock();
        // Rows and end belong to one moment: no event may lie between them.
        let handed_out = self.handed_out.lock();
        let end = *handed_out;
        let announced = self.bell.state.lock().announced;
        let dirty = self.bell.take();
        let rows: Vec<(HookId, Row, bool)> = dirty.iter().filter_map(|hook| self.row(hook)).collect();
        let pinned = if end > kept.end { self.pin() } else { Vec::new() };
        drop(handed_out);
        if end == kept.end && rows.is_empty() {
            return Ok(());
        }
        let changed: Vec<(HookId, Row)> = rows
            .iter()
            .filter(|(_, row, kept_at_end)| !(*row == Row::AtEnd && *kept_at_end))
            .map(|(hook, row, _)| (hook.clone(), row.clone()))
            .chain(pinned)
            .collect();
        if let Err(error) = self.store.advance(end, &changed) {
            self.put_back(&dirty);
            return Err(error);
        }
        self.note_kept(&changed);
        // Not before the commit: until then a crash would forget them.
        self.bell.state.lock().known = announced;
        kept.end = end;
        for (hook, row, _) in rows {
            match row {
                Row::AtEnd => drop(kept.behind.remove(&hook)),
                Row::Behind(behind) => drop(kept.behind.insert(hook, behind.prefix)),
            }
        }
        Ok(())
    }

    fn row(&self, subscriber: &Arc<Subscriber>) -> Option<(HookId, Row, bool)> {
        subscriber.dirty.store(false, Ordering::Release);
        let hook = subscriber.hook.clone();
        if subscriber.is_removed() {
            // It may be forgotten, or be subscribed again.
            let behind = self.away.lock().get(&hook)?.behind.clone();
            return Some((hook, Row::Behind(behind), false));
        }
        Some((hook, subscriber.row(), subscriber.kept_at_end.load(Ordering::Acquire)))
    }

    /// Hooks that are away and were at the end fall behind when the end moves on.
    fn pin(&self) -> Vec<(HookId, Row)> {
        let away = self.away.lock();
        let at_end = away.iter().filter(|(_, away)| away.kept_at_end);
        at_end.map(|(hook, away)| (hook.clone(), Row::Behind(away.behind.clone()))).collect()
    }

    fn note_kept(&self, changed: &[(HookId, Row)]) {
        for (hook, row) in changed {
            let at_end = *row == Row::AtEnd;
            // It may have come or gone since its row was made.
            if let Some((_, subscriber)) = self.hooks.lock().get(hook) {
                subscriber.kept_at_end.store(at_end, Ordering::Release);
            }
            if let Some(away) = self.away.lock().get_mut(hook) {
                away.kept_at_end = at_end;
            }
        }
    }

    fn put_back(&self, dirty: &[Arc<Subscriber>]) {
        dirty.iter().for_each(|subscriber| self.bell.mark(subscriber));
    }

    /// Removes the segments that every hook is done with.
    pub(crate) fn reclaim(&self) -> Result<(), BusError> {
        if !self.holding.is_released() {
            return Ok(());
        }
        let kept = self.kept.lock();
        let floor = kept.floor();
        if self.log.oldest().is_none_or(|part| part.end > floor) {
            return Ok(());
        }
        self.store.set_floor(floor)?;
        self.log.remove_below(floor).map_err(|error| self.unavailable("remove a segment", &error))
    }

    /// Gives up segments that are too old.
    pub(crate) fn expire(&self) -> Result<(), BusError> {
        let Some(max_age) = self.config.max_age.filter(|_| self.holding.is_released()) else { return Ok(()) };
        let now = self.now();
        while let Some(part) = self.log.oldest() {
            let sealed = self.log.sealed(&part.segment);
            if sealed.is_none_or(|sealed| sealed.saturating_add(max_age.0.as_secs()) >= now) {
                break;
            }
            self.give_up(&part, DropReason::Expired)?;
        }
        Ok(())
    }
}
