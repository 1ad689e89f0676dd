//! Definitions of hooks, for as long as the bus lives.

use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use hooks_core::{
    BusError, Filter, HookId, StartAt,
    bus::{DefineError, Definition, Expected, HookStore, Revision, Seek, SeekError, Sought, Subscription},
};

use super::MemoryBus;
use super::inner::Inner;

#[async_trait]
impl HookStore for MemoryBus {
    async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        match self.0.undefine(hook, Expected::Any) {
            Ok(known) => Ok(known),
            Err(DefineError::Bus(error)) => Err(error),
            Err(error) => Err(BusError::Unavailable(error.to_string())),
        }
    }

    async fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        self.0.seek(hook, seek)
    }

    async fn define(
        &self,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        self.0.define(hook, text, expected, from)
    }

    async fn undefine(&self, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        self.0.undefine(hook, expected)
    }

    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, BusError> {
        Ok(self.0.definitions.lock().by_name.get(hook).cloned())
    }

    async fn definitions(&self, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, BusError> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let definitions = self.0.definitions.lock();
        let later = definitions.by_name.range::<HookId, _>((after, Bound::Unbounded));
        Ok(later.take(limit).map(|(_, definition)| definition.clone()).collect())
    }
}

impl Inner {
    fn define(&self, hook: &HookId, text: &str, expected: Expected, from: StartAt) -> Result<Definition, DefineError> {
        let mut definitions = self.definitions.lock();
        let before = definitions.by_name.get(hook);
        expected.check(before.map(|before| before.revision))?;
        let now = SystemTime::now();
        let created = before.map_or(now, |before| before.created);
        definitions.changes += 1;
        let revision = Revision::new(definitions.changes);
        let definition = Definition::new(hook.clone(), revision, text, created).changed(now);
        definitions.by_name.insert(hook.clone(), definition.clone());
        if !self.hooks.lock().contains_key(hook) {
            // Its filter is not known yet.
            let subscription = Subscription::new(hook.clone(), Filter::all(), Arc::default());
            self.subscriber(&subscription.from(from));
        }
        Ok(definition)
    }

    fn undefine(&self, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        let mut definitions = self.definitions.lock();
        let current = definitions.by_name.get(hook).map(|definition| definition.revision);
        expected.check(current)?;
        if current.is_none() {
            return Ok(false);
        }
        if self.hooks.lock().get(hook).is_some_and(|(_, subscriber)| subscriber.has_reader()) {
            return Err(BusError::Unavailable(format!("hook `{hook}` is in use: remove it first")).into());
        }
        definitions.by_name.remove(hook);
        self.remove(hook);
        Ok(true)
    }
}
