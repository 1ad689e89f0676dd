//! A hook's new override, until it is followed. Until then the hook may be paused.

use super::Hook;

/// The state of following a hook's override.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Following {
    #[default]
    Done,
    Waiting,
    /// It is being followed.
    InProgress,
}

impl<T, F> Hook<T, F> {
    /// The hook has a new override; with `pause`, nothing is delivered until it is followed. Returns true if the hook
    /// must be queued for that.
    pub(crate) fn override_arrived(&self, pause: bool) -> bool {
        let mut state = self.state.lock();
        state.paused |= pause;
        if pause {
            self.changed.notify_one();
        }
        std::mem::replace(&mut state.following, Following::Waiting) != Following::Waiting
    }

    pub(crate) fn override_started(&self) {
        self.state.lock().following = Following::InProgress;
    }

    pub(crate) fn override_followed(&self) {
        let mut state = self.state.lock();
        // Unless another was set in between.
        if state.following == Following::InProgress {
            state.following = Following::Done;
            state.paused = false;
            self.changed.notify_one();
        }
    }
}
