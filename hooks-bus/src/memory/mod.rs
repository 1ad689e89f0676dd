//! Events in this process: queued per hook, each held once and shared.

mod hook_store;
mod inner;
mod queue;
mod reader;
mod seek;
mod subscriber;
mod target;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use hooks_core::{
    Bus, BusError, ByteSize, ConfigProblem, Envelope, HookId, HumanDuration, Lag, Slice,
    bus::{
        BusConfig, BusMonitor, BusStats, BusTraits, HookStore, OpenBusError, OpenedBus, Published, Purpose, Reader,
        Settler, Subscription, refuse_reserved,
    },
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::buffer::budget::Amount;
use crate::duplicates::{self, DuplicateLimits};
use crate::routing::Routing;
use inner::Inner;
use reader::MemoryReader;
use subscriber::Subscriber;

/// Keeps events in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// Most bytes of events that this process holds, for all hooks together. At the limit the hook that
    /// holds most gives way by its own overflow policy.
    pub max_memory: ByteSize,
    /// An event whose `source` and `id` one had that was accepted this long ago, or less, is accepted and not taken
    /// again, if the publisher chose the id. At least 1s. `"0s"`: every event is taken.
    pub duplicate_window: HumanDuration,
    /// Most ids that are remembered for it, at about 30 bytes each. When more come within the window, it is shorter.
    pub duplicate_ids: u32,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        let (duplicate_window, duplicate_ids) = (duplicates::window(), duplicates::ids());
        Self { max_memory: ByteSize::new(256 << 20), duplicate_window, duplicate_ids }
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
        no_memory(self.max_memory).into_iter().chain(self.duplicates().problems()).collect()
    }

    fn max_memory(&self) -> Option<(&'static str, ByteSize)> {
        Some(("max_memory", self.max_memory))
    }
}

impl MemoryConfig {
    fn duplicates(&self) -> DuplicateLimits {
        DuplicateLimits { window: self.duplicate_window, ids: self.duplicate_ids }
    }
}

/// The problem of a process that may hold no event.
pub(crate) fn no_memory(max_memory: ByteSize) -> Option<ConfigProblem> {
    (max_memory.bytes() == 0).then(|| ConfigProblem::new("max_memory", "0 bytes hold no event: set at least 1"))
}

/// The bus that keeps events in this process.
///
/// Accepted means queued for every hook whose filter matches. [`QueueLimits`](hooks_core::QueueLimits) bound each
/// hook's queue, and [`MemoryConfig::max_memory`] bounds all of them together. Hooks share an event, so it counts
/// once.
///
/// A hook that is [defined](HookStore::define) has a queue with the usual limits until it is subscribed. Definitions last
/// as long as the bus.
///
/// The bus accepts a slice with more events or bytes than a blocking hook may hold piece by piece: if the call is
/// dropped or the bus closed, it may have published the first pieces. It accepts any other slice as a whole or not
/// at all. So are the new events of a slice in which some are known.
#[derive(Debug, Clone)]
pub struct MemoryBus(Arc<Inner>);

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(&MemoryConfig::default())
    }
}

impl MemoryBus {
    /// Makes an empty bus.
    pub fn new(config: &MemoryConfig) -> Self {
        Self(Arc::new(Inner::new(config.max_memory.get(), config.duplicates())))
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

    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        refuse_reserved(&slice)?;
        if slice.is_empty() {
            return if self.0.is_closed() { Err(BusError::Closed) } else { Ok(Published::default()) };
        }
        let mut published = Published::new(slice.len());
        let mut ahead = slice.len();
        // Where some events are known, the new ones before and behind them.
        let (mut rest, mut parts) = (slice, Vec::new());
        loop {
            while !rest.is_empty() {
                let next = rest.part(0..ahead.min(rest.len()));
                let routing = Routing::new(&self.0.index.read(), &next);
                let count = piece(&routing, &next);
                let routing = if count == next.len() { Some(routing) } else { None };
                let next = rest.split_to(count);
                // Routing the whole rest for each piece would take quadratic time.
                ahead = count.saturating_mul(2);
                if let Some(new) = self.0.publish(&next, routing).await? {
                    let known = count - new.iter().map(|part| part.len()).sum::<usize>();
                    self.0.known.fetch_add(known as u64, Ordering::Relaxed);
                    published.duplicates += known;
                    parts.push(rest);
                    parts.extend(new.into_iter().rev());
                    break;
                }
            }
            match parts.pop() {
                Some(part) => rest = part,
                None => return Ok(published),
            }
        }
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
        self.0.remove(hook);
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

    fn hooks(&self) -> &dyn HookStore {
        self
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
        let known = self.0.known.load(Ordering::Relaxed);
        let stats = BusStats::accepted(*self.0.next.lock() + known);
        let window = self.0.duplicates.lock().window(self.0.seconds());
        window.map_or(stats, |window| stats.duplicates(known).duplicate_window(window))
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
