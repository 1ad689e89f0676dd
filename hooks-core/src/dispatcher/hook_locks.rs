//! One lock for each hook, and work that a dropped call does not cancel.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::id::HookId;

/// One lock for each hook. Locks of different hooks don't wait for each other.
#[derive(Debug, Default)]
pub(super) struct HookLocks {
    /// Hooks whose lock is held or waited for.
    hooks: Arc<SyncMutex<Mutexes>>,
}

type Mutexes = HashMap<HookId, Arc<Mutex<()>>>;

/// The lock of a hook, held until this is dropped.
#[derive(Debug)]
pub(super) struct HookLockGuard {
    // In the order in which they have to go.
    _guard: OwnedMutexGuard<()>,
    _entry: Entry,
}

/// A holder or waiter of a hook's lock. The last one removes the mutex.
#[derive(Debug)]
struct Entry {
    hooks: Arc<SyncMutex<Mutexes>>,
    hook: HookId,
    mutex: Arc<Mutex<()>>,
}

impl HookLocks {
    /// Waits for the lock of this hook.
    ///
    /// # Cancel safety
    /// A dropped call has left the queue.
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

/// Runs work in a new task, so that dropping the call does not cancel it.
pub(super) async fn uncancelled<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes, and this call with it.
            Err(_) => std::future::pending().await,
        },
    }
}
