//! The bucket as this instance has seen it: entries of hooks, overrides, and instances.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{HookId, Override};
use tokio::time::Instant;

use super::definitions::{DefinitionRecord, Definitions};
use super::members::Members;
use super::record::{HookRecord, Key, decode_hooks, failing_since};
use super::rollback::HighWater;
use super::subject::{hook_of, of_hook};
use crate::overrides::decode;
use crate::sharing::{Hooks, Overrides, assign, hook_hash};

/// The known entries of the bucket.
#[derive(Debug)]
pub(super) struct Registry {
    me: String,
    /// The stream's name in entries.
    log: String,
    pub(super) members: Members,
    entries: HashMap<String, (HookRecord, u64)>,
    /// The time at which each known entry was written, by the server's clock, in nanoseconds.
    written: HashMap<String, i128>,
    high_water: HighWater,
    /// Entries that are gone, as they were: hooks in use go on there. The flag is true if the entry was removed by
    /// request, so that a hook that is not in use is forgotten.
    vanished: HashMap<String, (HookRecord, bool)>,
    /// Hooks whose entries can't be read: these are left alone, for a newer version may have written them.
    unreadable: BTreeSet<String>,
    pub(super) overrides: Overrides,
    pub(super) failing: Overrides<u64>,
    pub(super) definitions: Definitions,
    /// The living instances at the last assignment, and the hooks that it gave to this one.
    assigned: (Vec<(String, Hooks)>, Arc<BTreeSet<u32>>),
}

/// A key's value (`None`: removed) as read from the bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) key: &'a str,
    pub(super) value: Option<&'a [u8]>,
    pub(super) revision: u64,
    /// The time of the write by the server's clock, in nanoseconds.
    pub(super) written: i128,
}

/// What is gone from the bucket though nobody asked for that.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) hooks: HashSet<String>,
    pub(super) overrides: Vec<(String, Override)>,
    pub(super) definitions: Vec<(HookId, DefinitionRecord)>,
}

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.hooks.is_empty() && self.overrides.is_empty() && self.definitions.is_empty()
    }
}

/// The meaning of a change of the bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing to do.
    None,
    /// Hooks may have to move.
    Rebalance,
    /// A hook's entry changed; `mine`: it names this instance as the owner.
    Hook { token: String, revision: u64, mine: bool },
    /// A hook has another override.
    Override { token: String },
    /// A hook was defined, changed or undefined elsewhere.
    Definition,
}

impl Registry {
    pub(super) fn new(me: String, log: String, lease: Duration) -> Self {
        let members = Members::new(me.clone(), lease);
        Self {
            me,
            log,
            members,
            entries: HashMap::new(),
            written: HashMap::new(),
            high_water: HighWater::default(),
            vanished: HashMap::new(),
            unreadable: BTreeSet::new(),
            overrides: Overrides::default(),
            failing: Overrides::default(),
            definitions: Definitions::default(),
            assigned: (Vec::new(), Arc::default()),
        }
    }

    /// Takes in a value of the bucket.
    pub(super) fn see(&mut self, seen: Seen<'_>, now: Instant) -> Change {
        let Seen { key, value, revision, written } = seen;
        match (Key::parse(key), value) {
            (Some(Key::Alive(instance)), Some(machine)) => {
                self.members.runs_on(instance, machine);
                let known = self.members.is_alive(instance, now);
                self.members.heartbeat(instance, revision, written, now);
                if known { Change::None } else { Change::Rebalance }
            }
            (Some(Key::Alive(instance)), None) => {
                self.members.remove(instance);
                Change::Rebalance
            }
            (Some(Key::Hooks(instance)), Some(value)) => {
                self.members.set_hooks(instance, decode_hooks(value).unwrap_or_default(), now);
                Change::Rebalance
            }
            (Some(Key::Override(token)), value) => {
                let to = value.and_then(|value| decode(token, value));
                let news = self.overrides.see(token, to, revision);
                if news { Change::Override { token: token.to_owned() } } else { Change::None }
            }
            (Some(Key::Failing(token)), value) => {
                self.failing.see(token, value.and_then(failing_since), revision);
                Change::None
            }
            (Some(Key::Definition(token)), value) => self.see_definition(token, value, revision),
            (Some(Key::Hook(token)), value) => self.see_hook(token, value, revision, written),
            (Some(Key::Hooks(instance)), None) => {
                self.members.forget_hooks(instance);
                Change::Rebalance
            }
            (None, _) => Change::None,
        }
    }

