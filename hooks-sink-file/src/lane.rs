//! The blocking part of one sink: between the async shell and the shared writer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hooks_core::{
    Envelope,
    sink::{Answer, Batch, BatchId, Delivered, DeliveryError, SinkContext},
};

use crate::config::FileConfig;
use crate::lines::Lines;
use crate::path;
use crate::progress::Progress;
use crate::write::Repair;
use crate::writer::Writer;

/// Some shippers of log files drop lines that are longer.
const LONG_LINE: usize = 100 * 1024;

/// The repairs of lines that a crash, a full disk or another writer left torn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Torn lines whose rest was written: readers see one whole line.
    pub completed: u64,
    /// Torn lines that were ended with a newline, because they are not the beginning of what was to be
    /// written: readers see a line that is no JSON.
    pub ended: u64,
}

#[derive(Debug, Default)]
pub(crate) struct RepairCounts {
    completed: AtomicU64,
    ended: AtomicU64,
}

impl RepairCounts {
    pub(crate) fn get(&self) -> Repairs {
        Repairs { completed: self.completed.load(Ordering::Relaxed), ended: self.ended.load(Ordering::Relaxed) }
    }
}

pub(crate) struct Lane {
    config: FileConfig,
    context: SinkContext,
    repairs: Arc<RepairCounts>,
    writer: Option<Arc<Writer>>,
    /// The part that the file holds of a batch not reported as delivered.
    unreported: Option<(BatchId, Progress)>,
    /// The writer's count of losses when the first line was written that is not yet flushed.
    unflushed: Option<u64>,
    /// The device of the file.
    device: Option<u64>,
    /// Lines that were not yet flushed may not have reached a file that the path no longer leads to.
    lost: Option<DeliveryError>,
}

impl Lane {
    pub(crate) fn new(config: FileConfig, context: SinkContext, repairs: Arc<RepairCounts>) -> Self {
        Self { config, context, repairs, writer: None, unreported: None, unflushed: None, device: None, lost: None }
    }

    pub(crate) fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let lines = Lines::of(batch);
        self.question(batch);
        let writer = self.current_writer()?;
        let progress = self.unreported.take().filter(|(id, _)| id == batch.id()).map(|(_, progress)| progress);
        let options = self.config.write_options();
        let appended = writer.append(&lines, progress.unwrap_or_default(), options);
        self.unreported = Some((batch.id().clone(), appended.progress));
        self.device = appended.device;
        self.count(appended.repair, &writer);
        appended.result?;
        if options.sync {
            self.unflushed.get_or_insert(appended.losses);
        }
        Ok(Delivered::all().answer(answer(batch.len(), lines.len(), &writer)))
    }

    /// The worker knows that the last batch arrived: the same lines again are lines again. Returns the device that
    /// they are on.
    pub(crate) fn reported(&mut self) -> Option<u64> {
        self.unreported = None;
        self.device
    }

    pub(crate) fn flush(&mut self) -> Result<(), DeliveryError> {
        let synced = match (self.unflushed.take(), &self.writer) {
            (Some(losses), Some(writer)) => writer.sync(losses),
            _ => Ok(()),
        };
        match self.lost.take() {
            Some(error) => Err(error),
            None => synced,
        }
    }

    /// The writer of the file that the path leads to now; links above the file may have changed.
    fn current_writer(&mut self) -> Result<Arc<Writer>, DeliveryError> {
        let path = path::resolve(&self.config)?;
        if let Some(writer) = self.writer.as_ref().filter(|writer| writer.path() == path) {
            return Ok(writer.clone());
        }
        if let Err(error) = self.flush() {
            self.lost = Some(error);
        }
        self.unreported = None;
        let make = || Ok::<_, Infallible>(Writer::new(path.clone()));
        let Ok(writer) = self.context.shared(&format!("hooks-sink-file:{path:?}"), make);
        self.writer = Some(writer.clone());
        Ok(writer)
    }

    /// Warns of the first line that is long.
    fn question(&self, batch: &Batch) {
        let longest = batch.events().map(Envelope::len).max().unwrap_or_default();
        if longest > LONG_LINE && self.config.first_warning() {
            tracing::warn!(
                hook = %self.context.hook, bytes = longest,
                "a line is longer than 100 KiB, which some shippers of log files drop; further ones are not reported"
            );
        }
    }

    fn count(&self, repair: Option<Repair>, writer: &Writer) {
        let (hook, path) = (&self.context.hook, writer.path().display());
        match repair {
            Some(Repair::Completed) => {
                self.repairs.completed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%hook, %path, "the file ended in the middle of a line: wrote the rest of it");
            }
            Some(Repair::Ended) => {
                self.repairs.ended.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%hook, %path, "the file ended in the middle of a line that is not to be written: ended it");
            }
            None => {}
        }
    }
}

fn answer(events: usize, bytes: usize, writer: &Writer) -> Answer {
    let lines = if events == 1 { "line" } else { "lines" };
    let summary = format!("appended {events} {lines}, {bytes} bytes, to `{}`", writer.path().display());
    Answer { summary: summary.into(), detail: String::new() }
}
