//! The sink: an async shell around a lane that blocks.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use hooks_core::{
    HumanDuration, Sink, async_trait,
    sink::{Batch, Delivered, DeliveryError, SinkContext},
};
use parking_lot::Mutex;

use crate::config::FileConfig;
use crate::disk::Disk;
use crate::lane::{Lane, RepairCounts, Repairs};

/// Appends events to a file. Built from a [`FileConfig`].
///
/// # Cancellation
/// A write that has begun ends by itself when its future is dropped, and what comes next waits for it,
/// so lines stay in order. When the same batch comes again, and the file holds it, it is not written
/// a second time.
///
/// # Blocking
/// Disk calls run on tokio's blocking threads, one at a time per path, and at most 32 at a time per disk
/// or mount: one that hangs holds so many threads, however many hooks and attempts wait for it, and
/// hooks whose files lie elsewhere go on.
pub struct FileSink {
    /// Whose turn it is to work on the path. The call that works holds it, not the future that waits.
    turn: Arc<tokio::sync::Mutex<()>>,
    lane: Arc<Mutex<Lane>>,
    repairs: Arc<RepairCounts>,
    config: FileConfig,
    context: SinkContext,
    disk: Disk,
}

impl FileSink {
    pub(crate) fn new(config: FileConfig, context: SinkContext) -> Self {
        let make = || Ok::<_, Infallible>(tokio::sync::Mutex::new(()));
        let Ok(turn) = context.shared(&format!("hooks-sink-file:{:?}", config.path()), make);
        let repairs = Arc::<RepairCounts>::default();
        let lane = Lane::new(config.clone(), context.clone(), repairs.clone());
        let disk = Disk::before_looking(&config.path(), &context);
        Self { turn, lane: Arc::new(Mutex::new(lane)), repairs, config, context, disk }
    }

    /// The repairs of torn lines since this sink was built.
    pub fn repairs(&self) -> Repairs {
        self.repairs.get()
    }

    async fn run<T, F>(&self, work: F) -> Result<T, DeliveryError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Lane) -> Result<T, DeliveryError> + Send + 'static,
    {
        let turn = self.turn.clone().lock_owned().await;
        let place = self.disk.place().await;
        let lane = self.lane.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&mut lane.lock());
            drop((turn, place));
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
        let device = self.lane.lock().reported();
        if let Some(device) = device.filter(|device| !self.disk.is(*device)) {
            self.disk = Disk::of(device, &self.context);
        }
        Ok(delivered)
    }

    fn cut_short(&mut self, _batch: &Batch) -> Option<Result<Delivered, DeliveryError>> {
        let (path, limit) = (self.config.path(), HumanDuration::new(self.context.attempt_timeout));
        let what = format!("no result within the attempt timeout of {limit}: the disk of `{}` hangs", path.display());
        Some(Err(DeliveryError::retry(what)))
    }

    async fn flush(&mut self) -> Result<(), DeliveryError> {
        self.run(Lane::flush).await
    }
}
