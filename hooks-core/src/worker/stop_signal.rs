//! The signal that tells a hook's worker to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// The mode of a worker. It only becomes more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Mode {
    #[default]
    Run,
    /// Deliver everything there is, then end.
    Drain,
    /// End now; events in flight stay unsettled.
    Park,
}

/// Passes a [`Mode`] to all parts of a worker. A `tokio::sync::watch` would do, at ten times the memory,
/// which counts with a hundred thousand hooks.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopSignal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    mode: AtomicU8,
    changed: Notify,
}

impl StopSignal {
    /// Sends the mode to all parts. A less urgent mode than the current one has no effect.
    pub(crate) fn send(&self, mode: Mode) {
        self.0.mode.fetch_max(mode as u8, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }

    pub(crate) fn mode(&self) -> Mode {
        match self.0.mode.load(Ordering::Acquire) {
            0 => Mode::Run,
            1 => Mode::Drain,
            _ => Mode::Park,
        }
    }

    /// Waits until the mode is more urgent than `seen`. Cancel safe.
    pub(crate) async fn raised_above(&self, seen: Mode) {
        loop {
            let changed = self.0.changed.notified();
            if self.mode() > seen {
                return;
            }
            changed.await;
        }
    }
}
