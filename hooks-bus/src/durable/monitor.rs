//! Observation of the durable bus.

use std::sync::atomic::Ordering;

use hooks_core::{
    HookId, Lag, Position, TenantId,
    bus::{BusHealth, BusMonitor, BusStats},
    serde_json,
};

use super::DurableBus;

impl BusMonitor for DurableBus {
    fn lag(&self, hook: &HookId) -> Option<Lag> {
        self.0.inner.lag(hook)
    }

    fn position(&self, hook: &HookId) -> Option<Position> {
        let inner = &self.0.inner;
        let end = inner.dispatched();
        // One that has no place before the end is done with all that was there.
        inner.hooks.knows(hook).then(|| Position::new(inner.hooks.committed(hook).unwrap_or(end)))
    }

    fn tenant_bytes(&self, tenant: &TenantId) -> Option<u64> {
        self.0.inner.tenant_bytes(tenant)
    }

    fn health(&self) -> BusHealth {
        let inner = &self.0.inner;
        if let Some(trouble) = self.0.trouble() {
            return BusHealth::Broken(trouble);
        }
        let storage = &inner.storage;
        storage.store.trouble().map_or_else(|| storage.health.get(storage.clock.steady()), BusHealth::Broken)
    }

    fn details(&self) -> serde_json::Value {
        serde_json::to_value(self.info()).unwrap_or_default()
    }

    fn stats(&self) -> BusStats {
        let inner = &self.0.inner;
        let known = inner.known.load(Ordering::Relaxed);
        let stats = BusStats::accepted(inner.accepted.load(Ordering::Relaxed) + known);
        let window = inner.duplicates.lock().window(inner.storage.clock.steady().cast_signed());
        let stats = window.map_or(stats, |window| stats.duplicates(known).duplicate_window(window));
        let stats = stats.log_bytes(inner.storage.log.size()).log_max_bytes(inner.config.max_bytes.bytes());
        let stats = stats.log_retained_bytes(inner.retained_bytes()).log_oldest(inner.oldest());
        stats.log_is_damaged(inner.storage.log.is_damaged())
    }
}
