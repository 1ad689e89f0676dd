//! Whether the hook has another override that is not followed yet. Until it is, the hook may be held.

use super::Hook;

/// How far following is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Following {
    #[default]
    Done,
    Waits,
    /// It is being followed.
    Given,
}

impl Hook {
    /// The override is another one; with `hold`, nothing is delivered until that is followed. Returns whether somebody
    /// has to be told.
    pub(in crate::nats) fn override_arrived(&self, hold: bool) -> bool {
        let mut state = self.state.lock();
        state.held |= hold;
        if hold {
            self.changed.notify_one();
        }
        std::mem::replace(&mut state.following, Following::Waits) != Following::Waits
    }

    pub(in crate::nats) fn override_given(&self) {
        self.state.lock().following = Following::Given;
    }

    pub(in crate::nats) fn override_followed(&self) {
        let mut state = self.state.lock();
        // Unless another was set meanwhile.
        if state.following == Following::Given {
            state.following = Following::Done;
            state.held = false;
            self.changed.notify_one();
        }
    }
}
