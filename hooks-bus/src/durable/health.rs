//! What keeps the log from doing its work, if anything.

use std::sync::OnceLock;

use hooks_core::BusHealth;
use parking_lot::Mutex;

/// What is wrong now.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// What the disk holds is not known since this happened: only a new start finds out.
    broken: OnceLock<String>,
    /// Why no file of the log could be begun when that was last tried. Nothing has changed by that.
    pub(crate) beginning: Trouble,
    /// Why positions could not be kept when that was last tried.
    pub(crate) keeping: Trouble,
}

impl Health {
    /// For good. The first reason is the one that counts.
    pub(crate) fn breaks(&self, why: String) {
        let _ = self.broken.set(why);
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    /// Whether something is wrong that may pass.
    pub(crate) fn may_pass(&self) -> bool {
        self.beginning.is_there() || self.keeping.is_there()
    }

    pub(crate) fn get(&self) -> BusHealth {
        if let Some(why) = self.broken() {
            return BusHealth::Broken(why.to_owned());
        }
        let passing = [&self.beginning, &self.keeping].into_iter().find_map(|trouble| trouble.0.lock().clone());
        passing.map_or(BusHealth::Well, BusHealth::Unavailable)
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
