//! Adds, changes and removes hooks. A change is never cut in half: once it has the hook's lock it runs in its own task.

use std::sync::Arc;

use tokio::sync::OwnedRwLockReadGuard;

use super::hook_locks::{HookLockGuard, uncancelled};
use super::overrides::SharedOverride;
use super::slot::{Slot, Work, WorkerStart, subscription};
use super::status::HookStatus;
use super::{DispatchError, Dispatcher, Inner};
use crate::bus::BusError;
use crate::hook::Hook;
use crate::id::HookId;
use crate::ledger::{DropReason, Ledger, Outcome};
use crate::notices::hears_of_others;
use crate::overrides::DisabledBy;
use crate::worker::{Parked, SharedEndpoint};

impl Dispatcher {
    /// Adds a hook: it receives events that are published from now on, and its unsettled events on a bus that keeps
    /// them. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// When there is a hook of this name, or the bus keeps a [definition](Self::define) of one, its settings or its sink's
    /// are wrong (all errors are listed), or the bus refuses.
    ///
    /// # Cancel safety
    /// A change waits until others of the same hook have ended; a call that is dropped before has changed nothing. A
    /// change that has begun is completed, also when the call is dropped. This holds for every change.
    pub async fn add(&self, hook: Hook) -> Result<(), DispatchError> {
        let id = hook.id.clone();
        self.locked(&id, |inner| async move { inner.add_undefined(hook).await }).await
    }

    /// Changes the settings of a hook. Its position and its events in flight stay. The running attempt
    /// ends; its events are delivered again under the new settings, and the new filter applies to every
    /// event that is not in a frozen batch. When this returns, the old settings are out of use.
    ///
    /// # Errors
    /// When there is no hook of this name, or the settings are wrong; nothing has changed then.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn replace(&self, hook: Hook) -> Result<(), DispatchError> {
        let id = hook.id.clone();
        self.locked(&id, |inner| async move { inner.change(hook).await }).await
    }

    /// Disables a hook: it keeps its events and delivers none. It stays disabled when it is replaced, and on a bus that
    /// keeps overrides also after a restart.
    ///
    /// # Errors
    /// As for [`replace`](Self::replace). Also when the bus can't keep it: it is disabled then, but in this process alone
    /// and until that ends. Call again.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn disable(&self, id: &HookId) -> Result<(), DispatchError> {
        let hook = id.clone();
        self.locked(id, |inner| async move { inner.disable(&hook).await }).await
    }

    /// Enables a hook that was disabled, by whomever. One that its receiver disabled tries again.
    ///
    /// # Errors
    /// As for [`disable`](Self::disable).
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn enable(&self, id: &HookId) -> Result<(), DispatchError> {
        let hook = id.clone();
        self.locked(id, |inner| async move { inner.enable(&hook).await }).await
    }

    /// Removes a hook, and returns its last status.
    ///
    /// Where the bus keeps events in memory alone, the hook's unsettled events count as dropped
    /// ([`DropReason::Removed`]). A bus that outlives the process keeps the hook's position, its dead letters and its
    /// override, and all of the log behind the position: the status says how much that is (`lag`, `dead_letters`), and
    /// events that were read count as handed over. A hook that is [added](Self::add) under the same name goes on at
    /// that position. To remove all of it, call [`forget`](Self::forget).
    ///
    /// # Errors
    /// When there is no hook of this name, or the bus can't be reached; the hook then stays as it was.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn remove(&self, id: &HookId) -> Result<HookStatus, DispatchError> {
        let hook = id.clone();
        self.locked(id, |inner| async move { inner.remove(&hook).await }).await
    }

    /// Removes a hook, if the dispatcher has it, and everything that the bus keeps for it: its position, its dead
    /// letters and its override. A hook that is added under the same name later is new. Returns true if there was
    /// anything.
    ///
    /// # Errors
    /// When the bus can't be reached, or another process has the hook. The hook may have been removed by then; call
    /// again.
    ///
    /// # Cancel safety
    /// As for [`add`](Self::add).
    pub async fn forget(&self, id: &HookId) -> Result<bool, DispatchError> {
        let hook = id.clone();
        self.locked(id, |inner| async move { inner.forget(&hook).await }).await
    }

    /// Waits for the hook's lock, then makes the change, even if this call is dropped.
    pub(super) async fn locked<T: Send + 'static, F>(
        &self,
        id: &HookId,
        change: impl FnOnce(Arc<Inner>) -> F,
    ) -> Result<T, DispatchError>
    where
        F: Future<Output = Result<T, DispatchError>> + Send + 'static,
    {
        self.0.is_open()?;
        let lock = self.0.lock_hook(id).await;
        self.0.is_open()?;
        let change = change(self.0.clone());
        uncancelled(async move {
            let changed = change.await;
            drop(lock);
            changed
        })
        .await
    }
}

/// Callers hold the hook's lock.
impl Inner {
    /// Waits until no other change of the hook runs. No shutdown ends before the change does.
    pub(super) async fn lock_hook(&self, id: &HookId) -> (HookLockGuard, OwnedRwLockReadGuard<()>) {
        (self.hook_locks.lock(id).await, self.changing.clone().read_owned().await)
    }

    async fn add_undefined(self: &Arc<Self>, hook: Hook) -> Result<(), DispatchError> {
        match self.bus.hooks().definition(&hook.id).await {
            Ok(Some(_)) if self.slot(&hook.id).is_err() => Err(DispatchError::Defined(hook.id)),
            Ok(_) => self.add(hook).await,
            Err(error) => Err(refused(&hook.id)(error)),
        }
    }

