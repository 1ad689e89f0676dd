//! Observation of the Postgres bus.

use std::sync::atomic::Ordering;

use hooks_core::{
    BusError, HookId, Lag, Position,
    bus::{BusHealth, BusMonitor, BusStats, HookStore as _, Instances as _},
};
use parking_lot::Mutex;

use super::connect::message;
use super::{Inner, PostgresBus};

/// What keeps the bus from working, beside a connection that is lost.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<String>>);

impl Health {
    pub(super) fn fails(&self, error: BusError) {
        *self.0.lock() = Some(message(error));
    }

    pub(super) fn works(&self) {
        *self.0.lock() = None;
    }
}

impl Inner {
    /// The trouble that keeps the bus from working, if there is any.
    pub(super) fn trouble(&self) -> Option<String> {
        let links = [&self.work, &self.publishing, &self.reading];
        links.into_iter().find_map(|link| link.trouble()).or_else(|| self.health.0.lock().clone())
    }

    /// The events between a hook's last checkpoint and the end of the log.
    fn committed_lag(&self, hook: &HookId) -> Option<Lag> {
        let position = self.registry.lock().hooks.get(hook)?.position;
        let events = self.tail.last().saturating_sub(position);
        Some(Lag { events, bytes: events * self.tail.average(), oldest: None, exact: events == 0 })
    }
}

impl BusMonitor for PostgresBus {
    /// Exact for a hook that this instance owns; `None` if another owns one that this instance has. For any other
    /// hook, by its last checkpoint.
    fn lag(&self, hook: &HookId) -> Option<Lag> {
        let inner = &self.inner;
        let here = inner.hooks.lock().get(hook).cloned();
        match here {
            Some(here) => here.lag(inner.tail.last(), inner.tail.average()).or_else(|| {
                // Without an owner, the checkpoint is all there is.
                let unowned = !inner.is_owned_elsewhere(&here);
                unowned.then(|| inner.committed_lag(hook)).flatten()
            }),
            None => inner.committed_lag(hook),
        }
    }

    fn position(&self, hook: &HookId) -> Option<Position> {
        self.place(hook).map(|place| Position::new(place.position.saturating_add(1)))
    }

    fn stats(&self) -> BusStats {
        let stats = BusStats::accepted(self.inner.accepted.load(Ordering::Relaxed));
        let size = &self.inner.log_size;
        let window = self.inner.config.duplicate_window.get();
        let stats = match window.is_zero() {
            true => stats,
            false => {
                stats.duplicates(self.inner.known.load(Ordering::Relaxed)).duplicate_window(size.known_for(window))
            }
        };
        stats
            .log_bytes(size.bytes())
            .log_retained_bytes(size.retained())
            .log_max_bytes(self.inner.config.max_bytes.bytes())
    }

    fn details(&self) -> serde_json::Value {
        let inner = &self.inner;
        serde_json::json!({
            "bus": "postgres",
            "database": inner.config.database,
            "servers": inner.config.hosts,
            "connected": inner.work.trouble().is_none(),
            "last_position": inner.tail.last(),
            "bytes": inner.log_size.bytes(),
            "refused_events": inner.log_size.refused(),
            "refused_events_gone": inner.log_size.refused_gone(),
            "repeated_events": inner.log_size.repeated(),
            "instances": self.living(),
            "hooks": self.known_hooks().iter().filter_map(|hook| self.hook_details(hook)).collect::<Vec<_>>(),
        })
    }

    fn health(&self) -> BusHealth {
        self.inner.trouble().map_or(BusHealth::Well, BusHealth::Unavailable)
    }
}
