//! What keeps the log from doing its work, if anything.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hooks_core::{BusHealth, HumanDuration};
use parking_lot::Mutex;

/// A disk that is slow takes less. In seconds.
const HANG_SECONDS: u64 = 10;

/// What is wrong now.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// What the disk holds is not known since this happened: only a new start finds out.
    broken: OnceLock<String>,
    /// Why no file of the log could be begun when that was last tried. Nothing has changed by that.
    pub(crate) beginning: Trouble,
    /// Why positions could not be kept when that was last tried.
    pub(crate) checkpointing: Trouble,
    /// Why a file that nobody needs could not be removed when that was last tried. Nothing but the disk suffers.
    pub(crate) removing: Trouble,
    /// Since when the log is being written, by a clock that nobody can set. 0 while it is not.
    writing: AtomicU64,
}

impl Health {
    /// For good. The first reason is the one that counts.
    pub(crate) fn set_broken(&self, why: String) {
        let _ = self.broken.set(why);
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// Whether something is wrong that may pass.
    pub(crate) fn may_pass(&self) -> bool {
        [&self.beginning, &self.checkpointing, &self.removing].into_iter().any(Trouble::is_there)
    }

    /// The log is being written from now on, in seconds.
    pub(crate) fn begin_write(&self, now: u64) {
        self.writing.store(now.max(1), Ordering::Relaxed);
    }

    pub(crate) fn end_write(&self) {
        self.writing.store(0, Ordering::Relaxed);
    }

    /// What a disk that neither writes nor fails keeps from being accepted.
    fn hangs(&self, now: u64) -> Option<String> {
        let since = self.writing.load(Ordering::Relaxed);
        let waited = Some(now.saturating_sub(since)).filter(|waited| since > 0 && *waited >= HANG_SECONDS)?;
        let waited = HumanDuration(Duration::from_secs(waited));
        Some(format!("the disk has not answered for {waited}: nothing is accepted until it does"))
    }

    pub(crate) fn get(&self, now: u64) -> BusHealth {
        if let Some(why) = self.broken() {
            return BusHealth::Broken(why.to_owned());
        }
        let passing = [&self.beginning, &self.checkpointing].into_iter().find_map(|trouble| trouble.0.lock().clone());
        passing.or_else(|| self.hangs(now)).map_or(BusHealth::Well, BusHealth::Unavailable)
    }
}

/// Something that may pass.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Option<String>>);

impl Trouble {
    /// Returns whether that is news.
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
