//! Moves a hook to another place in the log.

use std::sync::Arc;

use super::slot::{Slot, subscription};
use super::{DispatchError, Dispatcher, Inner};
use crate::bus::{BusError, Seek, SeekError, Sought};
use crate::hook::Hook;
use crate::id::HookId;
use crate::worker::Parked;

impl Dispatcher {
    /// Moves a hook to another place in the log, back or ahead, and returns where it is then. Its attempt under way ends;
    /// settings, dead letters, override and counts stay. Where it already is, what it has in flight is delivered again. A disabled hook is moved, too, and goes on from there once it is
    /// enabled. A replay of dead letters that runs is cut off, and says so.
    ///
    /// Where instances share hooks, the one that has the hook moves it. The dispatcher need not have the hook: then what
    /// the bus keeps is moved.
    ///
    /// # Errors
    /// When there is no such hook, the bus refuses (the place lies ahead, and the [`Seek`] does not say that events may be
    /// skipped), or can't move it now. The hook is where it was then, and goes on.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn seek(&self, id: &HookId, seek: Seek) -> Result<Sought, DispatchError> {
        let hook = id.clone();
        self.locked(id, |inner| async move { inner.seek(&hook, seek).await }).await
    }
}

/// Callers hold the hook's lock.
impl Inner {
    async fn seek(&self, id: &HookId, seek: Seek) -> Result<Sought, DispatchError> {
        let not_moved = |error| DispatchError::NotMoved { hook: id.clone(), error };
        let Ok(slot) = self.slot(id) else { return self.bus.hooks().seek(id, &seek).await.map_err(not_moved) };
        let seek = seek.filter(slot.hook.filter.clone());
        if seek.dry_run {
            return self.bus.hooks().seek(id, &seek).await.map_err(not_moved);
        }
        // What is refused, or changes nothing, disturbs no delivery.
        let look = Seek { filter: None, ..seek.clone().dry_run(true) };
        let there = self.bus.hooks().seek(id, &look).await.map_err(not_moved)?;
        seek.check(there.before, there.after).map_err(not_moved)?;
        let is_there = there.before == there.after && there.again == 0;
        if is_there && slot.ledger.counts().in_flight == 0 {
            return Ok(there);
        }
        self.seek_running(&slot, &seek).await.map_err(not_moved)
    }

    /// Moves the hook while its worker is stopped.
    async fn seek_running(&self, slot: &Arc<Slot>, seek: &Seek) -> Result<Sought, SeekError> {
        let (hook, mut parked) = (Hook::clone(&slot.hook), self.park(slot).await?);
        let enabled = hook.enabled && slot.overridden.get().is_none();
        let sought = self.bus.hooks().seek(&hook.id, seek).await;
        if sought.is_ok() {
            parked = self.subscribe_again(slot).await?;
            parked.reader.set_enabled(enabled);
        }
        self.succeed(slot, hook, enabled, parked);
        sought
    }

    async fn subscribe_again(&self, slot: &Slot) -> Result<Parked, BusError> {
        match self.bus.subscribe(subscription(&slot.hook, &slot.ledger)).await {
            Ok((reader, _)) => Ok(Parked::new(reader)),
            Err(error) => {
                tracing::error!(hook = %slot.hook.id, %error, "the hook was moved, and its worker can't be started again: it delivers nothing until it is changed");
                Err(error)
            }
        }
    }
}
