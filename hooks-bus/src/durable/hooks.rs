//! The hooks that the bus knows: those that are subscribed, and the places of those that are not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hooks_core::{DropReason, HookId, Slice, bus::Subscription};
use parking_lot::{Mutex, RwLock};

use super::checkpoint::{Behind, Checkpoint};
use super::cursor::Cursor;
use super::pending::Pending;
use super::store::Known;
use super::subscriber::Subscriber;
use crate::index::{Index, Slot};
use crate::routing::Routing;

/// The hooks that the bus knows.
#[derive(Debug)]
pub(crate) struct Hooks {
    known: Mutex<KnownHooks>,
    /// The subscribed ones, by the events that they want.
    index: RwLock<Index<Arc<Subscriber>>>,
}

#[derive(Debug)]
struct KnownHooks {
    subscribed: HashMap<HookId, (Slot, Arc<Subscriber>)>,
    away: BTreeMap<HookId, Away>,
}

/// A hook that is not subscribed.
#[derive(Debug, Clone)]
struct Away {
    behind: Behind,
    /// The database has it at the end, which becomes false when the end moves on.
    saved_at_end: bool,
    /// Number of unsettled positions that were evicted before the process started. Nobody has logged them: they were
    /// in flight when the last process ended, or the hook was away.
    lost: u64,
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

impl Hooks {
    /// The hooks of the database, none of them subscribed.
    pub(crate) fn new(known: &Known) -> Self {
        let away = known.hooks.iter().map(|(hook, checkpoint)| (hook.clone(), Away::new(checkpoint, known)));
        let known = KnownHooks { subscribed: HashMap::new(), away: away.collect() };
        Self { known: Mutex::new(known), index: RwLock::new(Index::new()) }
    }

    /// Committed positions of the hooks that are not subscribed.
    pub(crate) fn away(&self) -> HashMap<HookId, u64> {
        self.known.lock().away.iter().map(|(hook, away)| (hook.clone(), away.behind.committed)).collect()
    }

    /// The subscriber of a hook, if it is subscribed.
    pub(crate) fn get(&self, hook: &HookId) -> Option<Arc<Subscriber>> {
        self.known.lock().subscribed.get(hook).map(|(_, subscriber)| subscriber.clone())
    }

    /// All that are subscribed.
    pub(crate) fn subscribed(&self) -> Vec<Arc<Subscriber>> {
        self.known.lock().subscribed.values().map(|(_, subscriber)| subscriber.clone()).collect()
    }

    /// All hooks, subscribed or not.
    pub(crate) fn ids(&self) -> BTreeSet<HookId> {
        let known = self.known.lock();
        known.subscribed.keys().chain(known.away.keys()).cloned().collect()
    }

    /// True if it has a place.
    pub(crate) fn knows(&self, hook: &HookId) -> bool {
        let known = self.known.lock();
        known.subscribed.contains_key(hook) || known.away.contains_key(hook)
    }

    /// Subscribes a hook that is not. Returns also where it begins, if it is new. No event may be dispatched meanwhile:
    /// `end` is where the log ends, and `first` where the hook begins if it is new.
    pub(crate) fn subscribe(
        &self,
        subscription: &Subscription,
        end: u64,
        first: impl FnOnce() -> u64,
    ) -> (Arc<Subscriber>, Option<u64>) {
        let mut known = self.known.lock();
        let away = known.away.remove(&subscription.hook);
        let (is_new, saved_at_end) = (away.is_none(), away.as_ref().is_some_and(|away| away.saved_at_end));
        if let Some(Away { lost: events @ 1.., .. }) = &away {
            tracing::warn!(hook = %subscription.hook, events, "the hook loses up to this many events: the log dropped them before the hook had settled them");
        }
        let from = away.map_or_else(|| Behind::at(first()), |away| away.behind);
        let (at_end, began) = (from.committed >= end, is_new.then_some(from.committed));
        let mut cursor = Cursor::new(from);
        if at_end {
            cursor.follow();
        }
        let subscriber = Arc::new(Subscriber::new(subscription, cursor, saved_at_end));
        let slot = self.index.write().insert(subscription.filter.clone(), subscriber.clone());
        known.subscribed.insert(subscription.hook.clone(), (slot, subscriber.clone()));
        (subscriber, began)
    }

