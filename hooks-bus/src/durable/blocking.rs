//! Work that blocks on the bus's disk, on threads that everything else that blocks has to share: only so much of it at
//! a time, so that a disk that hangs stops neither names that are looked up nor files elsewhere.

use std::sync::Arc;

use hooks_core::BusError;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

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
    /// Waits until one more piece may be read, and begins to.
    pub(crate) async fn begin_to_read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        begin(&self.reads, work).await
    }
}

async fn begin<T: Send + 'static>(places: &Arc<Semaphore>, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // No semaphore is ever closed.
    let place = places.clone().acquire_owned().await.ok();
    tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    })
}

impl Inner {
    /// Does what the database is needed for without holding up the caller's thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, BusError> + Send + 'static,
    ) -> Result<T, BusError> {
        let inner = self.clone();
        let done = begin(&self.places.calls, move || work(&inner)).await;
        done.await.unwrap_or_else(|error| Err(BusError::Unavailable(error.to_string())))
    }
}
