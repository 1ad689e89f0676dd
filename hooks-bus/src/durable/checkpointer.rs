//! Writes checkpoints of hooks: all changes in one commit, some ten times a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hooks_core::{BusError, DropReason, HookId};

use super::checkpoint::Checkpoint;
use super::inner::Inner;
use super::retention::Reclaim;
use super::subscriber::Subscriber;

/// Time to the next try after a failure, if nothing changes before.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until [`DirtySet::stop`](super::dirty_set::DirtySet::stop).
pub(crate) fn run(inner: &Inner) {
    let ages = inner.config.max_age.is_some() || !inner.config.retain.get().is_zero();
    let expiry = ages.then_some(inner.pace.expiry);
    let mut begun = Instant::now();
    loop {
        let retry = inner.storage.health.may_pass().then_some(RETRY_INTERVAL);
        let last = inner.dirty.wait(retry.or(expiry), begun, inner.pace);
        begun = Instant::now();
        // Publishers may be waiting for a file to be possible again.
        if inner.storage.health.beginning.is_there() && inner.storage.log.try_begin().is_ok() {
            inner.storage.health.beginning.ends();
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
        let dir = self.storage.dir.display();
        let mut written = self.checkpoint();
        // Room is taken from what no hook needs.
        while matches!(written, Err(BusError::Full(_))) && self.reclaim(Reclaim::One).is_ok_and(|removed| removed) {
            written = self.checkpoint();
        }
        if let Err(error) = written {
            if self.storage.health.checkpointing.begins(error.to_string()) {
                tracing::error!(%dir, %error, "can't write the positions of hooks: a restart would deliver events again");
            }
            return;
        }
        self.storage.health.checkpointing.ends();
        if let Err(error) = self.save_tenants() {
            tracing::warn!(%dir, %error, "can't keep what tenants take of the log: the next start reads files for it");
        }
        match self.reclaim(Reclaim::Aged).and_then(|_| self.expire()) {
            Ok(()) => self.storage.health.removing.ends(),
            Err(error) if self.storage.health.removing.begins(error.to_string()) => {
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
        let hooks_added = self.dirty.hooks_added();
        let dirty = self.dirty.take();
        // One that was forgotten since has no beginning.
        let mut began = self.dirty.take_began();
        began.retain(|(hook, _)| self.hooks.knows(hook));
        let checkpoints: Vec<(HookId, Checkpoint, bool)> =
            dirty.iter().filter_map(|hook| self.checkpoint_of(hook)).collect();
        let pinned = if end > saved.end { self.hooks.pinned() } else { Vec::new() };
        drop(dispatched);
        if end == saved.end && checkpoints.is_empty() {
            self.retention.passed.store(saved.floor(), Ordering::Relaxed);
            return Ok(());
        }
        let changed: Vec<(HookId, Checkpoint)> = checkpoints
            .iter()
            .filter(|(_, checkpoint, saved_at_end)| !(*checkpoint == Checkpoint::AtEnd && *saved_at_end))
            .map(|(hook, checkpoint, _)| (hook.clone(), checkpoint.clone()))
            .chain(pinned)
            .collect();
        if let Err(error) = self.storage.store.advance(end, &changed, &began) {
            self.put_back(&dirty);
            self.dirty.put_back_began(began);
            return Err(error);
        }
        self.hooks.saved(&changed);
        // Not before the commit: a crash would lose them.
        self.dirty.set_hooks_saved(hooks_added);
        saved.end = end;
        for (hook, checkpoint, _) in checkpoints {
            match checkpoint {
                Checkpoint::AtEnd => drop(saved.behind.remove(&hook)),
                Checkpoint::Behind(behind) => drop(saved.behind.insert(hook, behind.committed)),
            }
        }
        self.retention.passed.store(saved.floor(), Ordering::Relaxed);
        Ok(())
    }

    fn checkpoint_of(&self, subscriber: &Arc<Subscriber>) -> Option<(HookId, Checkpoint, bool)> {
        subscriber.dirty.store(false, Ordering::Release);
        let hook = subscriber.hook.clone();
        if subscriber.is_removed() {
            // The hook may be forgotten, or subscribed again.
            let behind = self.hooks.place(&hook)?;
            return Some((hook, Checkpoint::Behind(behind), false));
        }
        Some((hook, subscriber.checkpoint(), subscriber.saved_at_end.load(Ordering::Acquire)))
    }

    fn put_back(&self, dirty: &[Arc<Subscriber>]) {
        dirty.iter().for_each(|subscriber| self.dirty.insert(subscriber));
    }

    /// Evicts segments older than `max_age`.
    pub(crate) fn expire(&self) -> Result<(), BusError> {
        let Some(max_age) = self.config.max_age.filter(|_| self.retention.holding.is_released()) else { return Ok(()) };
        let now = self.storage.now();
        while let Some(part) = self.storage.log.oldest() {
            let sealed = self.storage.log.sealed(&part.segment);
            if sealed.is_none_or(|sealed| sealed.saturating_add(max_age.get().as_secs()) >= now) {
                break;
            }
            self.evict(&part, DropReason::Expired)?;
        }
        Ok(())
    }
}
