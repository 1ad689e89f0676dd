//! Who may change a hook now, and how a change that has begun comes to its end.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::id::HookId;

/// Whoever wants the same of one hook takes turns; nobody waits for those of other hooks.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Hooks whose turn somebody has, or waits for.
    hooks: Arc<SyncMutex<Places>>,
}

type Places = HashMap<HookId, Arc<Mutex<()>>>;

/// The right to a hook, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // In the order in which they have to go.
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in the line for a hook.
#[derive(Debug)]
struct Place {
    hooks: Arc<SyncMutex<Places>>,
    hook: HookId,
    mutex: Arc<Mutex<()>>,
}

impl Turns {
    /// Waits until nobody else has this hook.
    ///
    /// # Cancel safety
    /// A dropped call has left the line.
    pub(super) async fn take(&self, hook: &HookId) -> Turn {
        let mutex = self.hooks.lock().entry(hook.clone()).or_default().clone();
        let place = Place { hooks: self.hooks.clone(), hook: hook.clone(), mutex };
        let guard = place.mutex.clone().lock_owned().await;
        Turn { _guard: guard, _place: place }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut hooks = self.hooks.lock();
        // Besides this one, the map has it.
        if Arc::strong_count(&self.mutex) == 2 {
            hooks.remove(&self.hook);
        }
    }
}

/// Does something in a task of its own: whoever drops the call does not cut it in half.
pub(super) async fn whole<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes, and whoever waits here with it.
            Err(_) => std::future::pending().await,
        },
    }
}
