//! What other processes note on a bus that they share holds here, too.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::{DispatchError, Dispatcher, Inner};
use crate::hook::Hook;
use crate::id::HookId;

impl Dispatcher {
    /// Disables and enables hooks as other processes note it on the bus that they share with this one, until the
    /// future is dropped. To be run beside everything else where there is such a bus; without it a hook that
    /// was disabled elsewhere is tried again when it comes here. One that is slow to change delays no other.
    pub async fn heed_notes(&self) {
        let mut changes = FuturesUnordered::new();
        // Hooks that are being changed, each once, and whether something more was noted about them since.
        let mut changing = HashMap::<HookId, bool>::new();
        loop {
            tokio::select! {
                hook = self.0.bus.note_changed() => match changing.get_mut(&hook) {
                    Some(more) => *more = true,
                    None => {
                        changing.insert(hook.clone(), false);
                        changes.push(self.heed(hook));
                    }
                },
                Some(hook) = changes.next() => {
                    if changing.insert(hook.clone(), false) == Some(true) {
                        changes.push(self.heed(hook));
                    } else {
                        changing.remove(&hook);
                        self.0.bus.note_heeded(&hook);
                    }
                }
            }
        }
    }

    async fn heed(&self, hook: HookId) -> HookId {
        let heeded = hook.clone();
        match self.in_turn(&hook, |inner| async move { inner.heed(&heeded).await }).await {
            Ok(()) | Err(DispatchError::UnknownHook(_) | DispatchError::ShutDown) => {}
            Err(error) => {
                tracing::error!(%hook, %error, "what was noted about the hook elsewhere could not be heeded");
            }
        }
        hook
    }
}

impl Inner {
    async fn heed(&self, id: &HookId) -> Result<(), DispatchError> {
        let slot = self.slot(id)?;
        if !slot.note.heed(&*self.bus, &slot.hook) {
            return Ok(());
        }
        let note = slot.note.get();
        tracing::info!(hook = %id, "{}, as noted elsewhere", if note.is_some() { "disabled" } else { "enabled" });
        self.change(Hook::clone(&slot.hook)).await?;
        if let Some(note) = note {
            self.slot(id)?.endpoint.state.lock().disable(note.reason);
        }
        Ok(())
    }
}
