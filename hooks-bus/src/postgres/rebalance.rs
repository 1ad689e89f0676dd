//! Acquires the hooks that this instance should own, and releases the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Inner;
use super::checkpointer::ranges;
use super::hook::Hook;

/// The time that a worker has to finish events in flight before its hook is released.
const DRAIN_GRACE: Duration = Duration::from_secs(15);

/// The longest pause before a look.
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// Most hooks in a statement.
const MAX_HOOKS: usize = 1_000;

/// Makes this instance the owner of hooks without a living one. The new epoch fences off the former owner.
const ACQUIRE: &str = "UPDATE hooks.cursors AS c SET owner = $1, epoch = nextval('hooks.number') \
     FROM unnest($2::text[], $3::int8[]) AS given (hook, born) \
     WHERE c.hook = given.hook AND c.born = given.born \
     AND (c.owner IS NULL OR c.owner = $1 OR NOT EXISTS (\
     SELECT FROM hooks.instances AS i WHERE i.instance = c.owner AND hooks.lasts(i.until, i.lease))) \
     AND EXISTS (SELECT FROM hooks.instances AS i WHERE i.instance = $1 AND hooks.lasts(i.until, i.lease)) \
     RETURNING c.hook, c.epoch, c.position, c.settled";

const ANNOUNCE: &str =
    "UPDATE hooks.instances SET hooks = $2 WHERE instance = $1 AND hooks IS DISTINCT FROM $2 RETURNING true";

/// Instances that were silent for ten leases, or were alive at a time that is still far away, or whose processes have ended.
const REMOVE: &str = "DELETE FROM hooks.instances WHERE instance = ANY ($1) \
     OR (instance <> $2 AND until NOT BETWEEN clock_timestamp() - $3::float8 * interval '10 seconds' \
     AND clock_timestamp() + $3::float8 * interval '10 seconds') RETURNING true";

const LEAVE: &str = "WITH gone AS (DELETE FROM hooks.instances WHERE instance = $1), \
     resigned AS (UPDATE hooks.sequencer SET leader = NULL, until = '-infinity', awake_until = '-infinity' WHERE leader = $1) \
     SELECT pg_notify('hooks_state', $1)";

const NOTIFY: &str = "SELECT pg_notify('hooks_state', $1)";

/// Rebalances whenever something changed, and from time to time.
pub(super) async fn run(bus: Arc<Inner>) {
    let mut announced: Option<Vec<u32>> = None;
    let pause = (bus.config.lease.get() / 10).clamp(Duration::from_millis(100), MAX_PAUSE);
    loop {
        let _ = timeout(pause, bus.rebalance_needed.notified()).await;
        bus.announce_hooks(&mut announced).await;
        let (acquire, release) = bus.moves(Instant::now());
        for some in acquire.chunks(MAX_HOOKS) {
            bus.acquire(some).await;
        }
        for some in release.chunks(MAX_HOOKS) {
            bus.checkpoint(some, false).await;
        }
        if !release.is_empty() {
            bus.tell().await;
        }
    }
}

impl Inner {
    /// Tells the other instances that something has changed.
    pub(super) async fn tell(&self) {
        // They look from time to time, anyway.
        let _ = self.work.query(NOTIFY, &[&self.me]).await;
    }

    /// Leaves the other instances. Returns whether that was written: without, they notice after a lease.
    pub(super) async fn leave(&self) -> bool {
        self.work.query(LEAVE, &[&self.me]).await.is_ok()
    }

