//! Overrides of hooks: kept in the bucket, seen by every instance, followed by its dispatcher.

use hooks_core::{BoxError, BusError, HookId, Override};

use super::connect::unavailable;
use super::record::Key;
use super::registry::Registry;
use super::{Inner, subject};
use crate::overrides::encode;
use crate::sharing::Overrides;

impl Inner {
    pub(super) async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let (token, text) = (subject::of_hook(hook.as_str()), to.as_ref().map(encode));
        let kept = self.set_fact(&token, Key::Override(&token), (text, to), |registry| &mut registry.overrides).await;
        kept.map_err(|error| unavailable("keep whether a hook is disabled", &*error))
    }

    pub(super) async fn set_failing(&self, hook: &HookId, since: Option<u64>) -> Result<(), BusError> {
        let (token, text) = (subject::of_hook(hook.as_str()), since.map(|since| since.to_string()));
        let kept = self.set_fact(&token, Key::Failing(&token), (text, since), |registry| &mut registry.failing).await;
        kept.map_err(|error| unavailable("keep since when a receiver fails", &*error))
    }

    /// Keeps what holds of a hook, or removes it.
    async fn set_fact<T: Clone + PartialEq>(
        &self,
        token: &str,
        key: Key<'_>,
        (text, to): (Option<String>, Option<T>),
        known: fn(&mut Registry) -> &mut Overrides<T>,
    ) -> Result<(), BoxError> {
        let (bucket, key) = (&self.storage.bucket, key.to_string());
        match text {
            Some(text) => {
                let revision = bucket.put(key, text.into()).await?;
                known(&mut self.registry.lock()).see(token, to, revision);
            }
            None => {
                let before = known(&mut self.registry.lock()).revision(token);
                bucket.delete(key).await?;
                known(&mut self.registry.lock()).remove(token, before);
            }
        }
        Ok(())
    }

    pub(super) fn overrides(&self, hook: &HookId) -> Option<Override> {
        self.registry.lock().overrides.get(&subject::of_hook(hook.as_str()))
    }

    pub(super) fn override_seen(&self, token: &str) {
        let hook = self.hooks.lock().values().find(|hook| hook.tag.token == token).cloned();
        hook.into_iter().for_each(|hook| self.unfollowed.push(hook));
    }
}
