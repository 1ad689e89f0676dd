//! What the bus keeps of a hook beside its place, in memory as in the database.

use std::collections::HashMap;

use hooks_core::{BusError, HookId, Override};
use parking_lot::Mutex;

use super::dead_letter_table::{self, Totals};
use super::overrides;
use super::store::Store;

/// The totals of dead letters, the overrides, and since when receivers fail.
#[derive(Debug)]
pub(crate) struct Facts {
    dead_letters: Mutex<HashMap<HookId, Totals>>,
    overrides: Mutex<HashMap<HookId, Override>>,
    failing: Mutex<HashMap<HookId, u64>>,
}

impl Facts {
    /// Reads those of the database. Blocks.
    pub(crate) fn read(store: &Store) -> Result<Self, BusError> {
        let dead_letters = store.read(dead_letter_table::totals)?.into_iter().collect();
        let overrides = store.read(overrides::read)?.into_iter().collect();
        let failing = Mutex::new(store.failing()?);
        Ok(Self { dead_letters: Mutex::new(dead_letters), overrides: Mutex::new(overrides), failing })
    }

    /// Number of the hook's dead letters.
    pub(crate) fn dead_letters(&self, hook: &HookId) -> u64 {
        self.dead_letters.lock().get(hook).map_or(0, |totals| totals.events)
    }

    /// The hooks that have, or had, dead letters.
    pub(crate) fn with_dead_letters(&self) -> Vec<HookId> {
        self.dead_letters.lock().keys().cloned().collect()
    }

    /// Notes what the database has now.
    pub(crate) fn set_dead_letters(&self, hook: &HookId, totals: Totals) {
        self.dead_letters.lock().insert(hook.clone(), totals);
    }

    pub(crate) fn overrides(&self, hook: &HookId) -> Option<Override> {
        self.overrides.lock().get(hook).cloned()
    }

    /// Stores an override, or removes it. Returns when the change would survive a crash. Blocks.
    pub(crate) fn set_override(&self, store: &Store, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        store.write(|change| overrides::set(change, hook, to.as_ref()))?;
        let mut overrides = self.overrides.lock();
        match to {
            Some(to) => overrides.insert(hook.clone(), to),
            None => overrides.remove(hook),
        };
        Ok(())
    }

    /// Since when the receiver of a hook has accepted nothing, in seconds since 1970.
    pub(crate) fn failing(&self, hook: &HookId) -> Option<u64> {
        self.failing.lock().get(hook).copied()
    }

    /// Stores since when it has, or removes it. Returns when the change would survive a crash. Blocks.
    pub(crate) fn set_failing(&self, store: &Store, hook: &HookId, since: Option<u64>) -> Result<(), BusError> {
        store.set_failing(hook, since)?;
        let mut failing = self.failing.lock();
        match since {
            Some(since) => failing.insert(hook.clone(), since),
            None => failing.remove(hook),
        };
        Ok(())
    }

    /// Forgets a hook, which the database does not have any more.
    pub(crate) fn forget(&self, hook: &HookId) {
        self.dead_letters.lock().remove(hook);
        self.overrides.lock().remove(hook);
        self.failing.lock().remove(hook);
    }
}
