//! The store of hooks beside the log: overrides, dead letters, names.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BusError, DeadLetters};
use crate::id::HookId;
use crate::overrides::Override;

/// The facts that a bus keeps about its hooks beside their positions. A bus that keeps none implements none of it.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use std::time::UNIX_EPOCH;
/// use hooks_core::{BusError, DisabledBy, HookId, HookStore, Override, async_trait, serde_json};
///
/// /// A table of overrides, as JSON.
/// #[derive(Default)]
/// struct Table(Mutex<BTreeMap<HookId, String>>);
///
/// #[async_trait]
/// impl HookStore for Table {
///     async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
///         let text = to.map(|to| serde_json::to_string(&to)).transpose();
///         let text = text.map_err(|error| BusError::Unavailable(error.to_string()))?;
///         let mut rows = self.0.lock().unwrap();
///         match text {
///             Some(text) => rows.insert(hook.clone(), text),
///             None => rows.remove(hook),
///         };
///         Ok(())
///     }
///
///     fn overrides(&self, hook: &HookId) -> Option<Override> {
///         serde_json::from_str(self.0.lock().unwrap().get(hook)?).ok()
///     }
///
///     async fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
///         Ok(self.0.lock().unwrap().remove(hook).is_some())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (table, hook) = (Table::default(), HookId::new("billing")?);
/// let disabled = Override::disabled(DisabledBy::Operator, None, UNIX_EPOCH);
/// table.set_override(&hook, Some(disabled.clone())).await?;
/// assert_eq!(table.overrides(&hook), Some(disabled));
/// assert!(table.forget(&hook).await? && table.overrides(&hook).is_none());
/// # Ok::<(), hooks_core::BoxError>(())
/// # }).unwrap();
/// ```
///
/// [`DeadLetters`] has an example of its own.
#[async_trait]
pub trait HookStore: Send + Sync {
    /// The hooks that the bus keeps a position for, subscribed now or not, by name.
    fn known_hooks(&self) -> Vec<HookId> {
        Vec::new()
    }

    /// Removes everything that is kept for a hook that is not subscribed: its position, its override and its dead
    /// letters. Returns true if there was anything.
    ///
    /// # Errors
    /// When the hook is subscribed, or the bus can't do it now.
    async fn forget(&self, _hook: &HookId) -> Result<bool, BusError> {
        Ok(false)
    }

    /// The dead letters of a hook. `None`: the bus keeps none; given-up events are dropped, counted and logged.
    fn dead_letters(&self, _hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        None
    }

    /// Keeps an override of a hook's settings, across restarts; `None` removes it. A bus that keeps nothing does
    /// nothing.
    ///
    /// # Errors
    /// When it can't be kept.
    async fn set_override(&self, _hook: &HookId, _to: Option<Override>) -> Result<(), BusError> {
        Ok(())
    }

    /// The override of a hook's settings.
    fn overrides(&self, _hook: &HookId) -> Option<Override> {
        None
    }

    /// Waits until another process set or removed the override of a hook that is subscribed here, and names the hook.
    /// The bus may hold it until this process [has followed](Self::override_followed). For one caller, the
    /// [`Dispatcher`](crate::Dispatcher). Waits for ever on a bus of one process.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing.
    async fn follow_overrides(&self) -> HookId {
        std::future::pending().await
    }

    /// Tells the bus that the hook's last override from [`follow_overrides`](Self::follow_overrides) holds here now.
    fn override_followed(&self, _hook: &HookId) {}
}
