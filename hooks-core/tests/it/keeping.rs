//! The model of a bus, which keeps dead letters in memory, up to a bound.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hooks_core::{
    Bus, BusError, DeadLetter, DeadLetterId, HookId, Ledger, Outcome, Override, Position, Slice, async_trait,
    bus::{
        BusMonitor, BusTraits, DeadLetters, HookStore, Past, Published, Reader, Seek, SeekError, Settle, Settler,
        Sought, Subscription,
    },
};
use hooks_test::model::ModelBus;
use hooks_test::{before_it_is_late, id};
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Clone)]
pub(crate) struct Keeping {
    pub(crate) bus: Arc<ModelBus>,
    pub(crate) dead_letters: Arc<DeadLetterStore>,
    overrides: Arc<Mutex<BTreeMap<HookId, Override>>>,
    /// Overrides can't be kept.
    pub(crate) keeps_no_override: Arc<AtomicBool>,
    /// Hooks whose override another process has set, which is not followed yet.
    elsewhere: Arc<Mutex<VecDeque<HookId>>>,
    /// That one came, and that one was followed.
    following: Arc<(Notify, Notify)>,
    /// Closing and finishing never end.
    pub(crate) hangs_at_the_end: Arc<AtomicBool>,
    /// True if another instance has the hooks, on a bus that is shared.
    lost: Option<Arc<AtomicBool>>,
}

/// The dead letters of all hooks; the tests have one hook that has any.
pub(crate) struct DeadLetterStore {
    kept: Mutex<BTreeMap<DeadLetterId, DeadLetter>>,
    pub(crate) room: AtomicUsize,
    /// Ids of events that are too long for a dead letter.
    pub(crate) too_long: Mutex<Vec<&'static str>>,
    /// How often there was no room.
    refusals: AtomicUsize,
    changed: Notify,
}

impl Keeping {
    pub(crate) fn new(room: usize) -> Self {
        let dead_letters = DeadLetterStore {
            kept: Mutex::default(),
            room: room.into(),
            too_long: Mutex::default(),
            refusals: AtomicUsize::default(),
            changed: Notify::new(),
        };
        Self {
            bus: Arc::new(ModelBus::alone()),
            dead_letters: Arc::new(dead_letters),
            overrides: Arc::default(),
            keeps_no_override: Arc::default(),
            elsewhere: Arc::default(),
            following: Arc::default(),
            hangs_at_the_end: Arc::default(),
            lost: None,
        }
    }

    /// As on a bus that instances share. Its ledger counts settled events.
    pub(crate) fn shared(self) -> Self {
        Self { lost: Some(Arc::default()), ..self }
    }

    /// Another instance takes the hooks, or gives them back.
    pub(crate) fn is_lost(&self, lost: bool) {
        self.lost.iter().for_each(|is_lost| is_lost.store(lost, Ordering::Relaxed));
    }

    /// Ids of the events that are kept, oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.dead_letters.kept.lock().values().map(|dead_letter| dead_letter.envelope.id().to_owned()).collect()
    }

    pub(crate) fn kept(&self) -> Vec<DeadLetter> {
        self.dead_letters.kept.lock().values().cloned().collect()
    }

    pub(crate) async fn has(&self, dead_letters: usize) {
        self.until(|store| store.kept.lock().len() >= dead_letters).await;
    }

    /// Waits until the store said this often that it is full.
    pub(crate) async fn was_full(&self, times: usize) {
        self.until(|store| store.refusals.load(Ordering::Relaxed) >= times).await;
    }

    /// Another process sets the override of the hook `a`. Returns when that was followed.
    pub(crate) async fn override_elsewhere(&self, to: Option<Override>) {
        self.override_other("a", to).await;
        self.followed().await;
    }

    /// Another process sets the override of a hook.
    pub(crate) async fn override_other(&self, hook: &str, to: Option<Override>) {
        self.hooks().set_override(&id(hook), to).await.unwrap();
        self.elsewhere.lock().push_back(id(hook));
        self.following.0.notify_one();
    }

    /// Waits until one more override is followed.
    pub(crate) async fn followed(&self) {
        self.following.1.notified().await;
    }

    async fn until(&self, reached: impl Fn(&DeadLetterStore) -> bool) {
        before_it_is_late(&self.dead_letters.changed, || reached(&self.dead_letters)).await;
    }
}