    /// Routes events to a hook by its new filter. No event may be dispatched meanwhile.
    pub(crate) fn reroute(&self, subscription: &Subscription) {
        if let Some((slot, subscriber)) = self.known.lock().subscribed.get_mut(&subscription.hook) {
            let mut index = self.index.write();
            index.remove(*slot);
            *slot = index.insert(subscription.filter.clone(), subscriber.clone());
        }
    }

    /// Ends a hook's subscription, and keeps its place. No event may be dispatched meanwhile: the log has the events
    /// from `begin` to `end`.
    pub(crate) fn unsubscribe(&self, hook: &HookId, begin: u64, end: u64) -> Option<Arc<Subscriber>> {
        let mut known = self.known.lock();
        let (slot, subscriber) = known.subscribed.remove(hook)?;
        self.index.write().remove(slot);
        let behind = match subscriber.remove(begin) {
            // It falls behind from here.
            Checkpoint::AtEnd => Behind::at(end),
            Checkpoint::Behind(behind) => behind,
        };
        known.away.insert(hook.clone(), Away { behind, saved_at_end: false, lost: 0 });
        Some(subscriber)
    }

    /// Gives a hook a place that has none. Returns the place, if so. No event may be dispatched meanwhile.
    pub(crate) fn add_away(&self, hook: &HookId, at: impl FnOnce() -> u64) -> Option<u64> {
        let mut known = self.known.lock();
        if known.subscribed.contains_key(hook) || known.away.contains_key(hook) {
            return None;
        }
        let at = at();
        known.away.insert(hook.clone(), Away { behind: Behind::at(at), saved_at_end: false, lost: 0 });
        Some(at)
    }

    /// Forgets the place of a hook. If the hook is subscribed by now, it keeps it; then its subscriber is returned.
    pub(crate) fn forget(&self, hook: &HookId) -> Option<Arc<Subscriber>> {
        let mut known = self.known.lock();
        known.away.remove(hook);
        known.subscribed.get(hook).map(|(_, subscriber)| subscriber.clone())
    }

    /// The subscribers of a slice's events.
    pub(crate) fn route(&self, slice: &Slice) -> Routing<Subscriber> {
        Routing::new(&self.index.read(), slice)
    }

    /// The oldest position from `first` on that a hook is to read next, and how many hooks were looked at. One further
    /// behind does not count.
    pub(crate) fn first_unread(&self, first: u64) -> (Option<u64>, usize) {
        let index = self.index.read();
        let mut hooks = 0;
        let looked_at = index.values().inspect(|_| hooks += 1);
        let unread = looked_at.filter_map(|subscriber| subscriber.unread()).filter(|at| *at >= first).min();
        (unread, hooks)
    }

    /// The hook's unsettled events. `None`: the bus does not know it.
    pub(crate) fn pending(&self, hook: &HookId) -> Option<Pending> {
        match self.get(hook) {
            Some(subscriber) => Some(subscriber.pending()),
            None => Some(Pending::from(self.known.lock().away.get(hook)?.behind.committed)),
        }
    }

    /// The position of a hook that is not at the end.
    pub(crate) fn committed(&self, hook: &HookId) -> Option<u64> {
        let known = self.known.lock();
        match known.subscribed.get(hook) {
            Some((_, subscriber)) => subscriber.committed(),
            None => known.away.get(hook).map(|away| away.behind.committed),
        }
    }

    /// The oldest position that a subscribed hook has not settled. `None`: all have settled everything.
    pub(crate) fn first_committed(&self) -> Option<u64> {
        let known = self.known.lock();
        known.subscribed.values().filter_map(|(_, subscriber)| subscriber.committed()).min()
    }

