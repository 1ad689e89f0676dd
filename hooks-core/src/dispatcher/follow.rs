//! Follows the definitions and overrides that other processes change on a shared bus.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::hook_locks::uncancelled;
use super::{DispatchError, Inner};
use crate::hook::Hook;
use crate::id::HookId;

impl Inner {
    /// Follows other processes in a task, from the first hook on.
    pub(super) fn follow(self: &Arc<Self>) {
        self.following.lock().get_or_insert_with(|| tokio::spawn(self.clone().follow_all()));
    }

    pub(super) async fn stop_following(&self) {
        let task = self.following.lock().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Never returns.
    async fn follow_all(self: Arc<Self>) {
        let store = self.bus.hooks();
        let overrides = follow(
            || store.follow_overrides(),
            |hook| self.follow_override(hook),
            |hook| store.override_followed(hook),
        );
        let definitions = follow(|| store.follow_definitions(), |hook| self.follow_definition(hook), |_| {});
        tokio::join!(overrides, definitions);
    }

    /// Follows the override of one hook. Also during a shutdown's drain: that may take long, and it could not end while
    /// the bus holds the hook.
    async fn follow_override(self: &Arc<Self>, hook: HookId) -> HookId {
        let lock = self.lock_hook(&hook).await;
        let (inner, id) = (self.clone(), hook.clone());
        let followed = uncancelled(async move {
            let followed = inner.apply_override(&id).await;
            drop(lock);
            followed
        });
        match followed.await {
            Ok(()) | Err(DispatchError::UnknownHook(_)) => {}
            Err(error) => {
                tracing::error!(%hook, %error, "another process enabled or disabled the hook, but this one could not: it goes on as before");
            }
        }
        hook
    }

    async fn apply_override(&self, id: &HookId) -> Result<(), DispatchError> {
        let slot = self.slot(id)?;
        if !slot.overridden.follow(&*self.bus, &slot.hook) {
            return Ok(());
        }
        match slot.overridden.get() {
            Some(disabled) => {
                tracing::warn!(hook = %id, by = ?disabled.by, "another process disabled the hook: it delivers nothing until it is enabled");
            }
            None => tracing::info!(hook = %id, "another process enabled the hook: it delivers again"),
        }
        self.change(Hook::clone(&slot.hook)).await
    }
}

/// Follows each hook that `next` names. A hook that is slow to change delays no other. Never returns.
async fn follow<N: Future<Output = HookId>, C: Future<Output = HookId>>(
    next: impl Fn() -> N,
    change: impl Fn(HookId) -> C,
    followed: impl Fn(&HookId),
) {
    let mut changes = FuturesUnordered::new();
    // Hooks that are being changed, each once, and whether they were named once more since.
    let mut changing = HashMap::<HookId, bool>::new();
    loop {
        tokio::select! {
            hook = next() => match changing.get_mut(&hook) {
                Some(more) => *more = true,
                None => {
                    changing.insert(hook.clone(), false);
                    changes.push(change(hook));
                }
            },
            Some(hook) = changes.next() => {
                if changing.insert(hook.clone(), false) == Some(true) {
                    changes.push(change(hook));
                } else {
                    changing.remove(&hook);
                    followed(&hook);
                }
            }
        }
    }
}
