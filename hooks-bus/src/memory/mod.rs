//! Events in this process: queued per hook, each held once and shared.

mod queue;
mod subscriber;

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use hooks_core::{
    BlockGuard, Bus, BusConfig, BusError, BusMonitor, BusStats, BusTraits, ByteSize, ConfigProblem, Envelope, HookId,
    Lag, OpenBusError, OpenedBus, Purpose, Reader, Settler, Slice, Subscription, refuse_reserved, uuid_v7,
};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::buffer::budget::{Amount, Budget, Reservation};
use crate::buffer::published::{Published, Run};
use crate::index::{Index, Slot};
use crate::routing::{Recipient, Routing};
use subscriber::{MemoryReader, Subscriber};

/// Keeps events in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// Most bytes of events that this process holds, for all hooks together. At the limit the hook that
    /// holds most gives way by its own overflow policy.
    pub max_memory: ByteSize,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { max_memory: ByteSize(256 << 20) }
    }
}

#[async_trait]
impl BusConfig for MemoryConfig {
    const KIND: &'static str = "memory";
    const TRAITS: BusTraits = BusTraits::new().atomic();

    async fn open(&self, _purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
        Ok(OpenedBus::new(Arc::new(MemoryBus::new(self))))
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        no_memory(self.max_memory).into_iter().collect()
    }

    fn max_memory(&self) -> Option<(&'static str, ByteSize)> {
        Some(("max_memory", self.max_memory))
    }
}

/// The problem of a process that may hold no event.
pub(crate) fn no_memory(max_memory: ByteSize) -> Option<ConfigProblem> {
    (max_memory.0 == 0).then(|| ConfigProblem::new("max_memory", "0 bytes hold no event: set at least 1"))
}

/// The bus that keeps events in this process.
///
/// Accepted means queued for every hook whose filter matches. [`QueueLimits`](hooks_core::QueueLimits) bound each
/// hook's queue, and [`MemoryConfig::max_memory`] bounds all of them together. Hooks share an event, so it counts
/// once.
///
/// The bus accepts a slice with more events or bytes than a blocking hook may hold piece by piece: if the call is
/// dropped or the bus closed, it may have published the first pieces. It accepts any other slice as a whole or not
/// at all.
#[derive(Debug, Clone)]
pub struct MemoryBus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Uuid,
    memory: Arc<Budget>,
    index: RwLock<Index<Arc<Subscriber>>>,
    hooks: Mutex<HashMap<HookId, (Slot, Arc<Subscriber>)>>,
    /// Position of the next event. Locked while events are dispatched, so that all hooks see one order.
    next: Mutex<u64>,
    closed: AtomicBool,
    closing: watch::Sender<bool>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(&MemoryConfig::default())
    }
}

impl MemoryBus {
    /// Makes an empty bus.
    pub fn new(config: &MemoryConfig) -> Self {
        let limit = Amount { events: usize::MAX, bytes: config.max_memory.get() };
        Self(Arc::new(Inner {
            log: uuid_v7(),
            memory: Budget::new(limit),
            index: RwLock::new(Index::new()),
            hooks: Mutex::default(),
            next: Mutex::new(0),
            closed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
        }))
    }

