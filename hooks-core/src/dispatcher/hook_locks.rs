//! Who may change a hook now, and how a change that has begun comes to its end.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::id::HookId;

/// Whoever wants the same of one hook takes turns; nobody waits for those of other hooks.
#[derive(Debug, Default)]
pub(super) struct HookLocks {
    /// Hooks whose turn somebody has, or waits for.
    hooks: Arc<SyncMutex<Mutexes>>,
}

type Mutexes = HashMap<HookId, Arc<Mutex<()>>>;

/// The right to a hook, until it is dropped.
#[derive(Debug)]
pub(super) struct HookLockGuard {
    // In the order in which they have to go.
    _guard: OwnedMutexGuard<()>,
    _entry: Entry,
}

/// An entry in the line for a hook.
#[derive(Debug)]
struct Entry {
    hooks: Arc<SyncMutex<Mutexes>>,
    hook: HookId,
    mutex: Arc<Mutex<()>>,
}

impl HookLocks {
    /// Waits until nobody else has this hook.
    ///
    /// # Cancel safety
    /// A dropped call has left the line.
    pub(super) async fn lock(&self, hook: &HookId) -> HookLockGuard {
        let mutex = self.hooks.lock().entry(hook.clone()).or_default().clone();
        let entry = Entry { hooks: self.hooks.clone(), hook: hook.clone(), mutex };
        let guard = entry.mutex.clone().lock_owned().await;
        HookLockGuard { _guard: guard, _entry: entry }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut hooks = self.hooks.lock();
        // Besides this one, the map has it.
        if Arc::strong_count(&self.mutex) == 2 {
            hooks.remove(&self.hook);
        }
    }
}

/// Does something in a task of its own: whoever drops the call does not cut it in half.
pub(super) async fn uncancelled<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes, and whoever waits here with it.
            Err(_) => std::future::pending().await,
        },
    }
}
