//! A dispatcher on a bus, and settings of its hooks.

use std::sync::Arc;

use hooks_core::{BatchLimits, Bus, DisabledBy, Dispatcher, Envelope, Hook, HookId, HookStatus, Overflow, QueueLimits};

use crate::model::ModelBus;
use crate::together;

/// A dispatcher on a bus, which is the model where a test names no other.
pub struct World<B = ModelBus> {
    /// The bus.
    pub bus: Arc<B>,
    /// Delivers its events.
    pub dispatcher: Dispatcher,
}

impl World {
    /// On the model, with nothing in it.
    pub fn new() -> Self {
        Self::on(ModelBus::alone())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Bus + 'static> World<B> {
    /// On this bus.
    pub fn on(bus: B) -> Self {
        let bus = Arc::new(bus);
        Self { dispatcher: Dispatcher::new(bus.clone()), bus }
    }

    /// Adds a hook.
    pub async fn add(&self, hook: Hook) {
        self.dispatcher.add(hook).await.unwrap();
    }

    /// Publishes these together.
    pub async fn publish(&self, events: &[Envelope]) {
        self.bus.publish(together(events)).await.unwrap();
    }

    /// The status of a hook, whose ledger balances.
    pub fn status(&self, hook: &str) -> HookStatus {
        let status = self.dispatcher.status().into_iter().find(|status| status.id.as_str() == hook).unwrap();
        assert!(status.counts.balances(), "{}", status.counts);
        status
    }

    /// Shuts down without a limit; every ledger balances.
    pub async fn finish_leaving_some(&self) -> Vec<HookStatus> {
        let report = self.dispatcher.shutdown(None).await;
        for hook in &report.hooks {
            assert!(hook.counts.balances(), "{}: {}", hook.id, hook.counts);
        }
        report.hooks
    }

    /// Shuts down without a limit; every ledger balances with nothing in hand.
    pub async fn finish(&self) -> Vec<HookStatus> {
        let hooks = self.finish_leaving_some().await;
        for hook in &hooks {
            assert_eq!(hook.counts.in_flight, 0, "{}: {}", hook.id, hook.counts);
        }
        hooks
    }
}

/// Waits until a receiver has disabled its hook, and names the hook. Hooks that already are count.
pub async fn disabled(dispatcher: &Dispatcher) -> HookId {
    let mut changes = dispatcher.changes();
    loop {
        let hook = changes.next().await.unwrap();
        if hook.is_disabled_by(DisabledBy::Receiver) {
            return hook.id;
        }
    }
}

/// The id of a hook.
pub fn id(id: &str) -> HookId {
    HookId::new(id).unwrap()
}

/// Batches of at most so many events, which leave at this age.
pub fn batch(max_events: usize, max_age: &str) -> BatchLimits {
    BatchLimits::default().max_events(max_events.try_into().unwrap()).max_age(max_age.parse().unwrap())
}

/// A queue of at most so many events.
pub fn queue(max_events: usize, overflow: Overflow) -> QueueLimits {
    QueueLimits::default().max_events(max_events.try_into().unwrap()).overflow(overflow)
}