    fn see_definition(&mut self, token: &str, value: Option<&[u8]>, revision: u64) -> Change {
        let Ok(hook) = HookId::new(hook_of(token)) else { return Change::None };
        let to = value.map(|value| DefinitionRecord::decode(hook.as_str(), value));
        // One that can't be read is left as it was.
        let news = to != Some(None) && self.definitions.see(&hook, to.flatten(), revision);
        if news { Change::Definition } else { Change::None }
    }

    fn see_hook(&mut self, token: &str, value: Option<&[u8]>, revision: u64, written: i128) -> Change {
        let was_unreadable = self.unreadable.remove(token);
        let Some(value) = value else {
            self.remove_entry(token, true);
            return Change::Hook { token: token.to_owned(), revision, mine: false };
        };
        let Ok(record) = serde_json::from_slice::<HookRecord>(value) else {
            self.unreadable.insert(token.to_owned());
            if !was_unreadable {
                tracing::error!(hook = token, "the hook's entry in NATS can't be read: it is left alone");
            }
            return Change::None;
        };
        let mine = record.owner.as_deref() == Some(&self.me);
        if self.entries.get(token).is_none_or(|(_, known)| *known < revision) {
            self.written.insert(token.to_owned(), written);
            if record.log == self.log {
                self.high_water.see(record.position, written);
            }
        }
        self.set(token, record, revision);
        Change::Hook { token: token.to_owned(), revision, mine }
    }

    /// Removes the entry of a hook, which was removed by request (`removed`) or vanished for no known reason.
    pub(super) fn remove_entry(&mut self, token: &str, removed: bool) {
        if let Some((record, _)) = self.entries.remove(token) {
            self.vanished.insert(token.to_owned(), (record, removed));
        }
    }

    /// The furthest position in the entries.
    pub(super) fn high_water(&self) -> HighWater {
        self.high_water
    }

    /// The stream was rolled back to here, and the next event was accepted then: positions beyond, if written before
    /// that, say nothing any more.
    pub(super) fn roll_back(&mut self, kept: u64, next: Option<i128>) {
        let is_old = |token: &String| {
            let written = self.written.get(token);
            written.is_none_or(|written| next.is_none_or(|next| *written < next))
        };
        let entries = self.entries.iter_mut().map(|(token, (record, _))| (token, record));
        let vanished = self.vanished.iter_mut().map(|(token, (record, _))| (token, record));
        for (token, record) in entries.chain(vanished) {
            if record.position > kept && record.log == self.log && is_old(token) {
                (record.position, record.acked_ranges) = (kept, Vec::new());
                record.began = record.began.map(|began| began.min(kept));
            }
        }
        self.high_water = HighWater::default();
    }

    /// The hooks whose entries can't be read.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }

    /// The last known entry of a hook whose entry is gone.
    pub(super) fn vanished(&self, token: &str) -> Option<HookRecord> {
        self.vanished.get(token).map(|(record, _)| record.clone())
    }

    /// Removes entries of hooks that are not among these keys of the bucket, as of this revision. Returns the hooks whose
    /// entries are gone, and the overrides and definitions that are.
    pub(super) fn remove_missing(&mut self, keys: &HashSet<String>, up_to: u64) -> Missing {
        let is_gone = |key: Key<'_>, revision: u64| revision <= up_to && !keys.contains(&key.to_string());
        let hooks = self.entries.iter().filter(|(token, (_, revision))| is_gone(Key::Hook(token), *revision));
        let hooks: HashSet<String> = hooks.map(|(token, _)| token.clone()).collect();
        hooks.iter().for_each(|token| self.remove_entry(token, false));
        self.unreadable.retain(|token| keys.contains(&Key::Hook(token).to_string()));
        let overrides = self.overrides.all().filter(|(token, _, revision)| is_gone(Key::Override(token), *revision));
        let overrides = overrides.map(|(token, kept, _)| (token.to_owned(), kept.clone())).collect();
        if !keys.contains(&Key::Hooks(&self.me).to_string()) {
            self.members.my_hooks_vanished();
        }
        let is_gone = |hook: &HookId, revision| is_gone(Key::Definition(&of_hook(hook.as_str())), revision);
        let definitions = self.definitions.all().filter(|(hook, _, revision)| is_gone(hook, *revision));
        let definitions = definitions.map(|(hook, record, _)| (hook.clone(), record.clone())).collect();
        Missing { hooks, overrides, definitions }
    }

