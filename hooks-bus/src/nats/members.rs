//! The instances that are alive, and their hooks. No clock, no I/O.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::sharing::Hooks;

/// Owned hooks move only when no instance has added or removed hooks for this long.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The instances that share the hooks, as far as this instance has heard of them.
#[derive(Debug)]
pub(super) struct Members {
    me: String,
    lease: Duration,
    heartbeats: BTreeMap<String, Heartbeat>,
    hooks: HashMap<String, Hooks>,
    /// The machine of each, as it says.
    machines: HashMap<String, Box<[u8]>>,
    /// The time of the last change of an instance's hooks.
    changed: Option<Instant>,
    /// This instance's list of hooks is gone from the bucket.
    hooks_vanished: bool,
}

/// An instance's last heartbeat.
#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    at: Instant,
    /// The revision of its entry: one that is seen twice is no heartbeat.
    revision: u64,
    /// The time of the write by the server's clock, in nanoseconds.
    written: i128,
    /// Its age when it was heard.
    age: Duration,
    /// The age is not known yet, because this is the instance's first heartbeat here.
    age_unknown: bool,
}

impl Heartbeat {
    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at) + self.age
    }
}

impl Members {
    pub(super) fn new(me: String, lease: Duration) -> Self {
        let (heartbeats, hooks, machines) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { me, lease, heartbeats, hooks, machines, changed: None, hooks_vanished: false }
    }

    /// The instances that have hooks, alive or not.
    pub(super) fn with_hooks(&self) -> impl Iterator<Item = &str> {
        self.hooks.iter().filter(|(_, hooks)| !hooks.is_empty()).map(|(instance, _)| instance.as_str())
    }

    /// Takes in an instance's heartbeat, `written` at this time by the server's clock.
    pub(super) fn heartbeat(&mut self, instance: &str, revision: u64, written: i128, now: Instant) {
        let known = self.heartbeats.get(instance);
        if known.is_some_and(|heartbeat| heartbeat.revision >= revision) {
            return;
        }
        let age_unknown = known.is_none() && instance != self.me;
        if instance == self.me {
            // This instance was cut off: the silence says nothing about the others.
            if self.is_watch_stale(now) {
                self.heartbeats.values_mut().for_each(|heartbeat| heartbeat.at = now);
            }
            self.resolve_ages(written, now);
        }
        let heartbeat = Heartbeat { at: now, revision, written, age: Duration::ZERO, age_unknown };
        self.heartbeats.insert(instance.to_owned(), heartbeat);
    }

    /// Computes the age that first heartbeats had when they were heard, from the server's `time`, which it is `now`:
    /// such an instance may be dead for long. Later heartbeats age from when they are heard, so that the servers' clocks,
    /// which may differ, don't count.
    fn resolve_ages(&mut self, time: i128, now: Instant) {
        for heartbeat in self.heartbeats.values_mut().filter(|heartbeat| heartbeat.age_unknown) {
            heartbeat.age_unknown = false;
            let age = u64::try_from(time.saturating_sub(heartbeat.written).max(0));
            let age = Duration::from_nanos(age.unwrap_or(u64::MAX));
            heartbeat.age = age.saturating_sub(now.saturating_duration_since(heartbeat.at));
        }
    }

    /// An instance says on which machine it runs.
    pub(super) fn runs_on(&mut self, instance: &str, machine: &[u8]) {
        if self.machines.get(instance).is_none_or(|known| **known != *machine) {
            self.machines.insert(instance.to_owned(), machine.into());
        }
    }

    /// The other instances of a machine.
    pub(super) fn on_machine(&self, machine: &str) -> Vec<String> {
        let here = self.machines.iter().filter(|(instance, on)| **instance != self.me && ***on == *machine.as_bytes());
        here.map(|(instance, _)| instance.clone()).collect()
    }

    /// Removes an instance that left, or is dead.
    pub(super) fn remove(&mut self, instance: &str) {
        self.heartbeats.remove(instance);
        self.machines.remove(instance);
        self.hooks.remove(instance);
    }

    /// An instance announced the hooks that it has.
    pub(super) fn set_hooks(&mut self, instance: &str, hooks: Vec<u32>, now: Instant) {
        self.hooks_vanished &= instance != self.me;
        self.hooks.insert(instance.to_owned(), hooks.into());
        self.changed = Some(now);
    }

    /// Forgets which hooks an instance has.
    pub(super) fn forget_hooks(&mut self, instance: &str) {
        self.hooks.remove(instance);
    }

    /// True if the bucket says which hooks this instance has.
    pub(super) fn are_my_hooks_known(&self) -> bool {
        !self.hooks_vanished && self.hooks.contains_key(&self.me)
    }

    /// The bucket no longer says which hooks this instance has.
    pub(super) fn my_hooks_vanished(&mut self) {
        self.hooks_vanished = true;
    }

