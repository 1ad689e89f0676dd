//! The parts of a durable bus, and the operations that take several of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hooks_core::{
    BusError, HookId, Position, Slice,
    bus::{Settle, Subscription},
};
use parking_lot::Mutex;

use super::blocking::Places;
use super::cache::Cache;
use super::checkpoint::Checkpoints;
use super::config::DurableConfig;
use super::cursor::PositionRange;
use super::definitions::DefinitionChanges;
use super::dirty_set::DirtySet;
use super::disk::Disk;
use super::facts::Facts;
use super::hold::{Hold, Retention};
use super::hooks::Hooks;
use super::open::Opened;
use super::scan::{FetchRequest, Fetched, time};
use super::start::Start;
use super::storage::Storage;
use super::subscriber::Subscriber;
use super::tuning::{Pace, Tuning};
use crate::buffer::picks::Picks;
use crate::duplicates::Duplicates;

/// The parts of a durable bus.
///
/// **The order of the locks.** A thread takes these in this order, and may leave some out:
///
/// 1. `saved`, which a checkpoint holds while it writes: never take it where something must not block;
/// 2. `dispatched`, which a dispatch holds: while it is held, no event reaches a hook or the cache;
/// 3. the hooks that are known, in `hooks`;
/// 4. the index of hooks, in `hooks`;
/// 5. the state of one [`Subscriber`], never of two;
/// 6. the newest events, in `cache`, or a hook's ledger.
///
/// Every other lock (of `dirty`, `facts`, the log's list of files, the database, the clock, the health, the budget) may
/// be taken while these are held: it is held for one look or change, in which no further one of these is taken.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: DurableConfig,
    /// What is written: the log, the database, their age and health.
    pub(crate) storage: Storage,
    /// What is in memory: the newest events, and pieces of the log.
    pub(crate) cache: Cache,
    /// Who is subscribed, and the places of those that are not.
    pub(crate) hooks: Hooks,
    /// Dead letters and overrides.
    pub(crate) facts: Facts,
    /// Calls that define and undefine hooks.
    pub(crate) definition_changes: DefinitionChanges,
    /// Whose checkpoint has to be written.
    pub(crate) dirty: DirtySet,
    /// The checkpoints that are written.
    pub(crate) saved: Mutex<Checkpoints>,
    /// When the log drops events.
    pub(crate) retention: Retention,
    /// How much blocks at a time.
    pub(crate) places: Places,
    /// Every event before this position is dispatched to its hooks.
    pub(crate) dispatched: Mutex<u64>,
    pub(crate) accepted: AtomicU64,
    /// The events of the last minutes, by name.
    pub(crate) duplicates: Mutex<Duplicates>,
    /// The number of events that were known.
    pub(crate) known: AtomicU64,
    pub(crate) closed: AtomicBool,
    pub(crate) pace: Pace,
}

