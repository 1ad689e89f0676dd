//! What the NATS bus adds to a hook that instances share: its place in the stream, and which hook of its name it is.

mod origin;
mod place;

use super::definitions::Origin;
use super::step::FeedState;
use crate::sharing;

pub(super) type Hook = sharing::Hook<Tag, FeedState>;

/// What a hook is known by on the server.
#[derive(Debug)]
pub(super) struct Tag {
    /// Its name in keys and subjects.
    pub(super) token: String,
    /// Where it began, if it was defined.
    pub(super) origin: Option<Origin>,
}

impl Hook {
    /// Marks the reader as waiting for events until the result is dropped.
    pub(super) fn waits(&self) -> Waiting<'_> {
        self.set_waiting(true);
        Waiting(self)
    }

    fn set_waiting(&self, waiting: bool) {
        if let Some(feed) = &mut self.state.lock().feed {
            feed.waiting = waiting;
        }
    }
}

/// Marks a reader as waiting for events.
pub(super) struct Waiting<'a>(&'a Hook);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set_waiting(false);
    }
}