    /// Bytes of memory in use for queued and unsettled events, blocks counted once and whole.
    pub fn memory_used(&self) -> usize {
        self.0.memory.used().bytes
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn log_id(&self) -> Uuid {
        self.0.log
    }

    fn traits(&self) -> BusTraits {
        MemoryConfig::TRAITS
    }

    async fn publish(&self, slice: Slice) -> Result<(), BusError> {
        refuse_reserved(&slice)?;
        if slice.is_empty() {
            return if self.0.is_closed() { Err(BusError::Closed) } else { Ok(()) };
        }
        let mut rest = slice;
        let mut ahead = rest.len();
        while !rest.is_empty() {
            let next = rest.part(0..ahead.min(rest.len()));
            let routing = Routing::new(&self.0.index.read(), &next);
            let count = piece(&routing, &next);
            let routing = if count == next.len() { Some(routing) } else { None };
            self.0.publish(rest.split_to(count), routing).await?;
            // Routing the whole rest for each piece would take quadratic time.
            ahead = count.saturating_mul(2);
        }
        Ok(())
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        if self.0.is_closed() && !self.0.hooks.lock().contains_key(&subscription.hook) {
            return Err(BusError::Closed);
        }
        let ledger = subscription.ledger.clone();
        let subscriber = self.0.subscriber(&subscription);
        let number = subscriber.take_over(&ledger);
        let reader = MemoryReader { bus: self.0.clone(), subscriber: subscriber.clone(), number, closed: false };
        Ok((Box::new(reader), Settler::new(subscriber, ledger)))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        if let Some((slot, subscriber)) = self.0.hooks.lock().remove(hook) {
            self.0.index.write().remove(slot);
            subscriber.remove();
        }
        Ok(())
    }

    async fn close(&self) {
        {
            let _order = self.0.next.lock();
            self.0.closed.store(true, Ordering::Release);
        }
        self.0.closing.send_replace(true);
        self.0.index.read().values().for_each(|subscriber| subscriber.wake());
    }

    fn monitor(&self) -> &dyn BusMonitor {
        self
    }
}

impl BusMonitor for MemoryBus {
    fn lag(&self, hook: &HookId) -> Option<Lag> {
        let subscriber = self.0.hooks.lock().get(hook).map(|(_, subscriber)| subscriber.clone())?;
        Some(subscriber.lag())
    }

