//! Overrides of hooks: kept in the bucket, seen by every instance, followed by its dispatcher.

use hooks_core::{BusError, HookId, Override};

use super::connect::unavailable;
use super::record::Key;
use super::{Inner, subject};
use crate::overrides::encode;

impl Inner {
    pub(super) async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        let token = subject::of_hook(hook.as_str());
        let key = Key::Override(&token).to_string();
        let failed = |error: &dyn std::error::Error| unavailable("keep whether a hook is disabled", error);
        match to {
            Some(to) => {
                let put = self.storage.bucket.put(key, encode(&to).into()).await;
                let revision = put.map_err(|error| failed(&error))?;
                self.registry.lock().overrides.see(&token, Some(to), revision);
            }
            None => {
                let before = self.registry.lock().overrides.revision(&token);
                self.storage.bucket.delete(key).await.map_err(|error| failed(&error))?;
                self.registry.lock().overrides.remove(&token, before);
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