impl Inner {
    pub(crate) fn new(
        disk: &Arc<dyn Disk>,
        config: &DurableConfig,
        opened: Opened,
        tuning: Tuning,
        hold: Hold,
    ) -> Result<Self, BusError> {
        let Opened { store, known, found } = opened;
        let dispatched = Mutex::new(found.end);
        let facts = Facts::read(&store)?;
        let hooks = Hooks::new(&known);
        let saved = Checkpoints { end: known.end, behind: hooks.away() };
        let passed = saved.floor();
        Ok(Self {
            config: config.clone(),
            storage: Storage::new(disk, config.dir.clone(), store, found, tuning),
            cache: Cache::new(config.max_memory.get()),
            hooks,
            facts,
            definition_changes: DefinitionChanges::default(),
            dirty: DirtySet::default(),
            saved: Mutex::new(saved),
            retention: Retention::new(hold, passed),
            places: Places::default(),
            dispatched,
            accepted: AtomicU64::new(0),
            duplicates: Mutex::new(Duplicates::new(config.duplicates())),
            known: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            pace: tuning.pace,
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Caches events that are safe, and queues them for their hooks.
    pub(crate) fn dispatch(&self, first: u64, accepted: u64, slice: Slice) {
        let mut dispatched = self.dispatched.lock();
        let routing = self.hooks.route(&slice);
        self.accepted.fetch_add(slice.len() as u64, Ordering::Relaxed);
        *dispatched = first + slice.len() as u64;
        // Before the hooks are told: they find them in memory.
        self.cache.push(first, time(accepted), slice.clone());
        for recipient in &routing.recipients {
            let range = |from: u32, to: u32, bytes| {
                let position = |at: u32| first + u64::from(at);
                PositionRange { from: position(from), to: position(to), bytes }
            };
            let changed = match &recipient.picks {
                Picks::All(all) => recipient.subscriber.enqueue([range(0, *all, recipient.size.bytes)]),
                Picks::Some(picks) => {
                    recipient.subscriber.enqueue(picks.iter().map(|at| range(*at, at + 1, slice[*at as usize].len())))
                }
            };
            if changed {
                self.dirty.insert(&recipient.subscriber);
            }
        }
        self.dirty.wake();
        self.evict_read();
    }

    /// Removes cached events that every hook reading from memory has read. No event may be dispatched meanwhile.
    fn evict_read(&self) {
        let Some(first) = self.cache.tail.lock().watched() else { return };
        // A hook further behind reads from the disk.
        let (unread, hooks) = self.hooks.first_unread(first);
        self.cache.tail.lock().was_read(unread.unwrap_or(u64::MAX), hooks);
    }

    pub(crate) fn dispatched(&self) -> u64 {
        *self.dispatched.lock()
    }

    /// Makes a hook whose scan has reached the end follow. Returns whether it did.
    pub(crate) fn catches_up(&self, subscriber: &Arc<Subscriber>, from: u64) -> bool {
        let dispatched = self.dispatched.lock();
        let follows = from >= *dispatched && subscriber.follow_from(from);
        if follows {
            self.dirty.insert(subscriber);
        }
        follows
    }

    /// Reads a piece of the log. Blocks.
    pub(crate) fn fetch(&self, request: FetchRequest) -> Result<Fetched, BusError> {
        self.cache.fetch(&self.storage.log, &self.storage.dir, request)
    }

    /// The subscriber of this hook.
    pub(crate) fn subscriber(&self, subscription: &Subscription, start: Start) -> Arc<Subscriber> {
        if let Some(subscriber) = self.hooks.get(&subscription.hook) {
            self.reroute(subscription);
            subscriber.refilter(subscription.filter.clone());
            return subscriber;
        }
        let dispatched = self.dispatched.lock();
        let first = || self.first_position(&subscription.hook, start, *dispatched);
        let (subscriber, began) = self.hooks.subscribe(subscription, *dispatched, first);
        self.dirty.insert(&subscriber);
        if let Some(began) = began {
            self.dirty.add_hook(Some((subscription.hook.clone(), began)));
        }
        subscriber
    }

    /// Routes events to a hook by its new filter.
    pub(crate) fn reroute(&self, subscription: &Subscription) {
        let _dispatched = self.dispatched.lock();
        self.hooks.reroute(subscription);
    }

    /// Ends a hook's subscription, and keeps its place.
    pub(crate) fn unsubscribe(&self, hook: &HookId) {
        let dispatched = self.dispatched.lock();
        if let Some(subscriber) = self.hooks.unsubscribe(hook, self.storage.log.begin(), *dispatched) {
            self.dirty.insert(&subscriber);
            self.dirty.wake();
        }
    }

    /// Forgets a hook that is not subscribed. Blocks.
    pub(crate) fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        let mut saved = self.saved.lock();
        self.is_free(hook)?;
        let known = self.known_hooks().contains(hook);
        self.storage.store.forget(hook)?;
        self.forgotten(hook, &mut saved);
        Ok(known)
    }

    /// # Errors
    /// When the hook is subscribed.
    pub(crate) fn is_free(&self, hook: &HookId) -> Result<(), BusError> {
        match self.hooks.get(hook) {
            Some(_) => Err(BusError::Unavailable(format!("hook `{hook}` is in use: remove it first"))),
            None => Ok(()),
        }
    }

    /// Forgets a hook that the database does not have any more.
    pub(crate) fn forgotten(&self, hook: &HookId, saved: &mut Checkpoints) {
        self.forget_place(hook);
        self.facts.forget(hook);
        saved.behind.remove(hook);
    }

    /// Forgets the place of a hook that the database does not have.
    pub(crate) fn forget_place(&self, hook: &HookId) {
        if let Some(subscriber) = self.hooks.forget(hook) {
            // It came in this moment, and has to be written like a new one.
            self.dirty.insert(&subscriber);
            self.dirty.add_hook(None);
        }
    }

    /// All known hooks, subscribed or not, by name.
    pub(crate) fn known_hooks(&self) -> Vec<HookId> {
        let mut known = self.hooks.ids();
        known.extend(self.facts.with_dead_letters());
        known.into_iter().collect()
    }

    /// Runs work on the database without blocking the caller's thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, BusError> + Send + 'static,
    ) -> Result<T, BusError> {
        let inner = self.clone();
        let done = self.places.begin_to_call(move || work(&inner)).await;
        done.await.unwrap_or_else(|error| Err(BusError::Unavailable(error.to_string())))
    }
}

/// Settles the events of one hook.
#[derive(Debug)]
pub(crate) struct HookSettle {
    pub(crate) inner: Arc<Inner>,
    pub(crate) subscriber: Arc<Subscriber>,
    has_settled: AtomicBool,
}

impl HookSettle {
    pub(crate) fn new(inner: Arc<Inner>, subscriber: Arc<Subscriber>) -> Self {
        Self { inner, subscriber, has_settled: AtomicBool::new(false) }
    }

    /// True once.
    fn settles_first(&self) -> bool {
        !self.has_settled.load(Ordering::Relaxed) && !self.has_settled.swap(true, Ordering::Relaxed)
    }
}

impl Settle for HookSettle {
    fn settle(&self, positions: &[Position]) -> usize {
        let released = self.subscriber.settle(positions);
        if released > 0 {
            self.inner.dirty.insert(&self.subscriber);
            if self.settles_first() { self.inner.dirty.wake_soon() } else { self.inner.dirty.wake() }
        }
        released
    }
}