    fn stats(&self) -> BusStats {
        BusStats::accepted(*self.0.next.lock())
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn subscriber(&self, subscription: &Subscription) -> Arc<Subscriber> {
        let mut hooks = self.hooks.lock();
        if let Some((_, subscriber)) = hooks.get(&subscription.hook).cloned() {
            drop(hooks);
            self.reroute(subscription);
            subscriber.reconfigure(subscription);
            return subscriber;
        }
        let subscriber = Arc::new(Subscriber::new(subscription));
        let slot = self.index.write().insert(subscription.filter.clone(), subscriber.clone());
        hooks.insert(subscription.hook.clone(), (slot, subscriber.clone()));
        subscriber
    }

    /// Routes events to a hook by another filter.
    fn reroute(&self, subscription: &Subscription) {
        if let Some((slot, subscriber)) = self.hooks.lock().get_mut(&subscription.hook) {
            let mut index = self.index.write();
            index.remove(*slot);
            *slot = index.insert(subscription.filter.clone(), subscriber.clone());
        }
    }

    /// Publishes a slice as a whole, once there is room for it everywhere.
    async fn publish(&self, slice: Slice, routing: Option<Routing<Subscriber>>) -> Result<(), BusError> {
        let mut closing = self.closing.subscribe();
        let mut ready = routing;
        loop {
            let routing = ready.take().unwrap_or_else(|| Routing::new(&self.index.read(), &slice));
            let reservations = tokio::select! {
                biased;
                reservations = self.reserve(&routing, &slice) => reservations,
                _ = closing.wait_for(|closing| *closing) => return Err(BusError::Closed),
            };
            let mut next = self.next.lock();
            if self.is_closed() {
                return Err(BusError::Closed);
            }
            // If a subscription changed the recipients while this call waited, start again with the current
            // ones. The lock on the index keeps them from changing until the events are dispatched.
            let index = self.index.read();
            if index.version() != routing.version && !Routing::new(&index, &slice).has_recipients_of(&routing) {
                continue;
            }
            match reservations {
                Some((reservations, memory)) => dispatch(&mut next, slice, routing, reservations, memory),
                None => routing
                    .recipients
                    .iter()
                    .for_each(|recipient| recipient.subscriber.drop_incoming(recipient.size.events)),
            }
            return Ok(());
        }
    }

    /// Reserves room in the queue of every blocking hook, always in the order of slots, then memory. `None`
    /// without memory and without a blocking hook.
    async fn reserve(
        &self,
        routing: &Routing<Subscriber>,
        slice: &Slice,
    ) -> Option<(Vec<Option<Reservation>>, Option<BlockGuard>)> {
        let mut reservations = Vec::with_capacity(routing.recipients.len());
        for recipient in &routing.recipients {
            reservations.push(if recipient.subscriber.blocks() { Some(reserve_queue(recipient).await) } else { None });
        }
        let must_wait = reservations.iter().any(Option::is_some);
        let memory =
            if routing.recipients.is_empty() { None } else { Some(self.reserve_memory(slice, must_wait).await?) };
        Some((reservations, memory))
    }

    /// Reserves the slice's memory. `None` if that takes waiting and the call must not wait.
    async fn reserve_memory(&self, slice: &Slice, must_wait: bool) -> Option<BlockGuard> {
        if let Some(claimed) = slice.guard() {
            return Some(claimed);
        }
        let need = Amount::bytes(slice.memory());
        let reservation = match self.memory.try_reserve(need) {
            Some(reservation) => reservation,
            None => self.wait_for_memory(need, must_wait).await?,
        };
        Some(slice.guard_with(Arc::new(reservation)))
    }

    async fn wait_for_memory(&self, need: Amount, must_wait: bool) -> Option<Reservation> {
        let reservation = self.memory.reserve(need);
        tokio::pin!(reservation);
        // It waits from here on, so that `evict` sees it.
        if let Some(reservation) = at_once(&mut reservation).await {
            return Some(reservation);
        }
        if matches!(self.evict(), Eviction::None) && !must_wait {
            return at_once(reservation).await;
        }
        // Readers that wait for a batch to fill send it now.
        self.index.read().values().for_each(|subscriber| subscriber.request_flush());
        Some(reservation.await)
    }

    /// Evicts events for waiting publishers, after a change to a hook's policy.
    fn evict_for_waiters(&self) {
        if self.memory.has_waiters() {
            self.evict();
        }
    }

    /// Drops the oldest events of disabled hooks, then of those that hold most, until no publisher waits for memory.
    fn evict(&self) -> Eviction {
        let holders: Vec<Arc<Subscriber>> = self.index.read().values().cloned().collect();
        // Disabled hooks come first.
        let rank = |at: usize| (!holders[at].is_enabled(), holders[at].budget.used().bytes, at);
        let mut by_size: BinaryHeap<(bool, usize, usize)> =
            (0..holders.len()).map(rank).filter(|(_, bytes, _)| *bytes > 0).collect();
        while self.memory.has_waiters() {
            let Some((_, _, at)) = by_size.pop() else { return Eviction::None };
            if holders[at].blocks() {
                return Eviction::Blocked;
            }
            if holders[at].drop_oldest() {
                by_size.push(rank(at));
            }
        }
        Eviction::Done
    }
}

enum Eviction {
    /// No publisher waits.
    Done,
    /// The hook that holds most is a blocking one.
    Blocked,
    /// Only events in flight are left.
    None,
}

async fn reserve_queue(recipient: &Recipient<Subscriber>) -> Reservation {
    let budget = &recipient.subscriber.budget;
    if let Some(reservation) = budget.try_reserve(recipient.size) {
        return reservation;
    }
    let reservation = budget.reserve(recipient.size);
    tokio::pin!(reservation);
    if let Some(reservation) = at_once(&mut reservation).await {
        return reservation;
    }
    recipient.subscriber.request_flush();
    reservation.await
}

/// The output of a future that is ready.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

/// Queues the events for each recipient. The lock on `next` fixes the order of publishing.
fn dispatch(
    next: &mut u64,
    slice: Slice,
    routing: Routing<Subscriber>,
    reservations: Vec<Option<Reservation>>,
    memory: Option<BlockGuard>,
) {
    let first = *next;
    *next += slice.len() as u64;
    // No memory was reserved: there are no recipients.
    let Some(memory) = memory else { return };
    let published = Published::new(first, slice, SystemTime::now(), memory);
    for (recipient, reservation) in routing.recipients.into_iter().zip(reservations) {
        recipient.subscriber.push(Run::new(&published, recipient.picks), reservation, recipient.size);
    }
}

/// The number of events to publish together: as many as the smallest blocking recipient can hold.
fn piece(routing: &Routing<Subscriber>, events: &[Envelope]) -> usize {
    let limits = routing
        .recipients
        .iter()
        .filter(|recipient| recipient.subscriber.blocks())
        .map(|recipient| recipient.subscriber.budget.limit());
    let Some(limit) = limits.reduce(|a, b| Amount { events: a.events.min(b.events), bytes: a.bytes.min(b.bytes) })
    else {
        return events.len();
    };
    let mut bytes = 0;
    let fits = |event: &&Envelope| {
        bytes += event.len();
        bytes <= limit.bytes
    };
    events.iter().take(limit.events).take_while(fits).count().max(1)
}
