//! Hooks whose override another process has set, until this one follows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hooks_core::HookId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::hook::Hook;

/// Hooks whose override another process has set and this one does not follow yet. Each is there at most once.
#[derive(Debug)]
pub(crate) struct Unfollowed<T, F> {
    queue: Mutex<Queue<T, F>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Queue<T, F> {
    waiting: VecDeque<Arc<Hook<T, F>>>,
    /// Hooks whose override is being followed.
    in_progress: HashMap<HookId, Arc<Hook<T, F>>>,
    /// The dispatcher follows overrides, so hooks can be paused until it has.
    follows: bool,
}

impl<T, F> Default for Unfollowed<T, F> {
    fn default() -> Self {
        let queue = Queue { waiting: VecDeque::new(), in_progress: HashMap::new(), follows: false };
        Self { queue: Mutex::new(queue), arrived: Notify::new() }
    }
}

impl<T, F> Unfollowed<T, F> {
    /// Adds a hook with a new override.
    pub(crate) fn push(&self, hook: Arc<Hook<T, F>>) {
        let mut queue = self.queue.lock();
        if hook.override_arrived(queue.follows) {
            queue.waiting.push_back(hook);
            self.arrived.notify_one();
        }
    }

    pub(crate) async fn next(&self) -> HookId {
        loop {
            {
                let mut queue = self.queue.lock();
                queue.follows = true;
                if let Some(hook) = queue.waiting.pop_front() {
                    hook.override_started();
                    queue.in_progress.insert(hook.id.clone(), hook.clone());
                    return hook.id.clone();
                }
            }
            self.arrived.notified().await;
        }
    }

    pub(crate) fn followed(&self, hook: &HookId) {
        if let Some(hook) = self.queue.lock().in_progress.remove(hook) {
            hook.override_followed();
        }
    }
}
