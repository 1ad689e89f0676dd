//! Joins a bus and hooks: one worker per hook.

mod disabled;
mod error;
mod heed;
mod replay;
mod report;
mod slot;
mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, watch};

pub use disabled::{Disabled, DisabledBy};
pub use error::{DispatchError, ReplayError, TestError};
pub use report::{HookStatus, ReplayReport, Report, TestReport};

use crate::bus::{Bus, BusError, Settler, Subscription};
use crate::hook::Hook;
use crate::id::HookId;
use crate::ledger::{Counts, DropReason, Ledger, Outcome};
use crate::notices::{Notices, Outbox};
use crate::sink::Shared;
use crate::stats::BatchStats;
use crate::worker::{Link, Mode, Orders, Parked, Replays, SharedEndpoint, Worker};
use disabled::Note;
use slot::{End, Slot, Start, Work};

/// Delivers the events of a bus to hooks, until it is shut down.
///
/// Hooks can be added, replaced and removed at any time. Dropping the dispatcher without
/// [`shutdown`](Self::shutdown) stops all workers; what they had in hand is not settled, and the hooks stay
/// subscribed: a bus that is used on keeps events for them, within their limits.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use hooks_bus::MemoryBus;
/// use hooks_core::{async_trait, Batch, Bus, Delivered, DeliveryError, Dispatcher, Envelope, Filter, Hook, Sink};
/// # use hooks_core::{BoxError, SinkContext, SinkFactory};
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
/// bus.publish(&[Envelope::from_json(br#"{"type":"invoice.paid","data":{"number":7}}"#)?]).await?;
///
/// let report = dispatcher.shutdown(None).await;
/// assert_eq!(report.hooks[0].counts.delivered, 1);
/// # Ok::<(), BoxError>(()) }).unwrap();
/// ```
pub struct Dispatcher {
    bus: Arc<dyn Bus>,
    shared: Arc<Shared>,
    /// For reading: short, never across an await.
    slots: SyncMutex<BTreeMap<HookId, Arc<Slot>>>,
    /// Adding, replacing and removing take turns.
    changing: Mutex<Phase>,
    batches: Arc<SyncMutex<BatchStats>>,
    notices: Notices,
    last: bool,
    /// Until the first hook that wants to hear comes.
    outbox: SyncMutex<Option<Outbox>>,
    /// Counts workers that ended because their receiver wants nothing any more.
    disabled: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    ShutDown,
}

