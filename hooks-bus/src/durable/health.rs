//! The health of the log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::{HumanDuration, bus::BusHealth};
use parking_lot::Mutex;

/// Seconds without an answer after which the disk counts as hanging. A slow one takes less.
const HANG_SECONDS: u64 = 10;

/// Current problems of the log.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The error that made the contents of the disk unknown. Only a restart can check them.
    broken: OnceLock<String>,
    /// The last error of beginning a file of the log. It changed nothing.
    pub(crate) beginning: Trouble,
    /// The last error of writing checkpoints.
    pub(crate) checkpointing: Trouble,
    /// The last error of removing a file that no hook needs. It only costs disk space.
    pub(crate) removing: Trouble,
    /// The time when the current write began, by the clock that can't be set. 0 without one.
    writing: AtomicU64,
}

impl Health {
    /// Marks the log as broken until a restart. The first reason stays.
    pub(crate) fn set_broken(&self, why: String) {
        let _ = self.broken.set(why);
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// True while there is a problem that may pass.
    pub(crate) fn may_pass(&self) -> bool {
        [&self.beginning, &self.checkpointing, &self.removing].into_iter().any(Trouble::is_there)
    }

    /// Records the time, in seconds, when a write begins.
    pub(crate) fn begin_write(&self, now: u64) {
        self.writing.store(now.max(1), Ordering::Relaxed);
    }

    pub(crate) fn end_write(&self) {
        self.writing.store(0, Ordering::Relaxed);
    }

    /// The problem of a disk that neither writes nor fails.
    fn hangs(&self, now: u64) -> Option<String> {
        let since = self.writing.load(Ordering::Relaxed);
        let waited = Some(now.saturating_sub(since)).filter(|waited| since > 0 && *waited >= HANG_SECONDS)?;
        let waited = HumanDuration::new(Duration::from_secs(waited));
        Some(format!("the disk has not answered for {waited}: no event is accepted until it does"))
    }

    pub(crate) fn get(&self, now: u64) -> BusHealth {
        if let Some(why) = self.broken() {
            return BusHealth::Broken(why.to_owned());
        }
        let passing = [&self.beginning, &self.checkpointing].into_iter().find_map(|trouble| trouble.0.lock().clone());
        passing.or_else(|| self.hangs(now)).map_or(BusHealth::Well, BusHealth::Unavailable)
    }
}

/// A problem that may pass.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// Sets the error. Returns whether there was none before.
    pub(crate) fn begins(&self, why: String) -> bool {
        self.0.lock().replace(why).is_none()
    }

    pub(crate) fn ends(&self) {
        *self.0.lock() = None;
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.lock().is_some()
    }
}