    /// True if an entry was written before this revision.
    pub(super) fn is_older_than(&self, revision: u64) -> bool {
        self.entries.values().any(|(_, written)| *written < revision)
    }

    /// Forgets revisions, because the bucket is another one.
    pub(super) fn reset_revisions(&mut self) {
        self.entries.values_mut().for_each(|(_, revision)| *revision = 0);
        self.unreadable.clear();
        self.overrides.reset_revisions();
        self.failing.reset_revisions();
        self.definitions.reset_revisions();
        self.members.reset_revisions();
    }

    pub(super) fn set(&mut self, token: &str, record: HookRecord, revision: u64) {
        self.vanished.remove(token);
        match self.entries.get_mut(token) {
            Some(entry) if entry.1 < revision => *entry = (record, revision),
            Some(_) => {}
            None => drop(self.entries.insert(token.to_owned(), (record, revision))),
        }
    }

    pub(super) fn entry(&self, token: &str) -> Option<(HookRecord, u64)> {
        self.entries.get(token).cloned()
    }

    /// The revision of the entry that took a hook from this instance, which had it by this revision.
    pub(super) fn lost_by(&self, token: &str, revision: u64) -> Option<u64> {
        let newer = self.entries.get(token).filter(|(_, newer)| *newer > revision)?;
        (newer.0.owner.as_deref() != Some(&self.me)).then_some(newer.1)
    }

    /// A hook's last known entry, even if it vanished.
    pub(super) fn record(&self, token: &str) -> Option<&HookRecord> {
        let vanished = || self.vanished.get(token).filter(|(_, removed)| !removed).map(|(record, _)| record);
        self.entries.get(token).map(|(record, _)| record).or_else(vanished)
    }

    /// The position before the first event that a hook was to get, if that is known.
    pub(super) fn began(&self, token: &str) -> Option<u64> {
        self.record(token).filter(|record| record.log == self.log)?.began
    }

    /// The hooks that have a position, or were defined.
    pub(super) fn hooks(&self) -> BTreeSet<HookId> {
        let vanished =
            self.vanished.iter().filter(|(_, (_, removed))| !removed).map(|(token, (record, _))| (token, record));
        let entries = self.entries.iter().map(|(token, (record, _))| (token, record)).chain(vanished);
        let mut hooks: BTreeSet<HookId> = self.definitions.all().map(|(hook, ..)| hook.clone()).collect();
        // What a hook left that was undefined is no hook.
        let entries = entries.filter(|(_, record)| record.of.is_none());
        hooks.extend(entries.filter_map(|(token, _)| HookId::new(hook_of(token)).ok()));
        hooks
    }

    pub(super) fn forget(&mut self, token: &str) -> bool {
        let overridden = self.overrides.forget(token) | self.failing.forget(token);
        let vanished = self.vanished.remove(token).is_some_and(|(_, removed)| !removed);
        self.entries.remove(token).is_some() || vanished || overridden
    }

    /// The instances that live and have hooks.
    pub(super) fn living(&self, now: Instant) -> Vec<String> {
        let living = self.members.living(now).into_iter().filter(|(_, hooks)| !hooks.is_empty());
        living.map(|(instance, _)| instance).collect()
    }

    /// The instances that have hooks and don't live.
    pub(super) fn lapsed(&self, now: Instant) -> Vec<String> {
        self.members.with_hooks().filter(|instance| !self.members.is_alive(instance, now)).map(str::to_owned).collect()
    }

    pub(super) fn is_watch_stale(&self, now: Instant) -> bool {
        self.members.is_watch_stale(now)
    }

    /// True if a living instance, this one or another, has the hook of this hash.
    pub(super) fn any_member_has(&self, hash: u32, now: Instant) -> bool {
        self.members.living(now).iter().any(|(_, hooks)| hooks.binary_search(&hash).is_ok())
    }

    /// True if another living instance has it.
    pub(super) fn another_member_has(&self, hash: u32, now: Instant) -> bool {
        let living = self.members.living(now);
        living.iter().any(|(instance, hooks)| *instance != self.me && hooks.binary_search(&hash).is_ok())
    }

