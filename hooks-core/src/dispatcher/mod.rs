//! Joins a bus and hooks: one worker per hook.

mod callbacks;
mod changes;
mod definitions;
mod error;
mod figures;
mod follow;
mod hook_locks;
mod overrides;
mod replay;
mod report;
mod resend;
mod seek;
mod sending_again;
mod shutdown;
mod slot;
mod state_changes;
mod status;
mod test_delivery;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinHandle;

pub use definitions::{DefinitionReader, Restored};
pub use error::{DispatchError, ReplayError, TestError};
pub use figures::Figures;
pub use report::{ReplayReport, Report, ResendReport, TestReport};
pub use resend::Resending;
pub use state_changes::Changes;
pub use status::{HookCounts, HookReport, HookStatus, LeftBehind};

use crate::attempt::AttemptRecorder;
use crate::bus::{Bus, Lag, Revision, Settler};
use crate::endpoint_state::EndpointState;
use crate::hook::Hook;
use crate::id::{HookId, TenantId};
use crate::notices::{Notices, Outbox};
use crate::sink::Shared;
use crate::stats::BatchStats;
use crate::worker::{HookContext, Mode, Parked, ResendQueue, SharedEndpoint, StopSignal, Worker};
use definitions::Defined;
use hook_locks::HookLocks;
use slot::{Slot, Work, WorkerStart, subscription, worker_ended};

/// Delivers the events of a bus to hooks, until it is shut down.
///
/// Hooks can be added, replaced and removed at any time, and changes of one hook don't wait for another. A call that
/// is dropped, as web frameworks do with handlers, is not cut in half. Dropping the dispatcher without
/// [`shutdown`](Self::shutdown) stops all workers; their events in flight stay unsettled, and the hooks stay
/// subscribed: a bus that is used further keeps events for them, within their limits.
///
/// Where processes share a bus, disabling or enabling a hook in one holds in all: each dispatcher follows the others.
/// Only one dispatcher at a time may use a bus.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// # mod hooks_bus { pub use hooks_test::model::ModelBus as MemoryBus; }
/// use hooks_bus::MemoryBus;
/// use hooks_core::{sink::{Batch, Delivered, DeliveryError}, async_trait, Bus, Dispatcher, Envelope, Filter, Hook, Sink};
/// # use hooks_core::{sink::{SinkContext, SinkFactory}, BoxError};
/// # #[derive(Debug)]
/// # struct Stdout;
/// # impl SinkFactory for Stdout {
/// #     fn kind(&self) -> &str { "stdout" }
/// #     fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> { Ok(Box::new(Stdout)) }
/// # }
/// # #[async_trait]
/// # impl Sink for Stdout {
/// #     async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> { Ok(Delivered::all()) }
/// # }
///
/// let bus = Arc::new(MemoryBus::default());
/// let dispatcher = Dispatcher::new(bus.clone());
/// dispatcher.add(Hook::new("print", Stdout)?.filter(Filter::types(["invoice.*"]))).await?;
///
/// bus.publish(Envelope::from_json(br#"{"type":"invoice.paid","data":{"number":7}}"#)?.into()).await?;
///
/// let report = dispatcher.shutdown(None).await;
/// assert_eq!(report.hooks[0].counts.delivered, 1);
/// # Ok::<(), BoxError>(()) }).unwrap();
/// ```
pub struct Dispatcher(Arc<Inner>);

/// A hook as it runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunningHook {
    /// The hook. It may be newer than its revision says, never older.
    pub hook: Arc<Hook>,
    /// The revision of its definition, where the bus keeps one.
    pub revision: Option<Revision>,
    /// The state of its receiver.
    pub state: EndpointState,
}

impl RunningHook {
    fn of(slot: &Slot, revision: Option<Revision>) -> Self {
        Self { hook: slot.hook.clone(), revision, state: slot.state() }
    }
}

struct Inner {
    bus: Arc<dyn Bus>,
    shared: Arc<Shared>,
    /// Short, never across an await.
    slots: SyncMutex<Slots>,
    hook_locks: HookLocks,
    /// Held while a hook is changed.
    changing: Arc<RwLock<()>>,
    /// Held while some of a hook's dead letters are replayed or dropped.
    dead_letter_locks: HookLocks,
    batches: Arc<SyncMutex<BatchStats>>,
    notices: Notices,
    last: AtomicBool,
    /// Taken when the first hook that receives such events is added.
    outbox: SyncMutex<Option<Outbox>>,
    /// The hooks that the bus keeps the definition of.
    defined: Defined,
    /// The task that follows other processes.
    following: SyncMutex<Option<JoinHandle<()>>>,
}

/// The hooks of this dispatcher.
#[derive(Default)]
struct Slots {
    by_id: BTreeMap<HookId, Arc<Slot>>,
    by_tenant: HashMap<TenantId, BTreeSet<HookId>>,
    /// The mode of all workers, also of future ones.
    mode: Mode,
    /// True once changes are refused.
    shut_down: bool,
}

