//! What is to be sent again beside the live events, and waits for its turn: dead letters that are replayed.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::piece::Settlement;
use crate::bus::Delivery;

/// The worker ended while something was on its way, or before anything was tried.
pub(crate) const CUT_OFF: &str =
    "the hook was changed or stopped meanwhile: replay again, what was on its way may arrive twice";

/// The fence: what was read by another instance is another instance's to deliver.
pub(super) const ELSEWHERE: &str =
    "another instance has the hook now, or this one can't tell: replay again, what was on its way may arrive twice";

/// Events to be sent again, and who wants to know what comes of them.
#[derive(Debug)]
pub(crate) struct Resend {
    pub(crate) deliveries: Vec<Delivery>,
    /// Has room for one settlement of each. It is closed when nothing more is tried.
    pub(crate) reply_to: mpsc::Sender<Settlement>,
}

/// What waits for a hook's first lane. Whoever asks waits for the end, so there is no more of it than callers.
#[derive(Debug, Default)]
pub(crate) struct ResendQueue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Resend>,
    /// Who asked for what was taken last.
    taken: Option<mpsc::WeakSender<Settlement>>,
    /// The worker has ended, or is about to.
    is_closed: bool,
}

impl ResendQueue {
    /// When the worker has ended, or ends before its turn comes, `reply_to` is dropped.
    pub(crate) fn push(&self, resend: Resend) {
        let mut state = self.state.lock();
        if !state.is_closed {
            state.waiting.push_back(resend);
            self.arrived.notify_one();
        }
    }

    /// Nothing more will be taken.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        (state.is_closed, state.waiting) = (true, VecDeque::new());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    /// Whether nothing waits and nothing is on its way.
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

    /// Waits until something has arrived. May return although it was taken since.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
