//! Events that wait to be sent again beside the live ones: dead letters that are replayed, and past events.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::piece::Settlement;
use crate::attempt::Trigger;
use crate::bus::Delivery;

/// The worker ended while events were in flight, or before any was tried.
pub(crate) const CUT_OFF: &str =
    "the hook was changed or stopped meanwhile: do it again, events in flight may arrive twice";

/// The fence: only the instance that has the hook delivers.
pub(super) const ELSEWHERE: &str =
    "another instance has the hook now, or this one can't tell: do it again, events in flight may arrive twice";

/// Events to be sent again, and the channel for their outcomes.
#[derive(Debug)]
pub(crate) struct Resend {
    /// The call that sends them: names of its batches derive from it.
    pub(crate) run: Uuid,
    pub(crate) deliveries: Vec<Delivery>,
    /// The reason, for the record.
    pub(crate) trigger: Trigger,
    /// Has room for one settlement of each. It is closed when nothing more is tried.
    pub(crate) reply_to: mpsc::Sender<Settlement>,
}

/// The events that wait for a hook's first lane. Each caller waits for the end of its own, so callers bound the queue.
#[derive(Debug, Default)]
pub(crate) struct ResendQueue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Resend>,
    /// The channel of the resend that was taken last.
    taken: Option<mpsc::WeakSender<Settlement>>,
    /// The worker has ended, or is about to.
    is_closed: bool,
}

impl ResendQueue {
    /// Appends. `reply_to` is dropped if the worker has ended, or ends before it takes this.
    pub(crate) fn push(&self, resend: Resend) {
        let mut state = self.state.lock();
        if !state.is_closed {
            state.waiting.push_back(resend);
            self.arrived.notify_one();
        }
    }

    /// Closes the queue and drops the waiting events.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        (state.is_closed, state.waiting) = (true, VecDeque::new());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    /// Returns true if no event waits and none is in flight.
    pub(super) fn is_done(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && state.taken.as_ref().is_none_or(|reply_to| reply_to.strong_count() == 0)
    }

    pub(super) fn take(&self) -> Option<Resend> {
        let mut state = self.state.lock();
        let resend = state.waiting.pop_front()?;
        state.taken = Some(resend.reply_to.downgrade());
        Some(resend)
    }

    /// Waits until events have arrived. May return although they were taken since.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
