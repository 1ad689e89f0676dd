//! Whether the hook has another override that is not followed yet. Until it is, the hook may be held.

use super::Hook;

/// How far following is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Following {
    #[default]
    Done,
    Waiting,
    /// It is being followed.
    InProgress,
}

impl Hook {
    /// The override is another one; with `pause`, nothing is delivered until that is followed. Returns whether somebody
    /// has to be told.
    pub(in crate::nats) fn override_arrived(&self, pause: bool) -> bool {
        let mut state = self.state.lock();
        state.paused |= pause;
        if pause {
            self.changed.notify_one();
        }
        std::mem::replace(&mut state.following, Following::Waiting) != Following::Waiting
    }

    pub(in crate::nats) fn override_started(&self) {
        self.state.lock().following = Following::InProgress;
    }

    pub(in crate::nats) fn override_followed(&self) {
        let mut state = self.state.lock();
        // Unless another was set meanwhile.
        if state.following == Following::InProgress {
            state.following = Following::Done;
            state.paused = false;
            self.changed.notify_one();
        }
    }
}
