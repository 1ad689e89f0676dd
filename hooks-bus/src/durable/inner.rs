//! The state that the parts of a durable bus share.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::{BusError, HookId, HumanDuration, Override, Position, Settle, Slice, StartAt, Subscription};
use parking_lot::{Mutex, RwLock};

use super::age::{self, Ahead};
use super::blocking::Places;
use super::checkpoint::{Behind, Checkpoint};
use super::checkpointer::{Checkpoints, DirtySet, Tuning};
use super::config::DurableConfig;
use super::cursor::{Cursor, PositionRange};
use super::dead_letter_table::{self, Totals};
use super::disk::Disk;
use super::health::Health;
use super::hold::{Hold, Holding};
use super::log::Log;
use super::open::Opened;
use super::scan::{FetchRequest, Fetched, Pieces, fetch, time};
use super::segment::PIECE;
use super::store::{Known, Store};
use super::subscriber::{ScanResult, Subscriber};
use super::tail_cache::{TailCache, held};
use crate::buffer::budget::{Amount, Budget};
use crate::buffer::published::Run;
use crate::index::{Index, Slot};
use crate::routing::{Picks, Routing};

/// Bytes that a hook with nothing in flight may read, however little memory there is.
const MIN_PIECE: usize = 16 << 10;

/// A hook that is not subscribed.
#[derive(Debug, Clone)]
pub(crate) struct Away {
    pub(crate) behind: Behind,
    /// The database has it at the end, which becomes false when the end moves on.
    pub(crate) saved_at_end: bool,
    /// Number of unsettled positions that were evicted before the process started. Nobody has logged them: they were
    /// in flight when the last process ended, or the hook was away.
    pub(crate) lost: u64,
}

impl Away {
    fn new(checkpoint: &Checkpoint, known: &Known) -> Self {
        match checkpoint {
            Checkpoint::AtEnd => Self { behind: Behind::at(known.end), saved_at_end: true, lost: 0 },
            Checkpoint::Behind(behind) => Self {
                lost: behind.unacked_before(known.floor),
                behind: behind.clone().raised(known.floor),
                saved_at_end: false,
            },
        }
    }
}

