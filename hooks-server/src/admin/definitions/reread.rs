//! Hooks that run when the operator's bounds change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hooks_core::bus::Definition;
use hooks_core::{DispatchError, HookId, TenantId, chain};

use super::HookDefinitions;
use super::reader::ReaderSettings;

/// Hooks that are looked at before others may run.
const PAGE: usize = 1_000;

/// How often the bounds changed, and up to which of these changes the hooks that run are within them.
#[derive(Default)]
pub(super) struct Bounds {
    changes: AtomicU64,
    kept: AtomicU64,
}

impl Bounds {
    /// Hooks that run have to be read once more.
    pub(super) fn change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

impl HookDefinitions {
    /// Reads those that run once more, if the bounds changed since all of them were; which of them had to stop or could
    /// not be changed, and why. One whose key is gone can't be read and goes on.
    ///
    /// # Errors
    /// When definitions can't be read from the bus. The next call reads all of them again, as after one that is dropped.
    pub(super) async fn reread(&self) -> Result<Vec<(HookId, DispatchError)>, DispatchError> {
        let bounds = &self.0.bounds;
        let changes = bounds.changes.load(Ordering::Acquire);
        let (mut failed, mut after, mut are_kept) = (Vec::new(), None, true);
        if bounds.kept.load(Ordering::Acquire) >= changes {
            return Ok(failed);
        }
        loop {
            let page = self.0.dispatcher.hooks(after.as_ref(), PAGE, None);
            let Some(last) = page.last() else { break };
            after = Some(last.hook.id.clone());
            let defined = page.into_iter().filter(|running| running.revision.is_some());
            let names: Vec<_> = defined.map(|running| running.hook.id.clone()).collect();
            let kept = self.0.bus.hooks().definitions_of(&names).await.map_err(DispatchError::Definitions)?;
            for definition in kept.into_iter().flatten() {
                if let Err(error) = self.reread_one(&definition).await {
                    // The bus refused, and it goes on as before.
                    are_kept &= self.0.dispatcher.hook(&definition.hook).is_none();
                    failed.push((definition.hook, error));
                }
            }
        }
        if are_kept {
            bounds.kept.fetch_max(changes, Ordering::AcqRel);
        }
        Ok(failed)
    }

    /// Reads a hook once more that was defined now, if it was checked by other settings than those of now: whoever changed
    /// them may have looked at the hooks before this one ran.
    pub(super) async fn keep_in_bounds(
        &self,
        checked_by: &Arc<ReaderSettings>,
        definition: &Definition,
        tenant: Option<TenantId>,
    ) {
        if Arc::ptr_eq(checked_by, &self.0.reader.settings()) {
            return;
        }
        let Err(error) = self.reread_one(definition).await else { return };
        let hook = &definition.hook;
        tracing::error!(%hook, error = chain(&error), "the operator's bounds changed while the hook was defined, and it can't run within them; the bus keeps its events");
        if self.0.dispatcher.hook(hook).is_some() {
            // It goes on as before until somebody tries again.
            self.0.bounds.change();
        } else if let Some(tenant) = tenant {
            self.0.places.add_stopped(tenant, hook.clone());
        }
        self.0.failures.lock().insert(hook.clone(), chain(&error));
    }

    async fn reread_one(&self, definition: &Definition) -> Result<(), DispatchError> {
        let can_be_read = self.0.reader.open(&definition.hook, &definition.text).is_ok();
        if can_be_read { self.0.dispatcher.reread(definition).await } else { Ok(()) }
    }
}