impl Dispatcher {
    /// A dispatcher that delivers the events of this bus.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        let (notices, outbox) = Notices::new();
        Self(Arc::new(Inner {
            bus,
            batches: Arc::default(),
            notices,
            last: AtomicBool::new(false),
            outbox: SyncMutex::new(Some(outbox)),
            shared: Arc::default(),
            slots: SyncMutex::default(),
            hook_locks: HookLocks::default(),
            changing: Arc::default(),
            dead_letter_locks: HookLocks::default(),
            defined: Defined::default(),
            following: SyncMutex::default(),
        }))
    }

    /// Makes this the last run: no later one delivers the rest. Once there is nothing else to do, events that a
    /// receiver refuses together with everything else count as refused. Otherwise, on a bus that outlives the process,
    /// a shutdown leaves them for the next run.
    #[must_use]
    pub fn with_an_end(self) -> Self {
        self.0.last.store(true, Ordering::Relaxed);
        self
    }

    /// Records each attempt with this. A second one has no effect.
    #[must_use]
    pub fn with_recorder(self, recorder: Arc<dyn AttemptRecorder>) -> Self {
        let _ = self.0.shared.recorder.set(recorder);
        self
    }

    /// The status of one hook, if the dispatcher has it.
    pub fn hook_status(&self, id: &HookId) -> Option<HookStatus> {
        let slot = self.0.slot(id).ok()?;
        Some(HookStatus::of(&slot, self.0.bus.monitor().lag(id)))
    }

    /// A hook as it runs, if the dispatcher has it.
    pub fn hook(&self, id: &HookId) -> Option<Arc<Hook>> {
        self.0.slot(id).ok().map(|slot| slot.hook.clone())
    }

    /// A hook as it runs, with its revision and state, if the dispatcher has it.
    pub fn running(&self, id: &HookId) -> Option<RunningHook> {
        let revision = self.revision(id);
        self.0.slot(id).ok().map(|slot| RunningHook::of(&slot, revision))
    }

    /// The tenant of a hook, if the dispatcher has it and it is a tenant's.
    pub fn tenant_of(&self, id: &HookId) -> Option<TenantId> {
        self.0.slot(id).ok()?.hook.tenant().cloned()
    }

    /// A page of hooks as they run, by name: those after this name, the first ones if there is none, and at most `limit`.
    /// With a tenant only the tenant's: that takes no longer for the hooks of others.
    pub fn hooks(&self, after: Option<&HookId>, limit: usize, tenant: Option<&TenantId>) -> Vec<RunningHook> {
        // Read before the hooks, so that none is older than its revision.
        let revisions = self.0.defined.revisions.lock();
        let slots = self.0.slots.lock();
        let later = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let one = |slot: &Arc<Slot>| RunningHook::of(slot, revisions.get(&slot.hook.id).copied());
        match tenant {
            None => slots.by_id.range::<HookId, _>(later).take(limit).map(|(_, slot)| one(slot)).collect(),
            Some(tenant) => {
                let names = slots.by_tenant.get(tenant).into_iter().flat_map(|names| names.range::<HookId, _>(later));
                names.take(limit).filter_map(|name| slots.by_id.get(name)).map(one).collect()
            }
        }
    }

    /// What each hook of a tenant is not done with, where the bus can tell. Takes no longer for the hooks of others.
    pub fn lags_of(&self, tenant: &TenantId) -> Vec<Lag> {
        let hooks = self.0.slots.lock().by_tenant.get(tenant).cloned().unwrap_or_default();
        hooks.iter().filter_map(|hook| self.0.bus.monitor().lag(hook)).collect()
    }

    /// The number of hooks of a tenant.
    pub fn hooks_of(&self, tenant: &TenantId) -> usize {
        self.0.slots.lock().by_tenant.get(tenant).map_or(0, BTreeSet::len)
    }

    /// The status of every hook, by name.
    pub fn status(&self) -> Vec<HookStatus> {
        self.0.status()
    }

    /// The number of the dispatcher's [own events](crate::Filter#the-dispatchers-own-events) that were lost since it was made:
    /// too much happened at once, or the bus took none.
    pub fn own_events_lost(&self) -> u64 {
        self.0.notices.lost()
    }

    /// The batches of all hooks since the dispatcher was made.
    pub fn batch_stats(&self) -> BatchStats {
        self.0.batches.lock().clone()
    }
}

impl Inner {
    fn is_open(&self) -> Result<(), DispatchError> {
        if self.slots.lock().shut_down { Err(DispatchError::ShutDown) } else { Ok(()) }
    }

