//! What other processes note on a bus that they share holds here, too.

use super::{DispatchError, Dispatcher, Inner};
use crate::hook::Hook;
use crate::id::HookId;

impl Dispatcher {
    /// Disables and enables hooks as other processes note it on the bus that they share with this one, until the
    /// future is dropped. To be run beside everything else where there is such a bus; without it a hook that
    /// was disabled elsewhere is tried again when it comes here.
    pub async fn heed_notes(&self) {
        loop {
            let hook = self.0.bus.note_changed().await;
            let heeded = hook.clone();
            match self.in_turn(&hook, |inner| async move { inner.heed(&heeded).await }).await {
                Ok(()) | Err(DispatchError::UnknownHook(_) | DispatchError::ShutDown) => {}
                Err(error) => {
                    tracing::error!(%hook, %error, "what was noted about the hook elsewhere could not be heeded");
                }
            }
        }
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
