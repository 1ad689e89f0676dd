//! What this instance knows of hooks and of other instances, as the database said last. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{HookId, Override};
use tokio::time::Instant;

use crate::sharing::{Hooks, Overrides, assign};

/// Owned hooks move only when no instance has added or removed hooks for this long.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// A hook's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HookRow {
    pub(super) born: i64,
    pub(super) began: u64,
    pub(super) position: u64,
    pub(super) owner: Option<String>,
    pub(super) epoch: u64,
}

/// An instance's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) machine: String,
    /// `None`: it has not said which it has.
    pub(super) hooks: Option<Hooks>,
    /// Its lease lasts, by the database's clock.
    pub(super) alive: bool,
}

/// Everything that is read at once.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) hooks: BTreeMap<HookId, HookRow>,
    /// By hook, the revision of its definition.
    pub(super) definitions: BTreeMap<HookId, u64>,
    pub(super) overrides: HashMap<HookId, (u64, Option<Override>)>,
    /// Since when receivers have accepted nothing, in seconds.
    pub(super) failing: HashMap<HookId, u64>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) dead_letters: HashMap<HookId, u64>,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Registry {
    me: String,
    pub(super) hooks: BTreeMap<HookId, HookRow>,
    definitions: BTreeMap<HookId, u64>,
    pub(super) overrides: Overrides,
    pub(super) failing: HashMap<HookId, u64>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) dead_letters: HashMap<HookId, u64>,
    /// The time of the last change of an instance's hooks.
    changed: Option<Instant>,
    assigned: (Vec<(String, Hooks)>, Arc<BTreeSet<u32>>),
    /// Hooks that others have defined, changed or undefined, and that nobody has asked for since.
    news: BTreeSet<HookId>,
    /// Hooks whose definitions are gone: whoever has one of them stops it.
    pub(super) undefined: BTreeSet<HookId>,
    begun: bool,
}

impl Registry {
    pub(super) fn new(me: String) -> Self {
        Self {
            me,
            hooks: BTreeMap::new(),
            definitions: BTreeMap::new(),
            overrides: Overrides::default(),
            failing: HashMap::new(),
            members: BTreeMap::new(),
            dead_letters: HashMap::new(),
            changed: None,
            assigned: Default::default(),
            news: BTreeSet::new(),
            undefined: BTreeSet::new(),
            begun: false,
        }
    }

    /// Takes in what was read. Returns the hooks whose overrides are others.
    pub(super) fn take_in(&mut self, read: Snapshot, now: Instant) -> Vec<HookId> {
        self.take_in_members(read.members, now);
        self.dead_letters = read.dead_letters;
        self.failing = read.failing;
        if self.begun {
            let all = self.definitions.iter().filter(|(hook, revision)| read.definitions.get(*hook) != Some(revision));
            let new = read.definitions.iter().filter(|(hook, _)| !self.definitions.contains_key(*hook));
            self.news.extend(all.chain(new).map(|(hook, _)| hook.clone()));
        }
        self.begun = true;
        self.undefined.extend(self.definitions.keys().cloned());
        self.undefined.retain(|hook| !read.definitions.contains_key(hook));
        self.definitions = read.definitions;
        self.hooks = read.hooks;
        let known: Vec<(String, u64)> =
            self.overrides.all().map(|(hook, _, revision)| (hook.to_owned(), revision)).collect();
        let mut changed = Vec::new();
        for (hook, revision) in known {
            let Ok(id) = HookId::new(hook.as_str()) else { continue };
            if !read.overrides.contains_key(&id) {
                self.overrides.remove(&hook, Some(revision));
                changed.push(id);
            }
        }
        for (hook, (revision, to)) in read.overrides {
            if self.overrides.see(hook.as_str(), to, revision) {
                changed.push(hook);
            }
        }
        changed
    }

    /// Takes in which instances there are.
    pub(super) fn take_in_members(&mut self, members: BTreeMap<String, Member>, now: Instant) {
        let of = |members: &BTreeMap<String, Member>| {
            let all = members.iter().map(|(instance, member)| (instance.clone(), member.hooks.clone()));
            all.collect::<Vec<_>>()
        };
        if of(&self.members) != of(&members) {
            self.changed = Some(now);
        }
        self.members = members;
    }

    /// What the server has is older than what was read: that holds all the same, and what is gone is news.
    pub(super) fn roll_back(&mut self) {
        self.overrides.reset_revisions();
        self.definitions.values_mut().for_each(|revision| *revision = 0);
    }

