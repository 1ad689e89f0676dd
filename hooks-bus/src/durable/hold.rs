//! Keeps the log from dropping anything before all hooks are subscribed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The time until which the log drops nothing, whatever its age and however full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Until all hooks are subscribed: by `all_subscribed`, or by the first `publish`.
    UntilPublished,
    /// As long as it is open, because its hooks don't run.
    Always,
}

/// What decides whether the log drops events, beside its settings.
#[derive(Debug)]
pub(crate) struct Retention {
    pub(crate) holding: Holding,
    /// The warning that the log is nearly full was logged.
    pub(crate) nearly_full: AtomicBool,
    /// Every hook has settled every event before this position, as the database has it.
    pub(crate) passed: AtomicU64,
}

impl Retention {
    pub(crate) fn new(hold: Hold, passed: u64) -> Self {
        Self { holding: Holding::new(hold), nearly_full: AtomicBool::new(false), passed: passed.into() }
    }
}

/// The hold, and whether it is over.
#[derive(Debug)]
pub(crate) struct Holding {
    hold: Hold,
    released: AtomicBool,
}

impl Holding {
    fn new(hold: Hold) -> Self {
        Self { hold, released: AtomicBool::new(false) }
    }

    /// Ends the hold, because all hooks are subscribed.
    pub(crate) fn release(&self) {
        self.released.store(self.hold == Hold::UntilPublished, Ordering::Release);
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}