    /// Writes which hooks this instance has.
    async fn announce_hooks(&self, announced: &mut Option<Vec<u32>>) {
        let mut hashes: Vec<u32> = self.hooks.lock().values().map(|hook| hook.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        // An instance without hooks, as of an operator's command, announces nothing, nor does one that can't own any yet:
        // others would let go of hooks that it can't take.
        if announced.is_none() && (hashes.is_empty() || !self.lease.holds(Instant::now())) {
            return;
        }
        let is_known = self.registry.lock().members.get(&self.me).is_some_and(|me| me.hooks.is_some());
        if announced.as_ref() == Some(&hashes) && is_known {
            return;
        }
        let ended = if announced.is_none() { self.ended_members() } else { Vec::new() };
        let length = self.lease.length().as_secs_f64();
        let numbers: Vec<i64> = hashes.iter().map(|hash| i64::from(*hash)).collect();
        let removed = self.work.query(REMOVE, &[&ended, &self.me, &length]).await;
        match self.work.query(ANNOUNCE, &[&self.me, &numbers]).await {
            Ok(rows) => {
                *announced = Some(hashes);
                if !rows.is_empty() || removed.is_ok_and(|rows| !rows.is_empty()) {
                    self.tell().await;
                    self.heard.state.notify_one();
                }
            }
            Err(error) => {
                let error = error.to("announce hooks");
                tracing::debug!(%error, "this instance's hooks can't be announced now");
            }
        }
    }

    /// Instances of this machine whose processes have ended, and could not say so: nobody waits for the end of their leases.
    fn ended_members(&self) -> Vec<String> {
        let Some(mark) = self.lease.mark() else { return Vec::new() };
        let here = self.registry.lock().on_machine(mark.machine());
        here.into_iter().filter(|instance| mark.has_ended(instance)).collect()
    }

    /// The hooks to acquire and those to release. None while the lease has run out.
    fn moves(&self, now: Instant) -> (Vec<Arc<Hook>>, Vec<Arc<Hook>>) {
        let (mut acquire, mut release) = (Vec::new(), Vec::new());
        if !self.lease.holds(now) {
            return (acquire, release);
        }
        let hooks: Vec<_> = self.hooks.lock().values().cloned().collect();
        let mut registry = self.registry.lock();
        let (mine, stable) = (registry.assigned_hooks(), registry.is_stable(now));
        for hook in hooks {
            let wanted = mine.contains(&hook.hash);
            if hook.is_owned() {
                let others = !wanted && stable && registry.another_has(hook.hash);
                hook.leave(others, now);
                if others && hook.has_left(now, DRAIN_GRACE) {
                    release.push(hook);
                }
                continue;
            }
            let row = registry.hooks.get(&hook.id).filter(|row| row.born == hook.tag.get());
            // Where a row names this instance, which does not own the hook, an answer was lost.
            let names_me = row.is_some_and(|row| row.owner.as_deref() == Some(&self.me));
            if row.is_some() && (wanted || names_me) && !registry.is_owned_by_another(&hook.id) {
                acquire.push(hook);
            }
        }
        (acquire, release)
    }

    async fn acquire(&self, hooks: &[Arc<Hook>]) {
        let names: Vec<&str> = hooks.iter().map(|hook| hook.id.as_str()).collect();
        let born: Vec<i64> = hooks.iter().map(|hook| hook.tag.get()).collect();
        let rows = match self.work.query(ACQUIRE, &[&self.me, &names, &born]).await {
            Ok(rows) => rows,
            Err(error) => {
                let error = error.to("acquire hooks");
                tracing::debug!(%error, "hooks can't be acquired now");
                return;
            }
        };
        let by_name: HashMap<&str, &Arc<Hook>> = hooks.iter().map(|hook| (hook.id.as_str(), hook)).collect();
        for row in &rows {
            let Some(hook) = by_name.get(row.get::<_, &str>(0)) else { continue };
            let (epoch, position, settled): (i64, i64, Vec<i64>) = (row.get(1), row.get(2), row.get(3));
            let place = (position.unsigned_abs(), &*ranges(&settled));
            hook.acquired(epoch.unsigned_abs(), place, Instant::now());
            let mut registry = self.registry.lock();
            if let Some(row) = registry.hooks.get_mut(&hook.id) {
                (row.owner, row.epoch) = (Some(self.me.clone()), epoch.unsigned_abs());
            }
        }
        if !rows.is_empty() {
            tracing::debug!(hooks = rows.len(), "hooks acquired");
            self.tell().await;
        }
        if rows.len() < hooks.len() {
            self.heard.state.notify_one();
        }
    }
}