#[async_trait]
impl DeadLetters for DeadLetterStore {
    async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError> {
        tokio::task::yield_now().await;
        if dead_letters.iter().any(|dead_letter| self.too_long.lock().contains(&dead_letter.envelope.id())) {
            return Err(BusError::TooLarge("a dead letter".into()));
        }
        let mut kept = self.kept.lock();
        let full = kept.len() + dead_letters.len() > self.room.load(Ordering::Relaxed);
        if full {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        } else {
            kept.extend(
                dead_letters
                    .into_iter()
                    .map(|dead_letter| (DeadLetterId::new(dead_letter.position.get()), dead_letter)),
            );
        }
        drop(kept);
        self.changed.notify_waiters();
        if full { Err(BusError::Full("no room for dead letters".into())) } else { Ok(()) }
    }

    async fn replace(&self, dead_letters: Vec<(DeadLetterId, DeadLetter)>) -> Result<(), BusError> {
        let mut kept = self.kept.lock();
        for (id, dead_letter) in dead_letters {
            kept.entry(id).and_modify(|kept| *kept = dead_letter);
        }
        Ok(())
    }

    async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError> {
        let kept = self.kept.lock();
        let later = kept.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        Ok(later.take(max).map(|(id, dead_letter)| (*id, dead_letter.clone())).collect())
    }

    async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError> {
        let mut kept = self.kept.lock();
        Ok(ids.iter().filter(|id| kept.remove(id).is_some()).count())
    }

    fn count(&self) -> u64 {
        self.kept.lock().len() as u64
    }
}

#[async_trait]
impl Bus for Keeping {
    fn log_id(&self) -> uuid::Uuid {
        // All processes that share it know it under the same name.
        uuid::Uuid::from_u128(7)
    }

    fn traits(&self) -> BusTraits {
        BusTraits::new()
    }

    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        self.bus.publish(slice).await
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        // As on a bus that does something for it, here and below.
        tokio::task::yield_now().await;
        let Some(lost) = self.lost.clone() else { return self.bus.subscribe(subscription).await };
        let mut subscription = subscription;
        let taken = Arc::<Ledger>::default();
        let ledger = std::mem::replace(&mut subscription.ledger, taken.clone());
        let (reader, settler) = self.bus.subscribe(subscription).await?;
        let fence = Fence { settler, taken, ledger: ledger.clone(), lost };
        Ok((reader, Settler::new(Arc::new(fence), ledger)))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        tokio::task::yield_now().await;
        self.bus.unsubscribe(hook).await
    }

    async fn close(&self) {
        self.bus.close().await;
        if self.hangs_at_the_end.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    async fn finish(&self) {
        if self.hangs_at_the_end.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn hooks(&self) -> &dyn HookStore {
        self
    }

    fn monitor(&self) -> &dyn BusMonitor {
        self.bus.monitor()
    }

    fn past(&self) -> Option<&dyn Past> {
        self.bus.past()
    }
}

#[async_trait]
impl HookStore for Keeping {
    async fn seek(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        HookStore::seek(&*self.bus, hook, seek).await
    }

    async fn set_override(&self, hook: &HookId, to: Option<Override>) -> Result<(), BusError> {
        tokio::task::yield_now().await;
        if self.keeps_no_override.load(Ordering::Relaxed) {
            return Err(BusError::Unavailable("it is gone".into()));
        }
        let mut overrides = self.overrides.lock();
        match to {
            Some(to) => overrides.insert(hook.clone(), to),
            None => overrides.remove(hook),
        };
        Ok(())
    }

    fn overrides(&self, hook: &HookId) -> Option<Override> {
        self.overrides.lock().get(hook).cloned()
    }

    async fn follow_overrides(&self) -> HookId {
        loop {
            if let Some(hook) = self.elsewhere.lock().pop_front() {
                return hook;
            }
            self.following.0.notified().await;
        }
    }

    fn override_followed(&self, _: &HookId) {
        self.following.1.notify_one();
    }

    fn dead_letters(&self, _: &HookId) -> Option<Arc<dyn DeadLetters>> {
        Some(self.dead_letters.clone())
    }
}

/// Knows whether the hook is another instance's.
struct Fence {
    settler: Settler,
    /// The ledger of the wrapped bus.
    taken: Arc<Ledger>,
    ledger: Arc<Ledger>,
    lost: Arc<AtomicBool>,
}

impl Settle for Fence {
    fn settle(&self, positions: &[Position]) -> usize {
        let before = self.taken.counts().in_flight;
        self.settler.settle(positions, Outcome::Delivered);
        let settled = (before - self.taken.counts().in_flight) as usize;
        self.ledger.take(settled);
        settled
    }

    fn holds(&self) -> bool {
        !self.lost.load(Ordering::Relaxed)
    }
}
