//! The sink: an async shell around a lane that blocks.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use hooks_core::{Batch, Delivered, DeliveryError, Sink, SinkContext, async_trait};
use parking_lot::Mutex;

use crate::config::FileConfig;
use crate::lane::{Lane, RepairCounts, Repairs};

/// Appends events to a file. Built from a [`FileConfig`].
///
/// # Cancellation
/// A write that has begun ends by itself when its future is dropped, and what comes next waits for it,
/// so lines stay in order. When the same batch comes again, and the file holds it, it is not written
/// a second time.
///
/// # Blocking
/// Disk calls run on tokio's blocking threads, one at a time per path: a disk that hangs holds one
/// thread, however many hooks and attempts wait for it.
pub struct FileSink {
    /// Whose turn it is to work on the path. The call that works holds it, not the future that waits.
    turn: Arc<tokio::sync::Mutex<()>>,
    lane: Arc<Mutex<Lane>>,
    repairs: Arc<RepairCounts>,
    config: FileConfig,
}

impl FileSink {
    pub(crate) fn new(config: FileConfig, context: SinkContext) -> Self {
        let make = || Ok::<_, Infallible>(tokio::sync::Mutex::new(()));
        let Ok(turn) = context.shared(&format!("hooks-sink-file:{:?}", config.path()), make);
        let repairs = Arc::<RepairCounts>::default();
        let lane = Lane::new(config.clone(), context, repairs.clone());
        Self { turn, lane: Arc::new(Mutex::new(lane)), repairs, config }
    }

    /// What this sink did about torn lines since it was built.
    pub fn repairs(&self) -> Repairs {
        self.repairs.get()
    }

    async fn run<T, F>(&self, work: F) -> Result<T, DeliveryError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Lane) -> Result<T, DeliveryError> + Send + 'static,
    {
        let turn = self.turn.clone().lock_owned().await;
        let lane = self.lane.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&mut lane.lock());
            drop(turn);
            result
        });
        let doing = || format!("work on `{}`", self.config.path().display());
        task.await.map_err(|error| DeliveryError::retry(doing()).because(error))?
    }
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("path", &self.config.path()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let batch = batch.clone();
        let delivered = self.run(move |lane| lane.deliver(&batch)).await?;
        self.lane.lock().reported();
        Ok(delivered)
    }

    async fn flush(&mut self) -> Result<(), DeliveryError> {
        self.run(Lane::flush).await
    }
}