    /// This instance has defined a hook.
    pub(super) fn defined(&mut self, hook: &HookId, revision: u64) {
        self.definitions.insert(hook.clone(), revision);
    }

    /// This instance has removed a hook.
    pub(super) fn removed(&mut self, hook: &HookId) {
        self.hooks.remove(hook);
        self.definitions.remove(hook);
        self.overrides.forget(hook.as_str());
        self.dead_letters.remove(hook);
        self.failing.remove(hook);
    }

    pub(super) fn next_news(&mut self) -> Option<HookId> {
        self.news.pop_first()
    }

    fn is_alive(&self, instance: &str) -> bool {
        self.members.get(instance).is_some_and(|member| member.alive)
    }

    /// The living owner of a hook.
    pub(super) fn owner(&self, hook: &HookId) -> Option<&str> {
        self.hooks.get(hook)?.owner.as_deref().filter(|owner| self.is_alive(owner))
    }

    pub(super) fn is_owned_by_another(&self, hook: &HookId) -> bool {
        self.owner(hook).is_some_and(|owner| owner != self.me)
    }

    /// The instances that have hooks: those that live, or those that don't.
    pub(super) fn with_hooks(&self, alive: bool) -> Vec<String> {
        let has = |member: &Member| member.hooks.as_ref().is_some_and(|hooks| !hooks.is_empty());
        let those = self.members.iter().filter(|(_, member)| member.alive == alive && has(member));
        those.map(|(instance, _)| instance.clone()).collect()
    }

    /// The other instances of a machine.
    pub(super) fn on_machine(&self, machine: &str) -> Vec<String> {
        let here = self.members.iter().filter(|(instance, member)| **instance != self.me && member.machine == machine);
        here.map(|(instance, _)| instance.clone()).collect()
    }

    /// True if a living instance other than this one has a hook of this hash.
    pub(super) fn another_has(&self, hash: u32) -> bool {
        let has = |member: &Member| member.hooks.as_ref().is_some_and(|hooks| hooks.binary_search(&hash).is_ok());
        self.members.iter().any(|(instance, member)| *instance != self.me && member.alive && has(member))
    }

    /// True if no instance has added or removed hooks lately: a starting instance adds them one by one.
    pub(super) fn is_stable(&self, now: Instant) -> bool {
        self.changed.is_none_or(|changed| now.saturating_duration_since(changed) >= STABLE_AFTER)
    }

    /// The hooks that this instance should own.
    pub(super) fn assigned_hooks(&mut self) -> Arc<BTreeSet<u32>> {
        let living = self.members.iter().filter(|(_, member)| member.alive);
        let living: Vec<(String, Hooks)> =
            living.filter_map(|(instance, member)| Some((instance.clone(), member.hooks.clone()?))).collect();
        if living != self.assigned.0 {
            self.assigned = (living.clone(), Arc::new(assign(&self.me, &living)));
        }
        self.assigned.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use hooks_core::DisabledBy;

    use super::*;

    fn id(name: &str) -> HookId {
        HookId::new(name).unwrap()
    }

    #[test]
    fn what_others_defined_since_the_beginning_is_news() {
        let mut registry = Registry::new("me".into());
        let read = |definitions: &[(&str, u64)]| Snapshot {
            definitions: definitions.iter().map(|(hook, revision)| (id(hook), *revision)).collect(),
            ..Snapshot::default()
        };
        registry.take_in(read(&[("a", 1), ("b", 2)]), Instant::now());
        assert_eq!(registry.next_news(), None);
        registry.defined(&id("c"), 3);
        registry.take_in(read(&[("a", 4), ("c", 3), ("d", 5)]), Instant::now());
        let news: Vec<_> = std::iter::from_fn(|| registry.next_news()).collect();
        assert_eq!(news, [id("a"), id("b"), id("d")]);
    }

    #[test]
    fn an_override_that_is_gone_or_another_is_followed() {
        let mut registry = Registry::new("me".into());
        let disabled = Override::disabled(DisabledBy::Operator, None, SystemTime::UNIX_EPOCH);
        let read = |overrides: &[(&str, u64)]| Snapshot {
            overrides: overrides.iter().map(|(hook, at)| (id(hook), (*at, Some(disabled.clone())))).collect(),
            ..Snapshot::default()
        };
        assert_eq!(registry.take_in(read(&[("a", 1)]), Instant::now()), [id("a")]);
        assert_eq!(registry.take_in(read(&[("a", 2)]), Instant::now()), []);
        assert_eq!(registry.take_in(read(&[]), Instant::now()), [id("a")]);
        assert_eq!(registry.overrides.get("a"), None);
    }
}
