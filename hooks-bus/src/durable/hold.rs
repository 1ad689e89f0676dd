//! When the bus may begin to give up what nobody needs, or nobody may have any more.

use std::sync::atomic::{AtomicBool, Ordering};

/// How long everything is kept, whatever its age and however full the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Until all hooks are here: that is said, or somebody publishes.
    UntilPublished,
    /// For whoever looks, or operates on a log whose hooks don't run.
    Always,
}

/// Whether everything is still kept.
#[derive(Debug)]
pub(crate) struct Holding {
    hold: Hold,
    released: AtomicBool,
}

impl Holding {
    pub(crate) fn new(hold: Hold) -> Self {
        Self { hold, released: AtomicBool::new(false) }
    }

    /// All hooks are here.
    pub(crate) fn release(&self) {
        self.released.store(self.hold == Hold::UntilPublished, Ordering::Release);
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}
