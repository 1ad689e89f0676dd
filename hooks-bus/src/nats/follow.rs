//! Overrides of hooks: kept in the bucket, seen by every instance, followed by its dispatcher.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hooks_core::{BusError, HookId, Override};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connect::unavailable;
use super::hook::Hook;
use super::record::Key;
use super::{Inner, subject};
use crate::overrides::encode;

/// Hooks whose override another process has set and this one does not follow yet. Each is there at most once.
#[derive(Debug, Default)]
pub(super) struct Unfollowed {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arc<Hook>>,
    /// Hooks whose override is being followed.
    in_progress: HashMap<HookId, Arc<Hook>>,
    /// The dispatcher follows overrides, so hooks can be paused until it has.
    follows: bool,
}

impl Unfollowed {
    /// Adds a hook with a new override.
    fn push(&self, hook: Arc<Hook>) {
        let mut queue = self.queue.lock();
        if hook.override_arrived(queue.follows) {
            queue.waiting.push_back(hook);
            self.arrived.notify_one();
        }
    }

    pub(super) async fn next(&self) -> HookId {
        loop {
            {
                let mut queue = self.queue.lock();
                queue.follows = true;
                if let Some(hook) = queue.waiting.pop_front() {
                    hook.override_started();
                    queue.in_progress.insert(hook.id.clone(), hook.clone());
                    return hook.id.clone();
                }
            }
            self.arrived.notified().await;
        }
    }

    pub(super) fn followed(&self, hook: &HookId) {
        if let Some(hook) = self.queue.lock().in_progress.remove(hook) {
            hook.override_followed();
        }
    }
}

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
        let hook = self.hooks.lock().values().find(|hook| hook.token == token).cloned();
        hook.into_iter().for_each(|hook| self.unfollowed.push(hook));
    }
}
