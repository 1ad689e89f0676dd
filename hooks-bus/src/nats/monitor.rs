//! Observation of the NATS bus.

use std::sync::atomic::{AtomicU64, Ordering};

use hooks_core::{
    HookId, Lag, Position,
    bus::{BusHealth, BusMonitor, BusStats, HookStore as _, Instances as _},
};

use super::{NatsBus, connect};

impl BusMonitor for NatsBus {
    /// Exact for a hook that this instance owns; `None` if another owns one that this instance has. For any other
    /// hook, by its last checkpoint.
    fn lag(&self, hook: &HookId) -> Option<Lag> {
        let here = self.inner.hooks.lock().get(hook).cloned();
        match here {
            Some(here) => here.lag(self.inner.tail().last, self.inner.tail().average()).or_else(|| {
                // Without an owner, the checkpoint is all there is.
                let unowned = !self.inner.is_owned_elsewhere(&here);
                unowned.then(|| self.inner.committed_lag(hook)).flatten()
            }),
            None => self.inner.committed_lag(hook),
        }
    }

    fn position(&self, hook: &HookId) -> Option<Position> {
        self.place(hook).map(|place| Position::new(place.position.saturating_add(1)))
    }

    fn stats(&self) -> BusStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = BusStats::accepted(count(&self.inner.accepted)).duplicates(count(&self.inner.duplicates));
        stats.log_bytes(self.inner.tail().bytes)
    }

    fn details(&self) -> serde_json::Value {
        let (inner, tail) = (&self.inner, self.inner.tail());
        let server = inner.client.server_info();
        serde_json::json!({
            "bus": "nats",
            "server": format!("{} {} ({}:{})", server.server_name, server.version, server.host, server.port),
            "connected": connect::connected(&inner.client).is_ok(),
            "stream": inner.config.name,
            "events": tail.messages,
            "bytes": tail.bytes,
            "first_position": tail.first,
            "last_position": tail.last,
            "instances": self.living(),
            "hooks": self.known_hooks().iter().filter_map(|hook| self.hook_details(hook)).collect::<Vec<_>>(),
        })
    }

    fn health(&self) -> BusHealth {
        self.inner.trouble().map_or(BusHealth::Well, BusHealth::Unavailable)
    }
}
