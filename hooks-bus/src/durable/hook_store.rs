//! The facts that the durable bus keeps about hooks beside their positions.

use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{BusError, DeadLetters, HookId, HookStore, Override};

use super::DurableBus;
use super::dead_letters::DurableDeadLetters;

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

    fn known_hooks(&self) -> Vec<HookId> {
        self.0.inner.known_hooks()
    }

    async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        let hook = hook.clone();
        self.0.inner.blocking(move |inner| inner.forget(&hook)).await
    }
}
