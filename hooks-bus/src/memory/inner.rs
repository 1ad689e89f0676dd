//! The state of the memory bus: its hooks, and the memory that their events take.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use hooks_core::{
    BusError, HookId, Slice,
    bus::{Definition, Subscription},
    envelope::BlockGuard,
    uuid_v7,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::subscriber::Subscriber;
use crate::buffer::budget::{Amount, Budget, Reservation};
use crate::buffer::published::{Published, Run};
use crate::duplicates::{DuplicateLimits, Duplicates};
use crate::index::{Index, Slot};
use crate::routing::{Recipient, Routing};

/// The state of the memory bus.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) log: Uuid,
    pub(super) memory: Arc<Budget>,
    pub(super) index: RwLock<Index<Arc<Subscriber>>>,
    pub(super) hooks: Mutex<HashMap<HookId, (Slot, Arc<Subscriber>)>>,
    /// Locked before `hooks`.
    pub(super) definitions: Mutex<Definitions>,
    /// Position of the next event. Locked while events are dispatched, so that all hooks see one order.
    pub(super) next: Mutex<u64>,
    /// Locked after `next`.
    pub(super) duplicates: Mutex<Duplicates>,
    /// The number of events that were known.
    pub(super) known: AtomicU64,
    begun: Instant,
    pub(super) closed: AtomicBool,
    pub(super) closing: watch::Sender<bool>,
}

/// The definitions of hooks.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) by_name: BTreeMap<HookId, Definition>,
    /// The number of changes so far.
    pub(super) changes: u64,
}

impl Inner {
    pub(super) fn new(max_bytes: usize, duplicates: DuplicateLimits) -> Self {
        Self {
            log: uuid_v7(),
            memory: Budget::new(Amount { events: usize::MAX, bytes: max_bytes }),
            index: RwLock::new(Index::new()),
            hooks: Mutex::default(),
            definitions: Mutex::default(),
            next: Mutex::new(0),
            duplicates: Mutex::new(Duplicates::new(duplicates)),
            known: AtomicU64::new(0),
            begun: Instant::now(),
            closed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn subscriber(&self, subscription: &Subscription) -> Arc<Subscriber> {
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

    /// Removes a hook with its events, if it is there.
    pub(super) fn remove(&self, hook: &HookId) {
        if let Some((slot, subscriber)) = self.hooks.lock().remove(hook) {
            self.index.write().remove(slot);
            subscriber.remove();
        }
    }

    /// Routes events to a hook by another filter.
    pub(super) fn reroute(&self, subscription: &Subscription) {
        if let Some((slot, subscriber)) = self.hooks.lock().get_mut(&subscription.hook) {
            let mut index = self.index.write();
            index.remove(*slot);
            *slot = index.insert(subscription.filter.clone(), subscriber.clone());
        }
    }

    /// Seconds since the bus was made.
    pub(super) fn seconds(&self) -> i64 {
        self.begun.elapsed().as_secs().cast_signed()
    }

    /// Publishes a slice as a whole, once there is room for it everywhere. Publishes nothing of it if events are known,
    /// and returns the other ones.
    pub(super) async fn publish(
        &self,
        slice: &Slice,
        routing: Option<Routing<Subscriber>>,
    ) -> Result<Option<Vec<Slice>>, BusError> {
        let mut closing = self.closing.subscribe();
        let mut ready = routing;
        loop {
            let routing = ready.take().unwrap_or_else(|| Routing::new(&self.index.read(), slice));
            let reservations = tokio::select! {
                biased;
                reservations = self.reserve(&routing, slice) => reservations,
                _ = closing.wait_for(|closing| *closing) => return Err(BusError::Closed),
            };
            let mut next = self.next.lock();
            if self.is_closed() {
                return Err(BusError::Closed);
            }
            // If a subscription changed the recipients while this call waited, start again with the current
            // ones. The lock on the index keeps them from changing until the events are dispatched.
            let index = self.index.read();
            if index.version() != routing.version && !Routing::new(&index, slice).has_recipients_of(&routing) {
                continue;
            }
            // Not before: whoever is told that an event is known must find it published.
            let new = self.admit(slice);
            if new.is_some() {
                return Ok(new);
            }
            match reservations {
                Some((reservations, memory)) => dispatch(&mut next, slice.clone(), routing, reservations, memory),
                None => routing
                    .recipients
                    .iter()
                    .for_each(|recipient| recipient.subscriber.drop_incoming(recipient.size.events)),
            }
            return Ok(None);
        }
    }

    /// Enters a slice whose events are all new. Else returns the new ones.
    fn admit(&self, slice: &Slice) -> Option<Vec<Slice>> {
        let mut duplicates = self.duplicates.lock();
        let admitted = duplicates.admit(slice, || self.seconds());
        (admitted.duplicates > 0).then(|| {
            duplicates.withdraw(&admitted);
            admitted.parts(slice)
        })
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
    pub(super) fn evict_for_waiters(&self) {
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
