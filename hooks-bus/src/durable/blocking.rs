//! Limits the work that blocks on the bus's disk. All blocking work shares one pool of threads, and a hanging disk must
//! stop neither name look-ups nor files elsewhere.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Most pieces of the log read at a time.
pub(crate) const READS: usize = 8;

/// Most calls of the database at a time. It runs one after the other anyway.
pub(crate) const CALLS: usize = 8;

/// The limits on blocking work.
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