    /// Forgets revisions, because the bucket is another one; instances stay alive.
    pub(super) fn reset_revisions(&mut self) {
        self.heartbeats.values_mut().for_each(|heartbeat| heartbeat.revision = 0);
        self.hooks_vanished = true;
    }

    /// True if no instance has added or removed hooks lately: a starting instance adds them one by one.
    pub(super) fn is_stable(&self, now: Instant) -> bool {
        self.changed.is_none_or(|changed| now.saturating_duration_since(changed) >= STABLE_AFTER)
    }

    /// True if this instance does not even hear its own heartbeats.
    pub(super) fn is_watch_stale(&self, now: Instant) -> bool {
        self.heartbeats.get(&self.me).is_none_or(|heartbeat| heartbeat.silence(now) >= self.lease)
    }

    pub(super) fn is_alive(&self, instance: &str, now: Instant) -> bool {
        self.heartbeats.get(instance).is_some_and(|heartbeat| heartbeat.silence(now) < self.lease)
    }

    /// The server's time when it took this instance's last heartbeat, in nanoseconds.
    pub(super) fn time(&self) -> Option<i128> {
        self.heartbeats.get(&self.me).map(|heartbeat| heartbeat.written)
    }

    /// True if an instance's hooks, unchanged for a while, don't include the one of this hash.
    pub(super) fn lacks(&self, instance: &str, hash: u32, now: Instant) -> bool {
        self.is_stable(now) && self.hooks.get(instance).is_some_and(|hooks| hooks.binary_search(&hash).is_err())
    }

    /// The living instances and their hooks.
    pub(super) fn living(&self, now: Instant) -> Vec<(String, Hooks)> {
        let living = self.heartbeats.keys().filter(|instance| self.is_alive(instance, now));
        living.filter_map(|instance| Some((instance.clone(), self.hooks.get(instance)?.clone()))).collect()
    }

    /// The instances that were silent for so many leases that their entries can be removed.
    pub(super) fn long_dead(&self, now: Instant) -> Vec<String> {
        let silent = |heartbeat: &Heartbeat| heartbeat.silence(now) > self.lease * 10;
        let dead = self.heartbeats.iter().filter(|(instance, heartbeat)| **instance != self.me && silent(heartbeat));
        dead.map(|(instance, _)| instance.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_death_unless_the_watch_is_stale() {
        let lease = Duration::from_secs(5);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut members = Members::new("me".into(), lease);
        members.heartbeat("me", 1, 0, at(0));
        members.heartbeat("other", 2, 0, at(0));
        members.set_hooks("me", vec![1], at(0));
        members.set_hooks("other", vec![1], at(0));
        members.heartbeat("me", 3, 0, at(4));
        // The same once more, because the watch was started again.
        members.heartbeat("other", 2, 0, at(4));
        assert!(members.is_alive("other", at(4)) && !members.is_alive("other", at(5)));
        assert_eq!(members.living(at(5)).len(), 1);
        // Nothing at all was heard for long: the others' leases begin again.
        assert!(members.is_watch_stale(at(20)));
        members.heartbeat("me", 4, 0, at(20));
        assert!(members.is_alive("other", at(24)) && !members.is_alive("other", at(25)));
        assert_eq!(members.long_dead(at(200)), ["other"]);
    }

    #[test]
    fn the_first_sign_that_is_heard_may_be_old() {
        let (lease, start) = (Duration::from_secs(5), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let second = |seconds: i128| seconds * 1_000_000_000;
        let mut members = Members::new("me".into(), lease);
        members.heartbeat("dead", 1, second(0), at(0));
        members.heartbeat("silent", 2, second(997), at(0));
        members.heartbeat("ahead", 3, second(2_000), at(0));
        members.heartbeat("me", 4, second(1_000), at(0));
        assert!(
            !members.is_alive("dead", at(0)) && members.is_alive("silent", at(1)) && !members.is_alive("silent", at(2))
        );
        assert!(members.is_alive("ahead", at(4)) && !members.is_alive("ahead", at(5)), "clocks of servers differ");
        assert_eq!(members.long_dead(at(1)), ["dead"]);
        // Later heartbeats count from when they are heard, whatever another server's clock says.
        members.heartbeat("dead", 5, second(1), at(1));
        members.heartbeat("new", 6, second(1_001), at(1));
        members.heartbeat("me", 7, second(1_001), at(1));
        assert!(members.is_alive("dead", at(5)) && members.is_alive("new", at(5)) && !members.is_alive("new", at(6)));
        // The time until this instance's next heartbeat counts once.
        members.heartbeat("late", 8, second(1_001), at(1));
        members.heartbeat("me", 9, second(1_003), at(3));
        assert!(members.is_alive("late", at(5)) && !members.is_alive("late", at(6)));
    }
}
