//! Whether something was noted about the hook that is not heeded yet. Until it is, the hook may be held.

use super::Hook;

/// How far heeding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Heeding {
    #[default]
    Done,
    Waits,
    /// It is being heeded.
    Given,
}

impl Hook {
    /// Something was noted; with `hold`, nothing is delivered until that is heeded. Returns whether somebody
    /// has to be told.
    pub(in crate::nats) fn note_arrived(&self, hold: bool) -> bool {
        let mut state = self.state.lock();
        state.held |= hold;
        if hold {
            self.changed.notify_one();
        }
        std::mem::replace(&mut state.heeding, Heeding::Waits) != Heeding::Waits
    }

    pub(in crate::nats) fn note_given(&self) {
        self.state.lock().heeding = Heeding::Given;
    }

    pub(in crate::nats) fn note_heeded(&self) {
        let mut state = self.state.lock();
        // Unless something else was noted meanwhile.
        if state.heeding == Heeding::Given {
            state.heeding = Heeding::Done;
            state.held = false;
            self.changed.notify_one();
        }
    }
}
