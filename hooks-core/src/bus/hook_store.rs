//! The store of hooks beside the log: definitions, overrides, dead letters, names.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::{BusError, DeadLetters, DefineError, Definition, Expected, Position, Seek, SeekError, Sought, StartAt};
use crate::id::HookId;
use crate::overrides::Override;

/// The facts that a bus keeps about its hooks beside their positions. A bus that keeps none implements none of it.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use std::time::UNIX_EPOCH;
/// use hooks_core::{bus::HookStore, BusError, DisabledBy, HookId, Override, async_trait, serde_json};
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

    /// The position where a hook began: the bus never meant it to get what lies before, though an operator may move it
    /// there. `None`: it is not known.
    ///
    /// # Errors
    /// When it can't be read.
    ///
    /// # Cancel safety
    /// A call that is dropped has changed nothing.
    async fn began(&self, _hook: &HookId) -> Result<Option<Position>, BusError> {
        Ok(None)
    }

    /// Removes everything that is kept for a hook that is not subscribed: its position, its definition, its override and
    /// its dead letters. Returns true if there was anything.
    ///
    /// # Errors
    /// When the hook is subscribed, or the bus can't do it now.
    ///
    /// # Cancel safety
    /// A call that is dropped may have removed all of it, a part or nothing: forget it once more.
    async fn forget(&self, _hook: &HookId) -> Result<bool, BusError> {
        Ok(false)
    }

    /// Moves a hook to another place, and returns when that would survive a crash; a crash before leaves it where it was.
    /// Dead letters, override and definition stay.
    ///
    /// Back: every event from there on is delivered again, also those beyond where the hook was that it had settled out of
    /// order. Back reaches what the log still has; what is older is answered with where the hook is
    /// [then](Sought::reached). Ahead, if that is [allowed](Seek::skip): the unsettled events in between are given up, and
    /// what was settled beyond them stays so. Where the hook is subscribed here, the given up count in its ledger as
    /// [skipped](crate::DropReason::Skipped).
    ///
    /// A reader that the hook has here is lost, if it was moved: subscribe once more to go on. Its events in flight then
    /// count as handed over. Counting is bounded work: where there is more, the counts are upper bounds.
    ///
    /// # Errors
    /// When it is refused or can't be done. The hook is where it was.
    ///
    /// # Cancel safety
    /// A call that is dropped may have moved the hook or not.
    async fn seek(&self, _hook: &HookId, _seek: &Seek) -> Result<Sought, SeekError> {
        Err(SeekError::Unsupported)
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
    ///
    /// # Cancel safety
    /// A call that is dropped may have kept the override or not: [`overrides`](Self::overrides) says what is in force.
    async fn set_override(&self, _hook: &HookId, _to: Option<Override>) -> Result<(), BusError> {
        Ok(())
    }

    /// The override of a hook's settings.
    fn overrides(&self, _hook: &HookId) -> Option<Override> {
        None
    }

    /// Keeps since when a hook's receiver has accepted nothing, across restarts and takeovers; `None` removes it. A bus
    /// that keeps nothing does nothing.
    ///
    /// # Errors
    /// When it can't be kept.
    ///
    /// # Cancel safety
    /// A call that is dropped may have kept it or not.
    async fn set_failing_since(&self, _hook: &HookId, _since: Option<SystemTime>) -> Result<(), BusError> {
        Ok(())
    }

    /// Since when a hook's receiver has accepted nothing, in whole seconds, if that is kept.
    fn failing_since(&self, _hook: &HookId) -> Option<SystemTime> {
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

    /// Keeps the definition of a hook: a new one, or one in place of another. Returns what is kept now, with a revision
    /// that the hook never had before. On a bus that outlives the process, that survives a crash.
    ///
    /// A hook that has no position yet gets one in the same step, at `from`: every event that is accepted after this
    /// returns reaches the hook, also when the process ends at once, and by whichever process it is accepted. The hook
    /// need not be subscribed for that, now or soon. A hook that has a position keeps it.
    ///
    /// ```
    /// # use hooks_test::model::ModelBus as MyBus;
    /// use hooks_core::{bus::{DefineError, Expected, HookStore}, Bus, HookId, StartAt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (bus, hook) = (MyBus::lasting(), HookId::new("billing")?);
    /// let text = r#"{"sink":{"type":"http","url":"https://a.example/"}}"#;
    /// let first = bus.hooks().define(&hook, text, Expected::Absent, StartAt::End).await?;
    ///
    /// // Whoever changes it says which revision they have seen.
    /// let other = r#"{"sink":{"type":"http","url":"https://b.example/"}}"#;
    /// let second = bus.hooks().define(&hook, other, Expected::At(first.revision), StartAt::End).await?;
    /// assert!(second.revision > first.revision && second.created == first.created);
    /// let late = bus.hooks().define(&hook, text, Expected::At(first.revision), StartAt::End).await;
    /// assert!(matches!(late, Err(DefineError::Conflict { current }) if current == Some(second.revision)));
    ///
    /// assert!(bus.hooks().undefine(&hook, Expected::Any).await?);
    /// assert_eq!(bus.hooks().definition(&hook).await?, None);
    /// # Ok::<(), hooks_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// When the definition is not the expected one, the bus keeps none, or it can't be kept. After an error of the bus
    /// itself it may be kept all the same: [`definition`](Self::definition) says what is.
    ///
    /// # Cancel safety
    /// A call that is dropped may have kept the definition or not.
    async fn define(
        &self,
        _hook: &HookId,
        _text: &str,
        _expected: Expected,
        _from: StartAt,
    ) -> Result<Definition, DefineError> {
        Err(DefineError::NotKept)
    }

    /// Removes a hook that is defined: its definition, its position, its override and its dead letters, all at once. A
    /// hook of the same name that comes later begins anew. Returns false, and removes nothing, if the hook is not
    /// defined.
    ///
    /// # Errors
    /// When the definition is not the expected one, or this process has subscribed the hook: unsubscribe it first. Other
    /// processes learn of it by [`follow_definitions`](Self::follow_definitions). Also when the bus keeps no definitions,
    /// or can't remove it now.
    ///
    /// # Cancel safety
    /// A call that is dropped may have removed the hook or not.
    async fn undefine(&self, _hook: &HookId, _expected: Expected) -> Result<bool, DefineError> {
        Err(DefineError::NotKept)
    }

    /// The definition of a hook, if it is defined.
    ///
    /// # Errors
    /// When it can't be read.
    ///
    /// # Cancel safety
    /// A call that is dropped has changed nothing.
    async fn definition(&self, _hook: &HookId) -> Result<Option<Definition>, BusError> {
        Ok(None)
    }

    /// The definitions of several hooks, in their order. A bus that can read them at once does.
    ///
    /// # Errors
    /// When they can't be read.
    ///
    /// # Cancel safety
    /// A call that is dropped has changed nothing.
    async fn definitions_of(&self, hooks: &[HookId]) -> Result<Vec<Option<Definition>>, BusError> {
        let mut definitions = Vec::with_capacity(hooks.len());
        for hook in hooks {
            definitions.push(self.definition(hook).await?);
        }
        Ok(definitions)
    }

    /// A page of definitions by name: those after this name, the first ones if there is none, and at most `limit`.
    ///
    /// # Errors
    /// When they can't be read.
    ///
    /// # Cancel safety
    /// A call that is dropped has changed nothing.
    async fn definitions(&self, _after: Option<&HookId>, _limit: usize) -> Result<Vec<Definition>, BusError> {
        Ok(Vec::new())
    }

    /// Waits until another process defined, changed or undefined a hook since this bus was opened, and names the hook.
    /// [`definition`](Self::definition) says what it is now; several changes of one hook may be named once, and a hook
    /// may be named that did not change. For one caller, the [`Dispatcher`](crate::Dispatcher). Waits for ever on a bus
    /// of one process.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing.
    async fn follow_definitions(&self) -> HookId {
        std::future::pending().await
    }
}
