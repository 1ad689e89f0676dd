//! A bus in memory that outlives its processes and is shared by them, and that can be wrong in many ways.
//!
//! It does what the contract of a [`Bus`] says in as few words as possible, and forgets nothing. A test of something else
//! takes [`ModelBus::alone`]; one of the conformance kit takes a [`Model`] with a [`Fault`].

mod dead_letters;
mod fault;
mod hook_store;
mod past;
mod publishing;
mod reader;
mod seek;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hooks_core::conformance::bus::Store;
use hooks_core::{
    BoxError, Bus, BusError, Envelope, Filter, HookId, Lag, Ledger, Override, QueueLimits, Slice, StartAt, async_trait,
    bus::{
        BusMonitor, BusStats, BusTraits, Definition, HookStore, Past, Published, Reader, Settler, Subscription,
        refuse_reserved,
    },
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use uuid::Uuid;

use dead_letters::DeadLetterMap;
use hook_store::KeepsNothing;
use reader::{Hook, ModelReader};

pub use fault::Fault;

/// The length of an event that is too large for a bus that outlives its process.
pub(crate) const TOO_LARGE: usize = 100_000;

/// Where the buses of all processes keep what they have.
#[derive(Clone)]
pub struct Model {
    fault: Fault,
    traits: BusTraits,
    world: Arc<World>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) state: Mutex<State>,
    pub(crate) changed: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    log_id: Uuid,
    pub(crate) log: Vec<Envelope>,
    pub(crate) places: BTreeMap<HookId, Place>,
    overrides: BTreeMap<HookId, Override>,
    failing: BTreeMap<HookId, std::time::SystemTime>,
    definitions: BTreeMap<HookId, Definition>,
    /// The last one that there was.
    revision: u64,
    pub(crate) dead_letters: BTreeMap<HookId, DeadLetterMap>,
    /// Those that are alive.
    pub(crate) processes: BTreeMap<u64, Process>,
    opened: u64,
}

/// How far a hook is.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) from: u64,
    /// Settled beyond that.
    pub(crate) settled: BTreeSet<u64>,
    pub(crate) owner: Option<u64>,
    /// Where a crash brings it back to, wrongly.
    before_it_moved: Option<u64>,
}

impl Place {
    fn lose_move(&mut self) {
        self.from = self.before_it_moved.take().unwrap_or(self.from);
    }
}

/// The state of a process.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) hooks: BTreeMap<HookId, Live>,
    pub(crate) closed: Option<u64>,
    pub(crate) accepted: u64,
    /// Hooks whose override others have set.
    words: Vec<HookId>,
    /// Hooks that others have defined or undefined.
    defined: BTreeSet<HookId>,
}

/// A hook that is subscribed.
pub(crate) struct Live {
    pub(crate) filter: Arc<Filter>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) queue: QueueLimits,
    pub(crate) enabled: bool,
    pub(crate) reader: u64,
    pub(crate) next: u64,
    /// The events read from the oldest unsettled on.
    pub(crate) read: BTreeSet<u64>,
    pub(crate) unsettled: BTreeSet<u64>,
    /// A publisher waits.
    pub(crate) wanted: bool,
}

impl Model {
    /// An empty store whose buses have this fault.
    pub fn new(fault: Fault) -> Self {
        let traits = BusTraits::new().outlives_process().keeps_events().atomic();
        let traits = if fault.is_of_a_single_process() { traits } else { traits.shared() };
        let world = Arc::new(World::default());
        world.state.lock().log_id = hooks_core::uuid_v7();
        Self { fault, traits, world }
    }

    fn bus(&self, number: u64) -> ModelBus {
        self.world.state.lock().processes.insert(number, Process::default());
        ModelBus { fault: self.fault, traits: self.traits, number, world: self.world.clone() }
    }
}

#[async_trait]
impl Store for Model {
    fn traits(&self) -> BusTraits {
        self.traits
    }

