//! Acquires the hooks that this instance should own, and releases the others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hooks_core::BusError;
use tokio::time::{Instant, sleep};

use super::Inner;
use super::checkpointer::MAX_WRITES;
use super::connect::chain;
use super::hook::Hook;
use super::record::{HookRecord, Key, encode_hooks};
use super::refusal::is_conflict;

/// The time that a worker has to finish events in flight before its hook is released.
const DRAIN_GRACE: Duration = Duration::from_secs(15);

/// The longest pause before what failed is tried again, however long the lease is.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// The time for which an instance that never saw a hook's entry leaves recreating it to others. They list all
/// entries every half minute at the latest.
const RESTORE_AFTER: Duration = Duration::from_secs(45);

/// A change of a hook's owner or entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Acquire,
    Release,
    /// Its entry was removed.
    Restore,
}

/// Rebalances whenever something changed, and from time to time, because silence is a change, too.
pub(super) async fn run(bus: Arc<Inner>) {
    let mut announced: Option<Vec<u32>> = None;
    let (mut begun, mut stale) = (false, false);
    let pause = (bus.config.lease.get() / 10).clamp(Duration::from_millis(100), MAX_PAUSE);
    loop {
        tokio::select! {
            () = bus.rebalance_needed.notified() => {}
            () = sleep(pause) => {}
        }
        bus.announce_hooks(&mut announced).await;
        let is_watch_stale = bus.registry.lock().is_watch_stale(Instant::now());
        begun |= !is_watch_stale;
        if begun && is_watch_stale != std::mem::replace(&mut stale, is_watch_stale) {
            let text = if is_watch_stale {
                "the watch of the NATS bucket is silent: this instance acquires and releases no hooks"
            } else {
                "the watch of the NATS bucket works again: this instance acquires and releases hooks"
            };
            tracing::warn!("{text}");
        }
        let moves = bus.moves(Instant::now());
        if !moves.is_empty() {
            tracing::debug!(moves = moves.len(), "hooks change hands");
        }
        let bus = &bus;
        let make = |(hook, what): (Arc<Hook>, Move)| async move {
            match what {
                Move::Acquire => bus.acquire(&hook).await,
                Move::Release => bus.release(&hook).await,
                Move::Restore => bus.restore(&hook).await,
            }
        };
        let acquires = moves.iter().any(|(_, what)| *what == Move::Acquire);
        stream::iter(moves).for_each_concurrent(MAX_WRITES, make).await;
        if acquires {
            bus.acquired.notify_one();
        }
        bus.remove_dead_members(Instant::now()).await;
    }
}

