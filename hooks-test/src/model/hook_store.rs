//! What the model keeps of hooks beside their places.

use std::sync::Arc;
use std::time::SystemTime;

use hooks_core::{
    BusError, HookId, Override, StartAt, async_trait,
    bus::{DeadLetters, DefineError, Definition, Expected, HookStore, Revision, Seek, SeekError, Sought},
};

use super::dead_letters::DeadLettersOf;
use super::fault::Fault;
use super::{ModelBus, Place, State};

/// For a bus that ends with its process.
pub(super) struct KeepsNothing;

impl HookStore for KeepsNothing {}

#[async_trait]
impl HookStore for ModelBus {
    fn dead_letters(&self, hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        let hook = if self.is(Fault::DeadLettersOfAll) { HookId::new("all").unwrap() } else { hook.clone() };
        Some(Arc::new(DeadLettersOf { fault: self.fault, hook, world: self.world.clone() }))
    }

    async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let mut state = self.lock();
        match to {
            Some(to) => state.overrides.insert(hook.clone(), to),
            None => state.overrides.remove(hook),
        };
        let others = state.processes.iter_mut().filter(|(number, _)| **number != self.number);
        for (_, process) in others.filter(|_| !self.is(Fault::TellsNobody)) {
            process.words.extend(process.hooks.contains_key(hook).then(|| hook.clone()));
        }
        drop(state);
        self.world.changed.notify_waiters();
        Ok(())
    }

    fn overrides(&self, hook: &HookId) -> Option<Override> {
        let state = self.lock();
        let any = || state.overrides.values().next().filter(|_| self.is(Fault::OverridesOfAll));
        state.overrides.get(hook).or_else(any).cloned()
    }

    async fn set_failing_since(&self, hook: &HookId, since: Option<SystemTime>) -> Result<(), BusError> {
        let mut state = self.lock();
        match since {
            Some(since) => state.failing.insert(hook.clone(), since),
            None => state.failing.remove(hook),
        };
        Ok(())
    }

    fn failing_since(&self, hook: &HookId) -> Option<SystemTime> {
        self.lock().failing.get(hook).copied()
    }

    async fn follow_overrides(&self) -> HookId {
        loop {
            let changed = self.world.changed.notified();
            if let Some(word) = self.lock().processes.get_mut(&self.number).and_then(|process| process.words.pop()) {
                return word;
            }
            changed.await;
        }
    }

    fn known_hooks(&self) -> Vec<HookId> {
        self.lock().places.keys().cloned().collect()
    }

    async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        let mut state = self.lock();
        let in_use = state.processes.values().any(|process| process.hooks.contains_key(hook));
        if in_use && !self.is(Fault::ForgetsInUse) {
            return Err(BusError::Unavailable(format!("the hook `{hook}` is in use")));
        }
        if !self.is(Fault::ForgetKeepsOverride) {
            state.overrides.remove(hook);
        }
        state.failing.remove(hook);
        let dead_letters = state.dead_letters.remove(hook).is_some_and(|dead_letters| !dead_letters.is_empty());
        let defined = state.definitions.remove(hook).is_some();
        Ok(state.places.remove(hook).is_some() || dead_letters || defined)
    }

    async fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        self.move_hook(hook, seek)
    }

    async fn define(
        &self,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        let mut state = self.lock();
        let before = state.definitions.get(hook).cloned();
        if !self.is(Fault::DefinesAnything) {
            expected.check(before.as_ref().map(|before| before.revision))?;
        }
        state.revision = match &before {
            None if self.is(Fault::RepeatsRevisions) => 1,
            _ => state.revision + 1,
        };
        let (now, revision) = (SystemTime::now(), Revision::new(state.revision));
        let created = before.map_or(now, |before| before.created);
        let definition = Definition::new(hook.clone(), revision, text, created).changed(now);
        state.definitions.insert(hook.clone(), definition.clone());
        let from = if from == StartAt::Earliest { 0 } else { state.log.len() as u64 };
        if !self.is(Fault::DefinesWithoutPlace) {
            state.places.entry(hook.clone()).or_insert(Place { from, ..Place::default() });
        }
        self.tell_of(hook, &mut state);
        drop(state);
        self.world.changed.notify_waiters();
        Ok(definition)
    }

    async fn undefine(&self, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        let mut state = self.lock();
        let current = state.definitions.get(hook).map(|definition| definition.revision);
        expected.check(current)?;
        if current.is_none() {
            return Ok(false);
        }
        let in_use = state.processes.get(&self.number).is_some_and(|process| process.hooks.contains_key(hook));
        if in_use && !self.is(Fault::UndefinesInUse) {
            return Err(BusError::Unavailable(format!("the hook `{hook}` is in use")).into());
        }
        state.definitions.remove(hook);
        if !self.is(Fault::UndefineKeepsPosition) {
            state.places.remove(hook);
        }
        if !self.is(Fault::UndefineKeepsOverride) {
            state.overrides.remove(hook);
        }
        state.failing.remove(hook);
        if !self.is(Fault::UndefineKeepsDeadLetters) {
            state.dead_letters.remove(hook);
        }
        self.tell_of(hook, &mut state);
        drop(state);
        self.world.changed.notify_waiters();
        Ok(true)
    }

    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, BusError> {
        Ok(self.lock().definitions.get(hook).cloned())
    }

    async fn definitions(&self, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, BusError> {
        let state = self.lock();
        let later = state.definitions.values().filter(|definition| after.is_none_or(|after| definition.hook > *after));
        Ok(later.take(limit).cloned().collect())
    }

    async fn follow_definitions(&self) -> HookId {
        loop {
            let changed = self.world.changed.notified();
            let named = self.lock().processes.get_mut(&self.number).and_then(|process| process.defined.pop_first());
            if let Some(hook) = named {
                return hook;
            }
            changed.await;
        }
    }
}

impl ModelBus {
    /// Tells the other processes that the definition of a hook is another one.
    fn tell_of(&self, hook: &HookId, state: &mut State) {
        let others = state.processes.iter_mut().filter(|(number, _)| **number != self.number);
        for (_, process) in others.filter(|_| !self.is(Fault::DefinesInSecret)) {
            process.defined.insert(hook.clone());
        }
    }
}
