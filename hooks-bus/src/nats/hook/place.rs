//! A hook's place in the stream, for the tasks that check it from outside of its reader.

use hooks_core::Lag;

use super::Hook;
use crate::nats::step::{FeedState, Place};

impl Hook {
    /// The hook's place, if it has read everything that the server had for it.
    pub(in crate::nats) fn place(&self) -> Option<Place> {
        self.place_if(|feed| feed.pending == 0)
    }

    /// The hook's place, if its reader waits for events.
    pub(in crate::nats) fn waiting_place(&self) -> Option<Place> {
        self.place_if(|feed| feed.waiting)
    }

    fn place_if(&self, condition: impl Fn(&FeedState) -> bool) -> Option<Place> {
        let state = self.state.lock();
        let feed = state.feed.as_ref().filter(|feed| condition(feed))?;
        let reads = state.is_usable() && state.next.is_none();
        reads.then(|| Place {
            version: state.version,
            after: state.cursor.read_to(),
            subjects: feed.subjects.clone(),
            opened: feed.opened,
        })
    }

    /// Reopens the feed: events for the hook lie behind this place, and the feed does not bring them.
    pub(in crate::nats) fn reopen(&self, place: &Place) {
        let mut state = self.state.lock();
        if state.version == place.version && state.cursor.read_to() == place.after {
            state.version += 1;
            self.changed.notify_one();
        }
    }

    /// Moves the hook to here: no event for it lies between this place and here.
    pub(in crate::nats) fn pass(&self, place: &Place, up_to: u64) {
        let mut state = self.state.lock();
        let same = state.version == place.version && state.cursor.read_to() == place.after;
        if same && state.is_usable() && state.next.is_none() {
            state.cursor.pass(up_to);
        }
    }

    /// The hook's unsettled events, if this instance owns it. `end`: the end of the stream; `average`: bytes of an
    /// event.
    pub(in crate::nats) fn lag(&self, end: u64, average: u64) -> Option<Lag> {
        let state = self.state.lock();
        state.owned_revision?;
        let (events, bytes) = state.cursor.in_flight();
        let (waiting, exact) = match (&state.feed, &state.next) {
            (Some(feed), None) => {
                let known = feed.end.max(state.cursor.read_to());
                let since = if feed.waiting { 0 } else { end.saturating_sub(known) };
                let exact = feed.pending + since == 0 || (feed.exact && (feed.all || since == 0));
                (feed.pending + since, exact)
            }
            _ => {
                let from = state.next.as_ref().unwrap_or(&state.cursor).position();
                (end.saturating_sub(from), end <= from)
            }
        };
        Some(Lag {
            events: events as u64 + waiting,
            bytes: bytes as u64 + waiting * average,
            oldest: state.cursor.oldest(),
            exact,
        })
    }
}
