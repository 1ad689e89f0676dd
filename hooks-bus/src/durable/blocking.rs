//! Limits the work that blocks on the bus's disk. All blocking work shares one pool of threads, and a hanging disk must
//! stop neither name look-ups nor files elsewhere.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Most pieces of the log read at a time.
pub(crate) const READS: usize = 8;

/// Most calls of the database at a time. It runs one after the other anyway.
pub(crate) const CALLS: usize = 8;

/// Most looks at the past at a time: they take a whole processor.
const LOOKS: usize = 1;

/// Most looks that may wait for one another, the one that runs among them.
const MAX_LOOKS: usize = 32;

/// The limits on blocking work.
#[derive(Debug)]
pub(crate) struct Places {
    reads: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    waiting_looks: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let [reads, calls, looks, waiting_looks] =
            [READS, CALLS, LOOKS, MAX_LOOKS].map(|most| Arc::new(Semaphore::new(most)));
        Self { reads, calls, looks, waiting_looks }
    }
}

impl Places {
    /// Waits for a place, then begins to read.
    pub(crate) async fn begin_to_read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        begin(&self.reads, work).await
    }

    /// Waits for a place, then begins to work on the database.
    pub(crate) async fn begin_to_call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        begin(&self.calls, work).await
    }

    /// A place among the looks at the past that wait. `None`: so many do that this one should come back later.
    pub(crate) fn place_to_look(&self) -> Option<OwnedSemaphorePermit> {
        self.waiting_looks.clone().try_acquire_owned().ok()
    }

    /// Waits for the looks before it, then begins to look at the past.
    pub(crate) async fn begin_to_look<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        begin(&self.looks, work).await
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
