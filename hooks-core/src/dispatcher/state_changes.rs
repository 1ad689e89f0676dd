//! The changes of hooks' states, one after the other.

use std::fmt;
use std::sync::{Arc, Weak};

use super::{Dispatcher, HookStatus, Inner};
use crate::endpoint_state::EndpointState;
use crate::watchers::Watcher;

/// The changes of hooks' states, from [`Dispatcher::changes`].
pub struct Changes {
    dispatcher: Weak<Inner>,
    watcher: Arc<Watcher>,
}

impl Dispatcher {
    /// Follows the states of hooks: begins with each hook that there is, and goes on with each that is added, replaced,
    /// enabled or disabled, by whomever, or whose receiver changes its [state](EndpointState).
    ///
    /// Whoever reads slowly misses states that are over, never the latest: of a hook that changed several times since
    /// only its status now comes. So nothing piles up, and no hook waits for a reader.
    ///
    /// ```
    /// # use hooks_core::{Dispatcher, DisabledBy};
    /// async fn tell(dispatcher: &Dispatcher) {
    ///     let mut changes = dispatcher.changes();
    ///     while let Some(hook) = changes.next().await {
    ///         if hook.is_disabled_by(DisabledBy::Receiver) {
    ///             println!("{} wants nothing any more", hook.id);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn changes(&self) -> Changes {
        let watcher = self.0.notices.watchers().watch();
        watcher.add(self.0.all().iter().map(|slot| slot.hook.id.clone()));
        Changes { dispatcher: Arc::downgrade(&self.0), watcher }
    }
}

impl Changes {
    /// Waits for the next hook whose state changed, and returns its status. A hook that was removed is not named.
    /// `None`: the dispatcher was dropped.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing: what it would have returned, the next call returns.
    pub async fn next(&mut self) -> Option<HookStatus> {
        loop {
            let hook = self.watcher.next().await?;
            let inner = self.dispatcher.upgrade()?;
            let Ok(slot) = inner.slot(&hook) else { continue };
            let status = HookStatus::of(&slot, inner.bus.monitor().lag(&hook));
            // It is being disabled, and is named once more when it is kept by whom.
            let is_half = status.enabled && status.state == EndpointState::Disabled && status.disabled.is_none();
            if !is_half {
                return Some(status);
            }
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}