    fn slot(&self, id: &HookId) -> Result<Arc<Slot>, DispatchError> {
        self.slots.lock().by_id.get(id).cloned().ok_or_else(|| DispatchError::UnknownHook(id.clone()))
    }

    fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.lock().by_id.values().cloned().collect()
    }

    fn all_of(&self, tenant: &TenantId) -> Vec<Arc<Slot>> {
        let slots = self.slots.lock();
        let names = slots.by_tenant.get(tenant).into_iter().flatten();
        names.filter_map(|name| slots.by_id.get(name)).cloned().collect()
    }

    fn status(&self) -> Vec<HookStatus> {
        self.all().iter().map(|slot| HookStatus::of(slot, self.bus.monitor().lag(&slot.hook.id))).collect()
    }

    /// Sends the mode to all workers, also to those of hooks that are being changed.
    fn send_to_all(&self, mode: Mode) {
        let mut slots = self.slots.lock();
        slots.mode = slots.mode.max(mode);
        slots.by_id.values().for_each(|slot| slot.stop.send(mode));
    }

    fn context(
        &self,
        hook: Arc<Hook>,
        endpoint: Arc<SharedEndpoint>,
        settler: Settler,
        resends: Arc<ResendQueue>,
    ) -> HookContext {
        let durable = self.bus.traits().outlives_process;
        HookContext {
            bus: self.bus.clone(),
            dead_letters: self.bus.hooks().dead_letters(&hook.id),
            hook,
            endpoint,
            settler,
            resends,
            shared: self.shared.clone(),
            batches: self.batches.clone(),
            notices: self.notices.clone(),
            last: self.last.load(Ordering::Relaxed) || !durable,
            durable,
            log: self.bus.log_id(),
        }
    }

    /// Starts a worker. Nothing here waits, so a change that came this far is complete.
    fn start(&self, start: WorkerStart, parked: Parked) {
        let WorkerStart { hook, enabled, endpoint, ledger, settler, overridden } = start;
        if let Some(disabled) = overridden.get() {
            endpoint.state.lock().disable(disabled.reason);
        }
        let (hook, endpoint) = (Arc::new(hook), Arc::new(endpoint));
        let (stop, resends) = (StopSignal::default(), Arc::<ResendQueue>::default());
        self.start_notices(&hook);
        let context = self.context(hook.clone(), endpoint.clone(), settler.clone(), resends.clone());
        let dead_letters = context.dead_letters.clone();
        let work = if enabled {
            let subscription = subscription(&hook, &ledger);
            // Boxed, because a future keeps what it was called with twice, and idle hooks are many. Tokio rounds the
            // memory of a task up to a multiple of 128 bytes.
            let worker = Box::new(Worker { subscription, context, stop: stop.clone() });
            let (parked, overridden) = (Box::new(parked), overridden.clone());
            Work::Running(tokio::spawn(Box::pin(async move {
                let parked = worker.run(parked).await;
                Box::pin(worker_ended(&worker, &overridden)).await;
                parked
            })))
        } else {
            resends.close();
            Work::Parked(Some(Box::new(parked)))
        };
        let work = Mutex::new(work);
        let slot = Slot { hook, ledger, endpoint, settler, resends, dead_letters, overridden, stop, work };
        let changed = slot.hook.id.clone();
        let before = self.slots.lock().insert(slot);
        self.notices.watchers().changed(&changed);
        before.iter().for_each(|before| self.notices.hook_removed(&before.hook));
    }

    /// Starts publishing events about endpoints when the first hook that receives them is added.
    fn start_notices(&self, hook: &Hook) {
        if self.notices.hook_added(hook)
            && let Some(outbox) = self.outbox.lock().take()
        {
            tokio::spawn(outbox.publish(self.bus.clone()));
        }
    }
}

impl Slots {
    /// Inserts a slot and returns the one that it replaces.
    fn insert(&mut self, slot: Slot) -> Option<Arc<Slot>> {
        slot.stop.send(self.mode);
        let before = self.remove(&slot.hook.id);
        if let Some(tenant) = slot.hook.tenant() {
            self.by_tenant.entry(tenant.clone()).or_default().insert(slot.hook.id.clone());
        }
        self.by_id.insert(slot.hook.id.clone(), Arc::new(slot));
        before
    }

    fn remove(&mut self, id: &HookId) -> Option<Arc<Slot>> {
        let slot = self.by_id.remove(id)?;
        if let Some(tenant) = slot.hook.tenant()
            && let Some(hooks) = self.by_tenant.get_mut(tenant)
        {
            hooks.remove(id);
            if hooks.is_empty() {
                self.by_tenant.remove(tenant);
            }
        }
        Some(slot)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.0.slots.lock().shut_down = true;
        self.0.send_to_all(Mode::Park);
        self.0.notices.watchers().close();
        self.0.following.lock().iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").field("hooks", &self.0.slots.lock().by_id.keys()).finish_non_exhaustive()
    }
}
