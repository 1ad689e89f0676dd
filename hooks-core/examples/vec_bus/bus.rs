//! Keeps events in the memory of this process: a bus in a crate that depends on `hooks-core` alone.
//!
//! All hooks read one log, and each has a cursor in it. An event leaves the log when every hook has settled it.

mod cursor;
mod log;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hooks_core::uuid::Uuid;
use hooks_core::{
    Bus, BusError, HookId, Lag, Position, Slice, async_trait,
    bus::{
        BusConfig, BusMonitor, BusPlugin, BusStats, BusTraits, Delivery, OpenBusError, OpenedBus, Published, Purpose,
        Read, Reader, Settle, Settler, Subscription, refuse_reserved,
    },
    inventory, schemars, serde, uuid_v7,
};

use cursor::Cursor;
use log::Log;

/// Keeps events in a log in the memory of this process.
#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "hooks_core::serde", default, deny_unknown_fields)]
#[schemars(crate = "hooks_core::schemars")]
struct VecConfig {
    /// Most events of the log. A full log accepts no more until the hook that is furthest behind has settled some.
    max_events: NonZeroUsize,
}

inventory::submit! { BusPlugin::of::<VecConfig>() }

impl Default for VecConfig {
    fn default() -> Self {
        Self { max_events: NonZeroUsize::MIN.saturating_add(9_999) }
    }
}

#[async_trait]
impl BusConfig for VecConfig {
    const KIND: &'static str = "vec";
    const TRAITS: BusTraits = BusTraits::new().keeps_events().atomic();

    async fn open(&self, _purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
        let log = Arc::new(Mutex::new(Log::new(self.max_events.get())));
        Ok(OpenedBus::new(Arc::new(VecBus { id: uuid_v7(), log })))
    }
}

/// No lock is held across an `await`.
fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

struct VecBus {
    id: Uuid,
    log: Arc<Mutex<Log>>,
}

#[async_trait]
impl Bus for VecBus {
    fn log_id(&self) -> Uuid {
        self.id
    }

    fn traits(&self) -> BusTraits {
        VecConfig::TRAITS
    }

    // Nothing waits in here, so a call that is dropped has published everything or nothing.
    async fn publish(&self, slice: Slice) -> Result<Published, BusError> {
        refuse_reserved(&slice)?;
        lock(&self.log).publish(&slice).map(|()| Published::new(slice.len()))
    }

    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        let (id, ledger) = (subscription.hook.clone(), subscription.ledger.clone());
        let reader = lock(&self.log).subscribe(subscription)?;
        let hook = Hook { id, reader, log: self.log.clone() };
        Ok((Box::new(hook.clone()), Settler::new(Arc::new(hook), ledger)))
    }

    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError> {
        lock(&self.log).unsubscribe(hook);
        Ok(())
    }

    async fn close(&self) {
        lock(&self.log).close();
    }

    // `hooks` is left out: this bus keeps nothing about hooks beside their cursors, so it can't have hooks that are
    // defined while it runs.
    fn monitor(&self) -> &dyn BusMonitor {
        self
    }
}

impl BusMonitor for VecBus {
    fn lag(&self, hook: &HookId) -> Option<Lag> {
        let log = lock(&self.log);
        let mut lag = Lag { exact: true, ..Lag::default() };
        for (accepted, event) in log.unsettled(log.cursors.get(hook)?) {
            lag.events += 1;
            lag.bytes += event.envelope().len() as u64;
            lag.oldest.get_or_insert(*accepted);
        }
        Some(lag)
    }

    fn stats(&self) -> BusStats {
        BusStats::accepted(lock(&self.log).end())
    }
}

/// A reader of a hook, and the settler of all its readers.
#[derive(Clone)]
struct Hook {
    id: HookId,
    /// Number of the reader.
    reader: u64,
    log: Arc<Mutex<Log>>,
}

impl Hook {
    /// Changes the hook's cursor, unless the hook was removed.
    fn change(&self, change: impl FnOnce(&mut Cursor)) {
        lock(&self.log).cursors.get_mut(&self.id).map(change);
    }
}

impl Settle for Hook {
    fn settle(&self, positions: &[Position]) -> usize {
        lock(&self.log).settle(&self.id, positions)
    }
}

#[async_trait]
impl Reader for Hook {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        // A call that is dropped has taken nothing: events are taken in the poll that returns them.
        Ok(poll_fn(|context| lock(&self.log).poll_next(&self.id, self.reader, context.waker(), max, into)).await)
    }

    fn close(&mut self) {
        let end = lock(&self.log).end();
        self.change(|cursor| cursor.end = Some(end));
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        self.change(|cursor| cursor.filter = subscription.filter);
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.change(|cursor| cursor.enabled = enabled);
    }
}
