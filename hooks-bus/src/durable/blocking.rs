//! Work that blocks on the bus's disk, on threads that everything else that blocks has to share: only so much of it at
//! a time, so that a disk that hangs stops neither names that are looked up nor files elsewhere.

use std::sync::Arc;

use hooks_core::BusError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::inner::Inner;

/// Most pieces of the log that are read at a time.
pub(crate) const READS: usize = 8;

/// Most calls of the database at a time: it changes one thing after the other anyway.
pub(crate) const CALLS: usize = 8;

/// Who may block.
#[derive(Debug)]
pub(crate) struct Places {
    reads: Arc<Semaphore>,
    calls: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self { reads: Arc::new(Semaphore::new(READS)), calls: Arc::new(Semaphore::new(CALLS)) }
    }
}

impl Places {
    /// Waits until one more piece may be read. Held while it is.
    pub(crate) async fn to_read(&self) -> Option<OwnedSemaphorePermit> {
        // No semaphore is ever closed.
        self.reads.clone().acquire_owned().await.ok()
    }
}

impl Inner {
    /// Does what the database is needed for without holding up the caller's thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, BusError> + Send + 'static,
    ) -> Result<T, BusError> {
        let place = self.places.calls.clone().acquire_owned().await.ok();
        let inner = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&inner);
            drop(place);
            done
        });
        done.await.unwrap_or_else(|error| Err(BusError::Unavailable(error.to_string())))
    }
}