impl Dispatcher {
    /// Delivers the events of this bus.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        let (notices, outbox) = Notices::new();
        Self {
            bus,
            batches: Arc::default(),
            notices,
            last: false,
            outbox: SyncMutex::new(Some(outbox)),
            shared: Arc::default(),
            slots: SyncMutex::default(),
            changing: Mutex::new(Phase::Running),
            disabled: watch::Sender::new(0),
        }
    }

    /// For a run that has an end, after which nobody delivers what is left: once there is nothing else to do,
    /// events that a receiver refuses together with everything else count as refused. Otherwise, on a bus that
    /// outlives the process, a shutdown leaves them for the next run.
    #[must_use]
    pub fn with_an_end(mut self) -> Self {
        self.last = true;
        self
    }

    /// Adds a hook: it receives what is published from now on, and on a bus that remembers it what it
    /// has not settled. Needs a tokio runtime with time enabled.
    ///
    /// # Errors
    /// When there is one of this name, something is wrong with its settings or its sink's (all of it is said), or
    /// the bus refuses.
    pub async fn add(&self, hook: Hook) -> Result<(), DispatchError> {
        let _turn = self.turn().await?;
        validate(&hook)?;
        if self.slot(&hook.id).is_ok() {
            return Err(DispatchError::Duplicate(hook.id));
        }
        let ledger = Arc::new(Ledger::default());
        let subscription = subscription(&hook, &ledger);
        let (mut reader, settler) = self.bus.subscribe(subscription).await.map_err(refused(&hook.id))?;
        let note = Note::read(&*self.bus, &hook).await;
        let enabled = hook.enabled && note.get().is_none();
        reader.set_enabled(enabled);
        let endpoint = SharedEndpoint::new(&hook, enabled);
        if let Some(note) = note.get() {
            endpoint.state.lock().disable(note.reason);
        }
        self.start(Start { hook, enabled, endpoint, ledger, settler, note }, Parked::new(reader));
        Ok(())
    }

    /// Changes a hook that is there. Its position and what it has in hand stay. The attempt in flight
    /// ends; its events are delivered again under the new settings, and the new filter applies to every
    /// event that is not in a frozen batch. When this returns, the old settings are out of use.
    ///
    /// # Cancel safety
    /// A dropped call may leave the hook stopped; call again.
    ///
    /// # Errors
    /// When there is none of this name, or something is wrong with the settings; nothing has changed then.
    pub async fn replace(&self, hook: Hook) -> Result<(), DispatchError> {
        let _turn = self.turn().await?;
        self.change(hook).await
    }

    /// The turn is the caller's.
    async fn change(&self, hook: Hook) -> Result<(), DispatchError> {
        validate(&hook)?;
        let slot = self.slot(&hook.id)?;
        let mut parked = self.park(&slot).await.map_err(refused(&hook.id))?;
        let subscription = subscription(&hook, &slot.ledger);
        let filtered = parked.carry.refilter(&subscription.filter);
        slot.settler.settle(&filtered, Outcome::Dropped(DropReason::Filtered));
        parked.reader.reconfigure(subscription.clone());
        let note = slot.note.clone();
        note.review(&*self.bus, &hook).await;
        let enabled = hook.enabled && note.get().is_none();
        if enabled {
            parked.reader.set_enabled(true);
        } else {
            parked = parked.put_back(&*self.bus, subscription).await;
        }
        let endpoint = slot.endpoint.successor(&hook, enabled);
        let (ledger, settler) = (slot.ledger.clone(), slot.settler.clone());
        self.start(Start { hook, enabled, endpoint, ledger, settler, note }, parked);
        Ok(())
    }

    /// Enables or disables a hook. A disabled hook keeps its events and delivers none; it stays disabled
    /// when it is replaced, and on a bus that notes it also when the process starts again. Enabling one
    /// that its receiver disabled tries again.
    ///
    /// # Errors
    /// As for [`replace`](Self::replace).
    pub async fn set_enabled(&self, id: &HookId, enabled: bool) -> Result<(), DispatchError> {
        let _turn = self.turn().await?;
        let slot = self.slot(id)?;
        if enabled {
            let is_enabled = slot.is_enabled();
            slot.note.enable(&*self.bus, id).await;
            if is_enabled {
                return Ok(());
            }
            return self.change(Hook { enabled, ..(*slot.hook).clone() }).await;
        }
        slot.note.disable(&*self.bus, &slot.hook, DisabledBy::Operator, None).await;
        self.change((*slot.hook).clone()).await
    }

    /// Removes a hook, and returns its final books. What it had in memory counts as dropped.
    ///
    /// # Errors
    /// When there is none of this name, or the bus can't be reached.
    pub async fn remove(&self, id: &HookId) -> Result<Counts, DispatchError> {
        let _turn = self.turn().await?;
        let slot = self.slot(id)?;
        slot.stop().await;
        self.bus.unsubscribe(id).await.map_err(refused(id))?;
        self.slots.lock().remove(id);
        self.notices.hook_goes(&slot.hook);
        Ok(slot.ledger.counts())
    }

    /// What is known of one hook, if it is here.
    pub fn hook_status(&self, id: &HookId) -> Option<HookStatus> {
        let slot = self.slot(id).ok()?;
        Some(slot.status(self.bus.lag(id)))
    }

    /// What is known of every hook, by name.
    pub fn status(&self) -> Vec<HookStatus> {
        let slots: Vec<_> = self.slots.lock().values().cloned().collect();
        slots.iter().map(|slot| slot.status(self.bus.lag(&slot.hook.id))).collect()
    }

    /// The batches of all hooks since the dispatcher was made.
    pub fn batch_stats(&self) -> BatchStats {
        self.batches.lock().clone()
    }

    /// Waits until a hook is disabled by its receiver, and says which. Hooks that already are count.
    pub async fn disabled(&self) -> HookId {
        let mut changes = self.disabled.subscribe();
        loop {
            let slots: Vec<_> = self.slots.lock().values().cloned().collect();
            if let Some(slot) = slots.iter().find(|slot| slot.is_gone()) {
                return slot.hook.id.clone();
            }
            // The sender lives as long as self.
            let _ = changes.changed().await;
        }
    }

    /// Closes the bus, delivers everything that was accepted, for as long as `grace` allows (`None`: as
    /// long as it takes), and says what was delivered and what was left behind. All hooks drain in
    /// parallel; a hook disabled by its receiver leaves its events behind at once.
    ///
    /// # Cancel safety
    /// A dropped call leaves the workers draining; calling again goes on.
    pub async fn shutdown(&self, grace: Option<Duration>) -> Report {
        *self.changing.lock().await = Phase::ShutDown;
        self.bus.close().await;
        let slots: Vec<_> = self.slots.lock().values().cloned().collect();
        for slot in &slots {
            slot.orders.give(Mode::Drain);
        }
        // The workers run by themselves, so waiting for one after the other loses no time.
        let drained = async {
            for slot in &slots {
                slot.ended().await;
            }
        };
        match grace {
            // Whether it was long enough shows in the report.
            Some(grace) => drop(tokio::time::timeout(grace, drained).await),
            None => drained.await,
        }
        for slot in &slots {
            slot.orders.give(Mode::Park);
        }
        for slot in &slots {
            slot.ended().await;
        }
        self.bus.finish().await;
        Report { hooks: self.status() }
    }

    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, Phase>, DispatchError> {
        let phase = self.changing.lock().await;
        if *phase == Phase::ShutDown { Err(DispatchError::ShutDown) } else { Ok(phase) }
    }

    fn slot(&self, id: &HookId) -> Result<Arc<Slot>, DispatchError> {
        self.slots.lock().get(id).cloned().ok_or_else(|| DispatchError::UnknownHook(id.clone()))
    }

    fn link(&self, hook: Arc<Hook>, endpoint: Arc<SharedEndpoint>, settler: Settler, replays: Arc<Replays>) -> Link {
        let durable = settler.flush_first();
        Link {
            dead_letters: self.bus.dead_letters(&hook.id),
            hook,
            endpoint,
            settler,
            replays,
            shared: self.shared.clone(),
            batches: self.batches.clone(),
            notices: self.notices.clone(),
            last: self.last || !durable,
            log: self.bus.log_id(),
        }
    }

    /// Stops a hook's worker and takes over what it had in hand.
    async fn park(&self, slot: &Slot) -> Result<Parked, BusError> {
        slot.stop().await;
        let mut work = slot.work.lock().await;
        if let Work::Parked(parked @ Some(_)) = &mut *work
            && let Some(parked) = parked.take()
        {
            return Ok(parked);
        }
        // The worker ended badly; the bus delivers again what it had in hand.
        let (reader, _) = self.bus.subscribe(subscription(&slot.hook, &slot.ledger)).await?;
        Ok(Parked::new(reader))
    }

    /// Starts a worker. Nothing here waits, so a change that came this far is complete.
    fn start(&self, start: Start, parked: Parked) {
        let Start { hook, enabled, endpoint, ledger, settler, note } = start;
        let (hook, endpoint) = (Arc::new(hook), Arc::new(endpoint));
        let (orders, replays) = (Orders::default(), Arc::<Replays>::default());
        self.introduce(&hook);
        let work = if enabled {
            let link = self.link(hook.clone(), endpoint.clone(), settler.clone(), replays.clone());
            let (bus, subscription) = (self.bus.clone(), subscription(&hook, &ledger));
            let worker = Worker { bus, subscription, link, orders: orders.clone() };
            // Boxed, because a future that is awaited is kept twice, and idle hooks are many.
            let run = Box::pin(Box::new(worker).run(parked));
            let end = End {
                bus: self.bus.clone(),
                hook: hook.clone(),
                endpoint: endpoint.clone(),
                replays: replays.clone(),
                note: note.clone(),
                disabled: self.disabled.clone(),
            };
            Work::Running(tokio::spawn(async move {
                let parked = run.await;
                Box::pin(end.ended()).await;
                parked
            }))
        } else {
            replays.close();
            Work::Parked(Some(parked))
        };
        let dead_letters = self.bus.dead_letters(&hook.id);
        let work = Mutex::new(work);
        let slot = Slot { hook: hook.clone(), ledger, endpoint, settler, replays, dead_letters, note, orders, work };
        let before = self.slots.lock().insert(hook.id.clone(), Arc::new(slot));
        before.iter().for_each(|before| self.notices.hook_goes(&before.hook));
    }

    /// A hook may want to hear of the others.
    fn introduce(&self, hook: &Hook) {
        if self.notices.hook_comes(hook)
            && let Some(outbox) = self.outbox.lock().take()
        {
            tokio::spawn(outbox.publish(self.bus.clone()));
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.slots.get_mut().values().for_each(|slot| slot.orders.give(Mode::Park));
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher").field("hooks", &self.slots.lock().keys()).finish_non_exhaustive()
    }
}

fn validate(hook: &Hook) -> Result<(), DispatchError> {
    let kind = hook.sink.kind();
    let of_sink = hook.sink.validate().into_iter().map(|problem| format!("sink `{kind}`: {problem}"));
    let own = hook.problems().into_iter().map(|(path, message)| format!("{path}: {message}"));
    let problems: Vec<String> = of_sink.chain(own).collect();
    if problems.is_empty() { Ok(()) } else { Err(DispatchError::Invalid { hook: hook.id.clone(), problems }) }
}

fn subscription(hook: &Hook, ledger: &Arc<Ledger>) -> Subscription {
    Subscription {
        hook: hook.id.clone(),
        filter: hook.filter.clone(),
        queue: hook.queue,
        ledger: ledger.clone(),
        from: hook.from,
    }
}

fn refused(hook: &HookId) -> impl Fn(BusError) -> DispatchError {
    move |error| DispatchError::Bus { hook: hook.clone(), error }
}
