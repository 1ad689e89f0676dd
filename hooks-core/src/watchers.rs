//! Who waits for changes of hooks' states: each has the names of the hooks that changed, each name once.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::id::HookId;

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<Weak<Watcher>>>);

/// One of them.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    changed: Mutex<Changed>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Changed {
    hooks: BTreeSet<HookId>,
    /// The hook named last: the next one is behind it, so that none that changes all the time hides others.
    last: Option<HookId>,
    closed: bool,
}

impl Watchers {
    pub(crate) fn watch(&self) -> Arc<Watcher> {
        let watcher = Arc::<Watcher>::default();
        let mut all = self.0.lock();
        all.retain(|watcher| watcher.strong_count() > 0);
        all.push(Arc::downgrade(&watcher));
        watcher
    }

    pub(crate) fn changed(&self, hook: &HookId) {
        self.each(|changed| changed.hooks.extend([hook.clone()]));
    }

    /// Nothing changes any more.
    pub(crate) fn close(&self) {
        self.each(|changed| changed.closed = true);
    }

    fn each(&self, tell: impl Fn(&mut Changed)) {
        for watcher in self.0.lock().iter().filter_map(Weak::upgrade) {
            tell(&mut watcher.changed.lock());
            watcher.wake.notify_one();
        }
    }
}

impl Watcher {
    pub(crate) fn add(&self, hooks: impl IntoIterator<Item = HookId>) {
        self.changed.lock().hooks.extend(hooks);
        self.wake.notify_one();
    }

    /// A hook that changed. `None`: closed.
    pub(crate) async fn next(&self) -> Option<HookId> {
        loop {
            if let Some(next) = self.changed.lock().take() {
                return next;
            }
            self.wake.notified().await;
        }
    }
}

impl Changed {
    fn take(&mut self) -> Option<Option<HookId>> {
        if self.closed {
            return Some(None);
        }
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.hooks.range((after, Bound::Unbounded)).next().or(self.hooks.first())?.clone();
        self.hooks.remove(&next);
        self.last = Some(next);
        Some(self.last.clone())
    }
}
