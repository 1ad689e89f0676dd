//! Events in this process: queued per hook, each held once and shared.

mod queue;
mod subscriber;

use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use hooks_core::{
    BlockGuard, Bus, BusError, BusStats, ByteSize, Envelope, HookId, Lag, Reader, Settler, Slice, Subscription,
    refuse_reserved,
};
use parking_lot::{Mutex, RwLock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::buffer::budget::{Amount, Budget, Reservation};
use crate::buffer::published::{Published, Run};
use crate::index::{Index, Slot};
use crate::routing::{Recipient, Routing};
use subscriber::{MemoryReader, Subscriber};

/// Settings of the memory bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The bus that keeps events in this process.
///
/// Accepted means queued for every hook whose filter matches. What a hook may hold is bounded by its
/// [`QueueLimits`](hooks_core::QueueLimits), and what all hold together by [`MemoryConfig::max_memory`];
/// an event that many hooks wait for is held, and counted, once.
///
/// A slice with more events or bytes than a blocking hook may hold is accepted piece by piece: a call
/// that is dropped, or that the bus is closed under, may then have published the first pieces. Any other
/// slice is accepted as a whole or not at all.
#[derive(Debug, Clone)]
pub struct MemoryBus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Uuid,
    memory: Arc<Budget>,
    index: RwLock<Index<Arc<Subscriber>>>,
    hooks: Mutex<HashMap<HookId, (Slot, Arc<Subscriber>)>>,
    /// Position of the next event. Held while events are handed out, so that all hooks see one order.
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
    /// An empty bus.
    pub fn new(config: &MemoryConfig) -> Self {
        let limit = Amount { events: usize::MAX, bytes: config.max_memory.get() };
        Self(Arc::new(Inner {
            log: Uuid::now_v7(),
            memory: Budget::new(limit),
            index: RwLock::new(Index::new()),
            hooks: Mutex::default(),
            next: Mutex::new(0),
            closed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
        }))
    }

    /// Bytes of memory that events held for hooks take now, blocks counted once and whole.
    pub fn memory_used(&self) -> usize {
        self.0.memory.used().bytes
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn log_id(&self) -> Uuid {
        self.0.log
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
            // Looking at all that is left for each piece would take time squared.
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
        Ok((Box::new(reader), Settler::new(subscriber, ledger, false)))
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
            // Somebody subscribed, left or changed a filter meanwhile: unless the recipients are the same,
            // start again with those that there are now. Nobody does until the events are handed out.
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

    /// Room at every hook that makes publishers wait, always in the order of slots, then memory. `None`
    /// when there is no memory and none of the hooks waits for any.
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

    /// The reservation of the slice's memory. `None` when there is none to be had without waiting.
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
        // From here on it waits, so that whoever gives way sees it.
        if let Some(reservation) = at_once(&mut reservation).await {
            return Some(reservation);
        }
        if matches!(self.evict(), Eviction::None) && !must_wait {
            return at_once(reservation).await;
        }
        // Whoever waits for its batch to fill sends it now.
        self.index.read().values().for_each(|subscriber| subscriber.request_flush());
        Some(reservation.await)
    }

    /// A hook may give way that would not before.
    fn evict_for_waiters(&self) {
        if self.memory.has_waiters() {
            self.evict();
        }
    }

    /// Makes disabled hooks, then those that hold most, drop their oldest events until nobody waits for memory.
    fn evict(&self) -> Eviction {
        let holders: Vec<Arc<Subscriber>> = self.index.read().values().cloned().collect();
        // Disabled hooks give way first.
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
    /// Nobody waits now.
    Done,
    /// The hook that holds most makes publishers wait.
    Blocked,
    /// All that is left is on its way out.
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

/// What a future gives without waiting.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

/// Gives each recipient its events. The order of publishing is fixed here, under the lock of `next`.
fn dispatch(
    next: &mut u64,
    slice: Slice,
    routing: Routing<Subscriber>,
    reservations: Vec<Option<Reservation>>,
    memory: Option<BlockGuard>,
) {
    let first = *next;
    *next += slice.len() as u64;
    // Without it there are no recipients.
    let Some(memory) = memory else { return };
    let published = Published::new(first, slice, SystemTime::now(), memory);
    for (recipient, reservation) in routing.recipients.into_iter().zip(reservations) {
        recipient.subscriber.push(Run::new(&published, recipient.picks), reservation, recipient.size);
    }
}

/// How many events go together: as many as the smallest blocking recipient can hold at once.
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