    async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
        let mut state = self.world.state.lock();
        if !self.traits.shared && !state.processes.is_empty() && self.fault != Fault::OpensTwice {
            return Err("another process has the log".into());
        }
        match self.fault {
            Fault::NewLogId => state.log_id = hooks_core::uuid_v7(),
            Fault::OverridesInMemory => state.overrides.clear(),
            Fault::FailingInMemory => state.failing.clear(),
            Fault::DefinitionsInMemory => state.definitions.clear(),
            Fault::ForgetsOutOfOrder => state.places.values_mut().for_each(|place| place.settled.clear()),
            _ => {}
        }
        state.opened += 1;
        let number = state.opened;
        drop(state);
        Ok(Arc::new(self.bus(number)))
    }

    async fn crash(&self, bus: Arc<dyn Bus>) {
        let mut state = self.world.state.lock();
        let end = state.log.len() as u64;
        let number = state.processes.keys().next().copied().unwrap_or_default();
        match self.fault {
            Fault::LosesAtCrash => state.places.values_mut().for_each(|place| place.from = end),
            Fault::MovesInMemory => state.places.values_mut().for_each(Place::lose_move),
            // The end of the process is never noticed.
            Fault::OwnerForEver => drop(state.processes.remove(&number)),
            _ => {}
        }
        drop(state);
        drop(bus);
    }

    fn max_dead_letters(&self) -> Option<usize> {
        Some(dead_letters::MOST)
    }

    fn too_large(&self) -> Option<usize> {
        Some(TOO_LARGE)
    }
}

/// The bus of one process.
pub struct ModelBus {
    fault: Fault,
    traits: BusTraits,
    pub(crate) number: u64,
    pub(crate) world: Arc<World>,
}

impl Drop for ModelBus {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Default for ModelBus {
    fn default() -> Self {
        Self::alone()
    }
}

impl ModelBus {
    /// A bus that ends with its process, and keeps nothing of hooks that are removed.
    pub fn alone() -> Self {
        Model { traits: BusTraits::new().keeps_events().atomic(), ..Model::new(Fault::None) }.bus(1)
    }

    /// A bus that outlives its process, which is the only one.
    pub fn lasting() -> Self {
        Model::new(Fault::Single).bus(1)
    }

    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.world.state.lock()
    }

    /// The process has no hooks any more.
    fn leave(&self) {
        let mut state = self.lock();
        let end = state.log.len() as u64;
        if state.processes.remove(&self.number).is_some() {
            for place in state.places.values_mut().filter(|place| place.owner == Some(self.number)) {
                place.owner = None;
                if self.is(Fault::TakesOverAtTheEnd) {
                    place.from = end;
                }
            }
        }
        drop(state);
        self.world.changed.notify_waiters();
    }
}

#[async_trait]
impl Bus for ModelBus {
    fn log_id(&self) -> Uuid {
        self.lock().log_id
    }

    fn traits(&self) -> BusTraits {
        if self.is(Fault::DeniesOutliving) { BusTraits::new().keeps_events().atomic() } else { self.traits }
    }