impl Inner {
    /// Writes to the bucket which hooks this instance has.
    async fn announce_hooks(&self, announced: &mut Option<Vec<u32>>) {
        let mut hashes: Vec<u32> = self.hooks.lock().values().map(|hook| hook.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        // An instance without hooks, as of an operator's command, announces nothing, nor does one that can't own any yet:
        // others would let go of hooks that it can't take.
        if announced.is_none() && (hashes.is_empty() || !self.lease.holds(Instant::now())) {
            return;
        }
        // Another instance that took this one for long dead, or a purge, may have removed the announcement.
        if announced.as_ref() == Some(&hashes) && self.registry.lock().members.are_my_hooks_known() {
            return;
        }
        if announced.is_none() {
            self.remove_ended_members().await;
        }
        match self.storage.bucket.put(Key::Hooks(&self.me).to_string(), encode_hooks(&hashes)).await {
            Ok(_) => *announced = Some(hashes),
            Err(error) => tracing::debug!(error = chain(&error), "this instance's hooks can't be announced now"),
        }
    }

    /// The moves that are due, by the registry. None while the watch is stale or the lease has run out.
    fn moves(&self, now: Instant) -> Vec<(Arc<Hook>, Move)> {
        let hooks: Vec<_> = self.hooks.lock().values().cloned().collect();
        let mut registry = self.registry.lock();
        if registry.is_watch_stale(now) || !self.lease.holds(now) {
            return Vec::new();
        }
        let mine = registry.assigned_hooks(now);
        let stable = registry.members.is_stable(now);
        let what = |hook: &Hook| {
            let wanted = mine.contains(&hook.hash);
            if hook.is_owned() {
                let others = !wanted && stable && registry.any_member_has(hook.hash, now);
                hook.leave(others, now);
                return (others && hook.has_left(now, DRAIN_GRACE)).then_some(Move::Release);
            }
            // Where an entry names this instance, which does not own the hook, an answer was lost: others wait until it
            // releases the hook, so it acquires it first.
            let wanted = wanted || registry.names_me(&hook.tag.token);
            match registry.entry(&hook.tag.token) {
                None if registry.definitions.has_ended(&hook.id, hook.tag.origin.as_ref()) => None,
                // An instance restores the entry if it knew the position, or should own the hook.
                None if wanted || registry.is_orphaned(&hook.tag.token, now) => Some(Move::Restore),
                Some((record, _))
                    if hook.is_of(&record) && wanted && !registry.is_owned_by_another(&hook.tag.token, now) =>
                {
                    Some(Move::Acquire)
                }
                _ => None,
            }
        };
        hooks.into_iter().filter_map(|hook| what(&hook).map(|what| (hook.clone(), what))).collect()
    }

    /// Makes this instance the owner of a hook without a living owner. The write succeeds only on the revision that
    /// was seen, so that entry was the latest, and it fences off the former owner.
    async fn acquire(&self, hook: &Hook) {
        let _turn = hook.write_lock.lock().await;
        if let Err(error) = self.check_position(hook).await {
            tracing::debug!(hook = %hook.id, %error, "the hook can't be acquired now");
            return;
        }
        let seen = self.registry.lock().entry(&hook.tag.token);
        let Some((record, revision)) = seen.filter(|(record, _)| hook.is_of(record) && !hook.is_owned()) else {
            return;
        };
        let record = self.in_this_log(hook, HookRecord { owner: Some(self.me.clone()), ..record });
        match self.storage.bucket.update(Key::Hook(&hook.tag.token).to_string(), record.encode(), revision).await {
            Ok(revision) => {
                tracing::debug!(hook = %hook.id, position = record.position, "hook acquired");
                hook.acquired(revision, (record.position, &record.acked_ranges), Instant::now());
                self.registry.lock().set(&hook.tag.token, record, revision);
                // The watch may have been faster than the answer.
                if let Some(newer) = self.registry.lock().lost_by(&hook.tag.token, revision) {
                    hook.lose(newer);
                }
            }
            // Another was faster, or the entry is gone.
            Err(error) if is_conflict(&error) => drop(self.reload_entry(hook).await),
            Err(error) => tracing::debug!(hook = %hook.id, error = chain(&error), "the hook can't be acquired now"),
        }
    }

    /// Reads the end of the stream if the hook's position lies beyond it: the stream may have been rolled back.
    async fn check_position(&self, hook: &Hook) -> Result<(), BusError> {
        let past_end = self
            .registry
            .lock()
            .entry(&hook.tag.token)
            .is_some_and(|(record, _)| record.log == self.log_name && record.position > self.tail().last);
        if past_end { self.refresh_tail().await.map(drop) } else { Ok(()) }
    }

    /// The record for this stream: a position in a deleted one says nothing about the one made after it.
    fn in_this_log(&self, hook: &Hook, record: HookRecord) -> HookRecord {
        if record.log == self.log_name {
            return record;
        }
        tracing::warn!(hook = %hook.id, "the stream was deleted and made again: the hook begins at its beginning");
        record.in_another(&self.log_name)
    }

    /// Recreates the removed entry of a hook in use, at the furthest position that this instance knows.
    async fn restore(&self, hook: &Hook) {
        let _turn = hook.write_lock.lock().await;
        if self.is_undefined(hook) {
            return;
        }
        let kept = self.registry.lock().vanished(&hook.tag.token);
        let kept = kept.filter(|record| record.log == self.log_name && hook.is_of(record));
        let known = hook.last_position();
        if kept.is_none() && known.is_none() && self.is_known_elsewhere(hook) {
            return;
        }
        let origin = hook.tag.origin.as_ref().filter(|origin| origin.log == self.log_name);
        let begin = origin.map_or(0, |origin| origin.position);
        let began = kept.as_ref().and_then(|record| record.began);
        let (committed, acked_ranges) =
            kept.map_or((begin, Vec::new()), |record| (record.position, record.acked_ranges));
        let (position, acked_ranges) = known.filter(|own| own.0 >= committed).unwrap_or((committed, acked_ranges));
        let (log, of) = (self.log_name.clone(), hook.mark());
        let record = HookRecord { owner: None, log, position, began, of, acked_ranges };
        if self.recreate_entry(hook, record).await.is_some() {
            self.rebalance_needed.notify_one();
        }
    }

    /// True if another instance has the hook, which recreates its entry at its next check.
    fn is_known_elsewhere(&self, hook: &Hook) -> bool {
        let now = Instant::now();
        hook.missing_for(now) < RESTORE_AFTER && self.registry.lock().another_member_has(hook.hash, now)
    }

    /// Removes the entries of long dead instances.
    async fn remove_dead_members(&self, now: Instant) {
        let dead = {
            let registry = self.registry.lock();
            if registry.is_watch_stale(now) { Vec::new() } else { registry.members.long_dead(now) }
        };
        for instance in dead {
            self.remove_member(&instance).await;
        }
    }

    /// Removes the entries of instances of this machine whose processes have ended, and could not say so: nobody waits
    /// for the end of their leases.
    async fn remove_ended_members(&self) {
        let Some(mark) = self.lease.mark() else { return };
        let here = self.registry.lock().members.on_machine(mark.machine());
        for instance in here.iter().filter(|instance| mark.has_ended(instance)) {
            tracing::info!(instance, "an instance of this machine has ended without a word: its hooks are free");
            self.remove_member(instance).await;
        }
    }

    async fn remove_member(&self, instance: &str) {
        for key in [Key::Alive(instance), Key::Hooks(instance)] {
            let _ = self.storage.bucket.delete(key.to_string()).await;
        }
        self.registry.lock().members.remove(instance);
    }
}