    /// The place of a hook, subscribed or not, in a log that ends at `end`.
    pub(crate) fn behind(&self, hook: &HookId, end: u64) -> Option<Behind> {
        let known = self.known.lock();
        match known.subscribed.get(hook).map(|(_, subscriber)| subscriber.checkpoint()) {
            Some(Checkpoint::Behind(behind)) => Some(behind),
            Some(Checkpoint::AtEnd) => Some(Behind::at(end)),
            None => known.away.get(hook).map(|away| away.behind.clone()),
        }
    }

    /// Moves a hook to another place, which the database has. Returns its subscriber, if it is subscribed. No event may be
    /// dispatched meanwhile: the log ends at `end`.
    pub(crate) fn move_to(&self, hook: &HookId, place: Behind, end: u64) -> Option<Arc<Subscriber>> {
        let mut known = self.known.lock();
        if let Some((_, subscriber)) = known.subscribed.get(hook) {
            subscriber.move_to(place, end);
            return Some(subscriber.clone());
        }
        if let Some(away) = known.away.get_mut(hook) {
            (away.behind, away.saved_at_end) = (place, false);
        }
        None
    }

    /// The place of a hook that is not subscribed.
    pub(crate) fn place(&self, hook: &HookId) -> Option<Behind> {
        self.known.lock().away.get(hook).map(|away| away.behind.clone())
    }

    /// Checkpoints of hooks that left at the end: as the end moves on, they fall behind.
    pub(crate) fn pinned(&self) -> Vec<(HookId, Checkpoint)> {
        let known = self.known.lock();
        let at_end = known.away.iter().filter(|(_, away)| away.saved_at_end);
        at_end.map(|(hook, away)| (hook.clone(), Checkpoint::Behind(away.behind.clone()))).collect()
    }

    /// Notes that the database has these checkpoints.
    pub(crate) fn saved(&self, checkpoints: &[(HookId, Checkpoint)]) {
        let mut known = self.known.lock();
        for (hook, checkpoint) in checkpoints {
            let at_end = *checkpoint == Checkpoint::AtEnd;
            // The hook may have come or gone since.
            if let Some((_, subscriber)) = known.subscribed.get(hook) {
                subscriber.saved_at_end.store(at_end, Ordering::Release);
            }
            if let Some(away) = known.away.get_mut(hook) {
                away.saved_at_end = at_end;
            }
        }
    }

    /// The enabled hook furthest behind, if it needs events before this position.
    pub(crate) fn blocking(&self, end: u64) -> Option<(HookId, u64)> {
        let known = self.known.lock();
        let enabled = known.subscribed.values().map(|(_, hook)| hook).filter(|hook| hook.is_enabled());
        let behind = enabled.filter_map(|hook| Some((hook.committed()?, hook.hook.clone())));
        let (position, hook) = behind.min()?;
        (position < end).then_some((hook, position))
    }

    /// A disabled or unsubscribed hook that needs events before this position.
    pub(crate) fn evictable(&self, end: u64) -> Option<HookId> {
        let known = self.known.lock();
        let disabled =
            |hook: &Subscriber| !hook.is_enabled() && hook.committed().is_some_and(|committed| committed < end);
        let here = known.subscribed.values().find(|(_, hook)| disabled(hook)).map(|(_, hook)| hook.hook.clone());
        let away = || known.away.iter().find(|(_, away)| away.behind.committed < end).map(|(hook, _)| hook.clone());
        here.or_else(away)
    }

    /// Moves hooks that are not subscribed past evicted events. They have no filter, so the number of events they lose
    /// is unknown.
    pub(crate) fn evict_away(&self, end: u64, reason: DropReason) {
        for (hook, away) in self.known.lock().away.iter_mut().filter(|(_, away)| away.behind.committed < end) {
            let events = end - away.behind.committed;
            tracing::warn!(%hook, events, %reason, "a hook that is not subscribed loses those of these events that match it");
            away.behind = std::mem::replace(&mut away.behind, Behind::at(0)).raised(end);
        }
    }
}