    async fn add(self: &Arc<Self>, hook: Hook) -> Result<(), DispatchError> {
        validate(&hook)?;
        self.add_valid(hook).await
    }

    pub(super) async fn add_valid(self: &Arc<Self>, hook: Hook) -> Result<(), DispatchError> {
        let hook = hears_of_others(hook);
        if self.slot(&hook.id).is_ok() {
            return Err(DispatchError::Duplicate(hook.id));
        }
        self.follow();
        let ledger = Arc::new(Ledger::default());
        let subscription = subscription(&hook, &ledger);
        let (mut reader, settler) = self.bus.subscribe(subscription).await.map_err(refused(&hook.id))?;
        let overridden = SharedOverride::read(&*self.bus, &hook).await;
        let enabled = hook.enabled && overridden.get().is_none();
        reader.set_enabled(enabled);
        let endpoint = SharedEndpoint::new(&hook, enabled);
        self.start(WorkerStart { hook, enabled, endpoint, ledger, settler, overridden }, Parked::new(reader));
        Ok(())
    }

    pub(super) async fn change(&self, hook: Hook) -> Result<(), DispatchError> {
        validate(&hook)?;
        let hook = hears_of_others(hook);
        let slot = self.slot(&hook.id)?;
        let mut parked = self.park(&slot).await.map_err(refused(&hook.id))?;
        let subscription = subscription(&hook, &slot.ledger);
        let filtered = parked.carry.refilter(&subscription.filter);
        slot.settler.settle(&filtered, Outcome::Dropped(DropReason::Filtered));
        parked.reader.reconfigure(subscription.clone());
        slot.overridden.drop_outdated(&*self.bus, &hook).await;
        let enabled = hook.enabled && slot.overridden.get().is_none();
        if enabled {
            parked.reader.set_enabled(true);
        } else {
            parked = parked.put_back(&*self.bus, subscription).await;
        }
        self.succeed(&slot, hook, enabled, parked);
        Ok(())
    }

    /// Starts another worker in place of one that was parked.
    pub(super) fn succeed(&self, slot: &Slot, hook: Hook, enabled: bool, parked: Parked) {
        let endpoint = slot.endpoint.successor(&hook, enabled);
        let (ledger, settler, overridden) = (slot.ledger.clone(), slot.settler.clone(), slot.overridden.clone());
        self.start(WorkerStart { hook, enabled, endpoint, ledger, settler, overridden }, parked);
    }

    async fn enable(&self, id: &HookId) -> Result<(), DispatchError> {
        let slot = self.slot(id)?;
        let is_enabled = slot.is_enabled();
        let kept = slot.overridden.enable(&*self.bus, id).await;
        if !is_enabled {
            self.change(Hook { enabled: true, ..(*slot.hook).clone() }).await?;
        }
        kept.map_err(not_remembered(id))
    }

    async fn disable(&self, id: &HookId) -> Result<(), DispatchError> {
        let slot = self.slot(id)?;
        let kept = slot.overridden.disable(&*self.bus, &slot.hook, DisabledBy::Operator, None).await;
        self.change((*slot.hook).clone()).await?;
        kept.map_err(not_remembered(id))
    }

    pub(super) async fn remove(&self, id: &HookId) -> Result<HookStatus, DispatchError> {
        let slot = self.slot(id)?;
        slot.stop().await;
        if let Err(error) = self.bus.unsubscribe(id).await {
            self.change((*slot.hook).clone()).await?;
            return Err(refused(id)(error));
        }
        self.slots.lock().remove(id);
        self.defined.forget(id);
        self.notices.hook_removed(&slot.hook);
        Ok(HookStatus::of(&slot, self.bus.monitor().lag(id)))
    }

    async fn forget(&self, id: &HookId) -> Result<bool, DispatchError> {
        let was_here = match self.remove(id).await {
            Ok(_) => true,
            Err(DispatchError::UnknownHook(_)) => false,
            Err(error) => return Err(error),
        };
        Ok(self.bus.hooks().forget(id).await.map_err(refused(id))? || was_here)
    }

    /// Stops a hook's worker and takes over its events in flight.
    pub(super) async fn park(&self, slot: &Slot) -> Result<Parked, BusError> {
        slot.stop().await;
        let mut work = slot.work.lock().await;
        if let Work::Parked(parked @ Some(_)) = &mut *work
            && let Some(parked) = parked.take()
        {
            return Ok(*parked);
        }
        // The worker ended badly; the bus delivers its events in flight again.
        let (reader, _) = self.bus.subscribe(subscription(&slot.hook, &slot.ledger)).await?;
        Ok(Parked::new(reader))
    }
}

pub(super) fn validate(hook: &Hook) -> Result<(), DispatchError> {
    let kind = hook.sink.kind();
    let of_sink = hook.sink.validate().into_iter().map(|problem| format!("sink `{kind}`: {problem}"));
    let own = hook.problems().into_iter().map(|problem| problem.to_string());
    let problems: Vec<String> = of_sink.chain(own).collect();
    if problems.is_empty() { Ok(()) } else { Err(DispatchError::Invalid { hook: hook.id.clone(), problems }) }
}

fn not_remembered(hook: &HookId) -> impl Fn(BusError) -> DispatchError {
    move |error| DispatchError::NotRemembered { hook: hook.clone(), error }
}

fn refused(hook: &HookId) -> impl Fn(BusError) -> DispatchError {
    move |error| DispatchError::Bus { hook: hook.clone(), error }
}
