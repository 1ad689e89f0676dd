//! The facts that the NATS bus keeps about hooks beside their positions.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use hooks_core::{
    BusError, HookId, Override, Position, StartAt,
    bus::{DeadLetters, DefineError, Definition, Expected, HookStore, Seek, SeekError, Sought},
};
use tokio::time::Instant;

use super::connect::unavailable;
use super::dead_letters::NatsDeadLetters;
use super::record::Key;
use super::{NatsBus, subject};
use crate::failing;
use crate::sharing::hook_hash;

#[async_trait]
impl HookStore for NatsBus {
    fn dead_letters(&self, hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        Some(Arc::new(NatsDeadLetters::new(self.inner.clone(), hook)))
    }

    async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        self.inner.set_override(hook, to).await
    }

    fn overrides(&self, hook: &HookId) -> Option<Override> {
        self.inner.overrides(hook)
    }

    async fn set_failing_since(&self, hook: &HookId, since: Option<SystemTime>) -> Result<(), BusError> {
        self.inner.set_failing(hook, since.map(failing::seconds)).await
    }

    fn failing_since(&self, hook: &HookId) -> Option<SystemTime> {
        let token = subject::of_hook(hook.as_str());
        self.inner.registry.lock().failing.get(&token).map(failing::time)
    }

    async fn follow_overrides(&self) -> HookId {
        self.inner.unfollowed.next().await
    }

    fn override_followed(&self, hook: &HookId) {
        self.inner.unfollowed.followed(hook);
    }

    fn known_hooks(&self) -> Vec<HookId> {
        self.inner.registry.lock().hooks().into_iter().collect()
    }

    async fn began(&self, hook: &HookId) -> Result<Option<Position>, BusError> {
        let began = self.inner.registry.lock().began(&subject::of_hook(hook.as_str()));
        Ok(began.map(|began| Position::new(began.saturating_add(1))))
    }

    async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        let token = subject::of_hook(hook.as_str());
        let in_use = self.inner.hooks.lock().contains_key(hook)
            || self.inner.registry.lock().another_member_has(hook_hash(hook.as_str()), Instant::now());
        if in_use {
            return Err(BusError::Unavailable(format!("an instance has the hook `{hook}`: remove it there first")));
        }
        let dead_letters = NatsDeadLetters::new(self.inner.clone(), hook).purge().await?;
        let defined = self.inner.undefine(hook, Expected::Any).await;
        let defined = defined.map_err(|error| match error {
            DefineError::Bus(error) => error,
            error => BusError::Unavailable(error.to_string()),
        })?;
        let known = self.inner.registry.lock().forget(&token) || defined;
        for key in [Key::Hook(&token), Key::Override(&token), Key::Failing(&token)] {
            let purged = self.inner.storage.bucket.delete(key.to_string()).await;
            purged.map_err(|error| unavailable("forget a hook", &error))?;
        }
        Ok(known || dead_letters > 0)
    }

    async fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        self.inner.seek(hook, seek).await
    }

    async fn define(
        &self,
        hook: &HookId,
        text: &str,
        expected: Expected,
        from: StartAt,
    ) -> Result<Definition, DefineError> {
        self.inner.define(hook, text, expected, from).await
    }

    async fn undefine(&self, hook: &HookId, expected: Expected) -> Result<bool, DefineError> {
        self.inner.undefine(hook, expected).await
    }

    async fn definition(&self, hook: &HookId) -> Result<Option<Definition>, BusError> {
        let registry = self.inner.registry.lock();
        Ok(registry.definitions.get(hook).map(|(record, revision)| record.definition(hook, revision)))
    }

    async fn definitions(&self, after: Option<&HookId>, limit: usize) -> Result<Vec<Definition>, BusError> {
        Ok(self.inner.registry.lock().definitions.page(after, limit))
    }

    async fn follow_definitions(&self) -> HookId {
        loop {
            let news = self.inner.registry.lock().definitions.next_news();
            match news {
                Some(hook) => return hook,
                None => self.inner.defined.notified().await,
            }
        }
    }
}