    async fn publish(&self, events: Slice) -> Result<Published, BusError> {
        if let Some(result) = self.publish_wrongly(&events).await {
            return result;
        }
        refuse_reserved(&events)?;
        let is_too_large = |event: &&Envelope| self.traits.outlives_process && event.len() >= TOO_LARGE;
        if let Some(event) = events.iter().find(is_too_large) {
            return Err(BusError::TooLarge(event.id().to_owned()));
        }
        self.room_for(&events).await;
        self.append(&events)
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        let Subscription { hook, filter, queue, ledger, from, .. } = subscription;
        let mut state = self.lock();
        let end = state.log.len() as u64;
        let now = std::time::SystemTime::now();
        // It keeps no times: whatever lies in the past is everything.
        let is_past = from == StartAt::Earliest || from.since(now).is_some_and(|since| since < now);
        let begin = if is_past && !self.is(Fault::AlwaysAtTheEnd) { 0 } else { end };
        let place = state.places.entry(hook.clone()).or_insert(Place { from: begin, ..Place::default() });
        if self.is(Fault::BeginsAnew) && from == StartAt::Earliest {
            place.from = 0;
        }
        if self.is(Fault::RedeliversSettled) {
            place.settled.clear();
        }
        let next = place.from;
        let process = state.processes.get_mut(&self.number).ok_or(BusError::Closed)?;
        let before = process.hooks.remove(&hook);
        let (reader, read_to) = before.as_ref().map_or((0, 0), |before| (before.reader, before.next));
        if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.ledger, &ledger)) {
            ledger.hand_over(before.unsettled.len());
        }
        let next = if self.is(Fault::SkipsUnsettled) { next.max(read_to) } else { next };
        let reader = reader + 1;
        let (read, unsettled) = Default::default();
        let live =
            Live { filter, ledger: ledger.clone(), queue, enabled: true, reader, next, read, unsettled, wanted: false };
        process.hooks.insert(hook.clone(), live);
        drop(state);
        self.world.changed.notify_waiters();
        let hook = Hook { fault: self.fault, process: self.number, id: hook, world: self.world.clone() };
        let settler = Settler::new(Arc::new(hook.clone()), ledger);
        Ok((Box::new(ModelReader { hook, number: reader, closed: None }), settler))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        let mut state = self.lock();
        let end = state.log.len() as u64;
        let live = state.processes.get_mut(&self.number).and_then(|process| process.hooks.remove(hook));
        if let Some(live) = live.filter(|_| !self.is(Fault::LeavesItInFlight)) {
            live.ledger.hand_over(live.unsettled.len());
        }
        if let Some(place) = state.places.get_mut(hook).filter(|place| place.owner == Some(self.number)) {
            place.owner = None;
            if self.is(Fault::UnsubscribeSettles) {
                place.from = end;
            }
        }
        if !self.traits.outlives_process {
            state.places.remove(hook);
        }
        drop(state);
        self.world.changed.notify_waiters();
        Ok(())
    }

    async fn close(&self) {
        let mut state = self.lock();
        let end = state.log.len() as u64;
        if let Some(process) = state.processes.get_mut(&self.number) {
            process.closed.get_or_insert(end);
            if self.is(Fault::LosesAtClose) {
                process.hooks.values_mut().for_each(|live| live.next = end);
            }
        }
        drop(state);
        self.world.changed.notify_waiters();
    }

    async fn finish(&self) {
        self.leave();
    }

    fn hooks(&self) -> &dyn HookStore {
        if self.traits.outlives_process { self } else { &KeepsNothing }
    }

    fn monitor(&self) -> &dyn BusMonitor {
        self
    }

    fn past(&self) -> Option<&dyn Past> {
        Some(self)
    }
}

impl BusMonitor for ModelBus {
    fn lag(&self, hook: &HookId) -> Option<Lag> {
        let state = self.lock();
        let live = state.processes.get(&self.number)?.hooks.get(hook)?;
        let in_flight =
            live.unsettled.iter().filter(|_| !self.is(Fault::LagOfUnread)).map(|at| &state.log[*at as usize]);
        let all = state.log.iter().skip(live.next as usize).filter(|_| self.is(Fault::LagOfAll));
        let unread = live.unread(&state.log).filter(|_| !self.is(Fault::LagOfAll)).map(|(_, event)| event);
        let events: Vec<&Envelope> = in_flight.chain(all).chain(unread).collect();
        let bytes = events.iter().map(|event| event.len() as u64).sum();
        Some(Lag { events: events.len() as u64, bytes, oldest: Some(std::time::UNIX_EPOCH), exact: true })
    }

    fn stats(&self) -> BusStats {
        let accepted = self.lock().processes.get(&self.number).map_or(0, |process| process.accepted);
        let stats = BusStats::accepted(accepted);
        if self.is(Fault::CountsNoDuplicates) { stats.duplicates(0) } else { stats }
    }
}
