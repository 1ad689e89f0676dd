//! The facts that the durable bus keeps about hooks beside their positions.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use hooks_core::{
    BusError, HookId, Override, Position, StartAt,
    bus::{DeadLetters, DefineError, Definition, Expected, HookStore, Seek, SeekError, Sought},
};

use super::DurableBus;
use super::dead_letters::DurableDeadLetters;
use super::definition_table;
use super::inner::Inner;
use crate::failing;

#[async_trait]
impl HookStore for DurableBus {
    fn dead_letters(&self, hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        Some(Arc::new(DurableDeadLetters { inner: self.0.inner.clone(), hook: hook.clone() }))
    }

    async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let hook = hook.clone();
        self.0.inner.blocking(move |inner| inner.facts.set_override(&inner.storage.store, &hook, to)).await
    }

    fn overrides(&self, hook: &HookId) -> Option<Override> {
        self.0.inner.facts.overrides(hook)
    }

    async fn set_failing_since(&self, hook: &HookId, since: Option<SystemTime>) -> Result<(), BusError> {
        let (hook, since) = (hook.clone(), since.map(failing::seconds));
        self.0.inner.blocking(move |inner| inner.facts.set_failing(&inner.storage.store, &hook, since)).await
    }

    fn failing_since(&self, hook: &HookId) -> Option<SystemTime> {
        self.0.inner.facts.failing(hook).map(failing::time)
    }

    fn known_hooks(&self) -> Vec<HookId> {
        self.0.inner.known_hooks()
    }

    async fn began(&self, hook: &HookId) -> Result<Option<Position>, BusError> {
        let hook = hook.clone();
        let began = self.0.inner.blocking(move |inner| {
            // One that has just come is not kept yet.
            if inner.dirty.has_unsaved_hooks() {
                inner.checkpoint()?;
            }
            inner.storage.store.began(&hook)
        });
        Ok(began.await?.map(Position::new))
    }

    async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        let hook = hook.clone();
        self.0.inner.blocking(move |inner| inner.forget(&hook)).await
    }

    async fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        self.0.inner.seek(hook, seek).await
    }

    async fn define(
        &self,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        let defined = self.0.inner.change_definition(hook, expected, Some((text.into(), from))).await?;
        defined.ok_or_else(|| BusError::Unavailable(format!("the definition of `{hook}` was not kept")).into())
    }

    async fn undefine(&self, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        Ok(self.0.inner.change_definition(hook, expected, None).await?.is_some())
    }

    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, BusError> {
        Ok(self.definitions_of(std::slice::from_ref(hook)).await?.pop().flatten())
    }

    async fn definitions_of(&self, hooks: &[HookId]) -> Result<Vec<Option<Definition>>, BusError> {
        let hooks = hooks.to_vec();
        let read = move |inner: &Inner| inner.storage.store.read(|database| definition_table::get(database, &hooks));
        self.0.inner.blocking(read).await
    }

    async fn definitions(&self, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, BusError> {
        let after = after.cloned();
        let read = move |inner: &Inner| {
            inner.storage.store.read(|database| definition_table::page(database, after.as_ref(), limit))
        };
        self.0.inner.blocking(read).await
    }
}
