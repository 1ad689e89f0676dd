//! The outcome of the latest reload of a configuration, for metrics and operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

/// The outcome of the latest reload. Whoever reads the configuration reports to it.
#[derive(Debug, Default)]
pub struct Reloads {
    failure: Mutex<Option<String>>,
    /// Milliseconds since 1970.
    applied_at: AtomicU64,
}

impl Reloads {
    /// The configuration was applied now.
    pub fn succeed(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.applied_at.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        *self.failure.lock() = None;
    }

    /// The configuration was not applied, or not as a whole.
    pub fn fail(&self, why: &str) {
        *self.failure.lock() = Some(why.to_owned());
    }

    /// The reason why the latest reload was not applied, or not as a whole; `None` if it was.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// When a configuration was last applied, in seconds since 1970.
    pub fn applied_at(&self) -> f64 {
        self.applied_at.load(Ordering::Relaxed) as f64 / 1000.0
    }
}