/// The state that the parts of a durable bus share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) config: DurableConfig,
    pub(crate) log: Arc<Log>,
    pub(crate) store: Store,
    pub(crate) memory: Arc<Budget>,
    pub(crate) tail: Mutex<TailCache>,
    pieces: Pieces,
    pub(crate) places: Places,
    /// Every event before this position is dispatched to its hooks. Locked during a dispatch.
    pub(crate) dispatched: Mutex<u64>,
    pub(crate) index: RwLock<Index<Arc<Subscriber>>>,
    pub(crate) hooks: Mutex<HashMap<HookId, (Slot, Arc<Subscriber>)>>,
    /// Known hooks that are not subscribed.
    pub(crate) away: Mutex<BTreeMap<HookId, Away>>,
    /// Dead letters of each hook.
    pub(crate) dead_letters: Mutex<HashMap<HookId, Totals>>,
    /// Overrides of hooks.
    pub(crate) overrides: Mutex<HashMap<HookId, Override>>,
    pub(crate) dirty: DirtySet,
    pub(crate) tuning: Tuning,
    pub(crate) saved: Mutex<Checkpoints>,
    pub(crate) closed: AtomicBool,
    /// The warning that the log is nearly full was logged.
    pub(crate) nearly_full: AtomicBool,
    pub(crate) accepted: AtomicU64,
    pub(crate) health: Health,
    pub(crate) ahead: Ahead,
    pub(crate) holding: Holding,
    /// Damage found in the files when they were opened.
    pub(crate) damage: Vec<String>,
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
        let dead_letters = store.read(dead_letter_table::totals)?.into_iter().collect();
        let overrides = store.read(super::overrides::read)?.into_iter().collect();
        let away: BTreeMap<HookId, Away> =
            known.hooks.iter().map(|(hook, checkpoint)| (hook.clone(), Away::new(checkpoint, &known))).collect();
        let behind = away.iter().map(|(hook, away)| (hook.clone(), away.behind.committed)).collect();
        let log = Arc::new(Log::new(disk.clone(), found.segments, found.end));
        if !found.damage.is_empty() {
            log.set_damaged();
        }
        let is_ahead = age::check_future(&log, &config.dir, (tuning.clock)());
        let limit = Amount { events: usize::MAX, bytes: config.max_memory.get() };
        let inner = Self {
            dir: config.dir.clone(),
            config: config.clone(),
            log,
            store,
            memory: Budget::new(limit),
            tail: Mutex::default(),
            pieces: Pieces::default(),
            places: Places::default(),
            dispatched: Mutex::new(found.end),
            index: RwLock::new(Index::new()),
            hooks: Mutex::default(),
            away: Mutex::new(away),
            dead_letters: Mutex::new(dead_letters),
            overrides: Mutex::new(overrides),
            dirty: DirtySet::default(),
            tuning,
            saved: Mutex::new(Checkpoints { end: known.end, behind }),
            closed: AtomicBool::new(false),
            nearly_full: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            health: Health::default(),
            ahead: Ahead::new((tuning.clock)(), (tuning.steady)()),
            holding: Holding::new(hold),
            damage: found.damage,
        };
        if is_ahead {
            inner.save_begun();
        }
        Ok(inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Caches events that are safe, and queues them for their hooks.
    pub(crate) fn dispatch(&self, first: u64, accepted: u64, slice: Slice) {
        let mut dispatched = self.dispatched.lock();
        let routing = Routing::new(&self.index.read(), &slice);
        self.accepted.fetch_add(slice.len() as u64, Ordering::Relaxed);
        *dispatched = first + slice.len() as u64;
        // Before the hooks are told: they find them in memory.
        self.tail.lock().push(held(first, time(accepted), slice.clone(), &self.memory), &self.memory);
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

    /// Removes cached events that every hook reading from memory has read.
    fn evict_read(&self) {
        let Some(first) = self.tail.lock().watched() else { return };
        let index = self.index.read();
        // A hook further behind reads from the disk.
        let unread = index.values().filter_map(|subscriber| subscriber.unread()).filter(|at| *at >= first).min();
        self.tail.lock().was_read(unread.unwrap_or(u64::MAX));
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

    /// Scans events in memory. `None` if they are not there.
    pub(crate) fn scan_memory(&self, subscriber: &Subscriber, from: u64, max: usize) -> Option<ScanResult> {
        let scan = subscriber.scan();
        let filter = subscriber.filter();
        let end = self.dispatched();
        let tail = self.tail.lock();
        if tail.first()? > from {
            return None;
        }
        let mut found =
            ScanResult { runs: VecDeque::new(), unreadable: VecDeque::new(), until: from, scan, piece: None };
        for slice in tail.from(from)? {
            let most = from + max as u64;
            let mut run = Run::between(slice, from, end.min(most));
            if run.is_empty() {
                break;
            }
            found.until = run.last().0 + 1;
            run.retain(|_, _, envelope| filter.matches(envelope));
            if !run.is_empty() {
                found.runs.push_back(run);
            }
        }
        (found.until > from).then_some(found)
    }

    /// Reads a piece of the log. Blocks.
    pub(crate) fn fetch(&self, request: FetchRequest) -> Result<Fetched, BusError> {
        fetch(&self.log, &self.dir, &self.memory, &self.pieces, request)
    }

    /// Bytes of log that a hook may read now. `None`: its events in flight must be settled first.
    pub(crate) fn piece_size(&self, subscriber: &Subscriber) -> Option<usize> {
        let fits = || self.memory.used().bytes.saturating_add(PIECE) <= self.memory.limit().bytes;
        if !fits() {
            self.tail.lock().free_memory(PIECE, &self.memory);
        }
        if fits() {
            return Some(PIECE);
        }
        (subscriber.unsettled().events == 0).then_some(MIN_PIECE)
    }

    /// Waits until there is memory for a piece of the log.
    pub(crate) async fn memory_freed(&self) {
        drop(self.memory.reserve(Amount::bytes(PIECE)).await);
    }

    /// The subscriber of this hook.
    pub(crate) fn subscriber(&self, subscription: &Subscription) -> Arc<Subscriber> {
        let known = self.hooks.lock().get(&subscription.hook).cloned();
        if let Some((_, subscriber)) = known {
            self.reroute(subscription);
            subscriber.refilter(subscription.filter.clone());
            return subscriber;
        }
        // The lock keeps events from being dispatched.
        let dispatched = self.dispatched.lock();
        let mut hooks = self.hooks.lock();
        let away = self.away.lock().remove(&subscription.hook);
        let (is_new, saved_at_end) = (away.is_none(), away.as_ref().is_some_and(|away| away.saved_at_end));
        if let Some(Away { lost: events @ 1.., .. }) = &away {
            tracing::warn!(hook = %subscription.hook, events, "the hook loses up to this many events: the log dropped them before the hook had settled them");
        }
        let from = match (away, subscription.from) {
            (Some(away), _) => away.behind,
            (None, StartAt::Earliest) => Behind::at(self.earliest(&subscription.hook, *dispatched)),
            (None, StartAt::End) => Behind::at(*dispatched),
        };
        let at_end = from.committed >= *dispatched;
        let mut cursor = Cursor::new(from);
        if at_end {
            cursor.follow();
        }
        let subscriber = Arc::new(Subscriber::new(subscription, cursor, saved_at_end));
        let slot = self.index.write().insert(subscription.filter.clone(), subscriber.clone());
        hooks.insert(subscription.hook.clone(), (slot, subscriber.clone()));
        self.dirty.insert(&subscriber);
        if is_new {
            self.dirty.add_hook();
        }
        subscriber
    }

    /// The first position of a hook that begins with the oldest event. Logs how much of the past is gone.
    fn earliest(&self, hook: &HookId, end: u64) -> u64 {
        let begin = self.log.begin();
        let begun = self.log.locate(begin).and_then(|part| part.segment.begun());
        let age = begun.map(|begun| HumanDuration(Duration::from_secs((self.tuning.clock)().saturating_sub(begun))));
        let age = age.map_or_else(|| "unknown".to_owned(), |age| age.to_string());
        let events = end.saturating_sub(begin);
        match begin {
            0 => tracing::info!(%hook, events, age, "the hook begins with the first event"),
            _ => {
                tracing::warn!(%hook, events, age, gone = begin, "the hook begins with the oldest event of the log: older ones are gone")
            }
        }
        begin
    }

    /// Routes events to a hook by its new filter.
    pub(crate) fn reroute(&self, subscription: &Subscription) {
        let _dispatched = self.dispatched.lock();
        if let Some((slot, subscriber)) = self.hooks.lock().get_mut(&subscription.hook) {
            let mut index = self.index.write();
            index.remove(*slot);
            *slot = index.insert(subscription.filter.clone(), subscriber.clone());
        }
    }

    /// Ends a hook's subscription, and keeps its place.
    pub(crate) fn unsubscribe(&self, hook: &HookId) {
        let dispatched = self.dispatched.lock();
        let Some((slot, subscriber)) = self.hooks.lock().remove(hook) else { return };
        self.index.write().remove(slot);
        let behind = match subscriber.remove(self.log.begin()) {
            // It falls behind from here.
            Checkpoint::AtEnd => Behind::at(*dispatched),
            Checkpoint::Behind(behind) => behind,
        };
        self.away.lock().insert(hook.clone(), Away { behind, saved_at_end: false, lost: 0 });
        self.dirty.insert(&subscriber);
        self.dirty.wake();
    }

    /// Forgets a hook that is not subscribed. Blocks.
    pub(crate) fn forget(&self, hook: &HookId) -> Result<bool, BusError> {
        let mut saved = self.saved.lock();
        if self.hooks.lock().contains_key(hook) {
            return Err(BusError::Unavailable(format!("hook `{hook}` is in use: remove it first")));
        }
        let known = self.known_hooks().contains(hook);
        self.store.forget(hook)?;
        self.away.lock().remove(hook);
        self.dead_letters.lock().remove(hook);
        self.overrides.lock().remove(hook);
        saved.behind.remove(hook);
        Ok(known)
    }

    /// All known hooks, subscribed or not, by name.
    pub(crate) fn known_hooks(&self) -> Vec<HookId> {
        let mut known: BTreeSet<HookId> = self.hooks.lock().keys().cloned().collect();
        known.extend(self.away.lock().keys().cloned());
        known.extend(self.dead_letters.lock().keys().cloned());
        known.into_iter().collect()
    }
}

/// Settles the events of one hook.
#[derive(Debug)]
pub(crate) struct HookSettle {
    pub(crate) inner: Arc<Inner>,
    pub(crate) subscriber: Arc<Subscriber>,
}

impl Settle for HookSettle {
    fn settle(&self, positions: &[Position]) -> usize {
        let released = self.subscriber.settle(positions);
        if released > 0 {
            self.inner.dirty.insert(&self.subscriber);
            self.inner.dirty.wake();
        }
        released
    }
}