    /// True if a hook's entry names this instance as the owner.
    pub(super) fn names_me(&self, token: &str) -> bool {
        self.entries.get(token).is_some_and(|(record, _)| record.owner.as_deref() == Some(&self.me))
    }

    /// A hook's owner, if it lives and still has the hook: an owner that could not write its release shows it by the
    /// hooks that it announces.
    pub(super) fn owner(&self, token: &str, now: Instant) -> Option<&str> {
        let owner = self.record(token)?.owner.as_deref()?;
        let hash = hook_hash(&hook_of(token));
        (self.members.is_alive(owner, now) && !self.members.lacks(owner, hash, now)).then_some(owner)
    }

    /// True if the entry of a hook, which was seen here, is gone, and its owner, too.
    pub(super) fn is_orphaned(&self, token: &str, now: Instant) -> bool {
        self.vanished.contains_key(token) && self.owner(token, now).is_none_or(|owner| owner == self.me)
    }

    pub(super) fn is_owned_by_another(&self, token: &str, now: Instant) -> bool {
        self.entries.contains_key(token) && self.owner(token, now).is_some_and(|owner| owner != self.me)
    }

    /// The hooks that this instance should own.
    pub(super) fn assigned_hooks(&mut self, now: Instant) -> Arc<BTreeSet<u32>> {
        let living = self.members.living(now);
        let same = |(a, b): (&(String, Hooks), &(String, Hooks))| a.0 == b.0 && Arc::ptr_eq(&a.1, &b.1);
        if living.len() != self.assigned.0.len() || !living.iter().zip(&self.assigned.0).all(same) {
            let mine = Arc::new(assign(&self.me, &living));
            tracing::info!(
                instances = living.len(),
                hooks = mine.len(),
                "the instances have changed: hooks were assigned again"
            );
            self.assigned = (living, mine);
        }
        self.assigned.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::record::encode_hooks;

    fn seen<'a>(key: &'a str, value: Option<&'a [u8]>, revision: u64) -> Seen<'a> {
        Seen { key, value, revision, written: 0 }
    }

    #[test]
    fn seen_entries_are_known() {
        let now = Instant::now();
        let mut registry = Registry::new("me".into(), "l".into(), Duration::from_secs(5));
        assert_eq!(registry.see(seen("alive.me", Some(b""), 1), now), Change::Rebalance);
        assert_eq!(registry.see(seen("alive.me", Some(b""), 2), now), Change::None);
        registry.see(seen("alive.other", Some(b""), 3), now);
        registry.see(seen("hooks.other", Some(&encode_hooks(&[7])), 4), now);
        assert!(registry.any_member_has(7, now) && !registry.any_member_has(8, now));
        let mut record = HookRecord {
            owner: Some("other".into()),
            log: "l".into(),
            position: 1,
            began: None,
            of: None,
            acked_ranges: vec![],
        };
        let hook = |mine, revision| Change::Hook { token: "a".into(), revision, mine };
        assert_eq!(registry.see(seen("hook.a", Some(&record.encode()), 5), now), hook(false, 5));
        assert!(registry.is_owned_by_another("a", now));
        record.owner = Some("me".into());
        assert_eq!(registry.see(seen("hook.a", Some(&record.encode()), 6), now), hook(true, 6));
        registry.set("a", HookRecord { position: 0, ..record.clone() }, 4);
        assert_eq!(registry.entry("a"), Some((record.clone(), 6)), "what is older changes nothing");
        assert_eq!(registry.lost_by("a", 5), None, "the newer entry is this instance's");
        record.owner = Some("other".into());
        registry.see(seen("hook.a", Some(&record.encode()), 7), now);
        assert_eq!((registry.lost_by("a", 6), registry.lost_by("a", 7)), (Some(7), None));
        assert_eq!(registry.see(seen("hook.a", None, 8), now), hook(false, 8));
        assert_eq!(registry.see(seen("hook.a", Some(b"garbage"), 9), now), Change::None);
        assert!(registry.hooks().is_empty());
        assert_eq!(registry.unreadable().collect::<Vec<_>>(), ["a"]);
        registry.see(seen("hook.a", None, 10), now);
        assert_eq!(registry.unreadable().count(), 0, "removing it makes room for another");
    }
}
