//! The history: what was tried, when, and what came back.
//!
//! ```text
//!  workers ──record──▶ Queue (a block of bytes) ──thread──▶ Shelf: segments of failed, and of delivered attempts
//!                        full: dropped, counted                 │ each with an index once it is full
//!  operators ──page──▶ query ◀──────────────────────────────────┘
//! ```
//!
//! A log of its own, checksummed and not synced: a crash costs the records of its last moments. What is written at a time
//! was recorded within a fifth of a second, so that no delivery waits for a disk.

mod codec;
mod follow;
mod index;
mod measured;
mod query;
mod queue;
mod record;
mod report;
mod segment;
mod settings;
mod shelf;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooks_core::uuid::Uuid;
use hooks_core::{Attempt, AttemptRecorder};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::on_own_thread;
use queue::{Queue, Taken};
pub(crate) use record::Skip;
use record::{micros, put_attempt, put_skip};
use shelf::{Limits, Shelf};

pub(crate) use follow::follow;
pub use measured::fill;
pub use record::fuzz_record;
pub use report::{AttemptPage, AttemptQuery, AttemptReport};
pub use settings::HistorySettings;
pub use shelf::HistoryError;

/// Queries that are answered at a time; others wait.
const AT_ONCE: usize = 2;

/// How long a seek waits until it stands in the history.
const SKIP_WAIT: Duration = Duration::from_secs(5);

/// The attempts of a dispatcher, in a folder. Give it to [`Dispatcher::with_recorder`](hooks_core::Dispatcher::with_recorder).
/// Clones are the same history; when the last one goes, the rest is written.
#[derive(Clone)]
pub struct History(Arc<Handle>);

/// Closes the queue.
struct Handle(Arc<Inner>);

struct Inner {
    shelf: Mutex<Shelf>,
    /// `None` where a folder is only looked at.
    queue: Option<Queue>,
    answer_bytes: usize,
    room: Arc<Semaphore>,
    /// The number of the last record that is written. `None`: nobody may follow any more.
    written: watch::Sender<Option<u64>>,
}

/// How much was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryStats {
    pub(crate) attempts: u64,
    /// Of these, those that were not kept.
    pub(crate) dropped: u64,
    pub(crate) bytes: u64,
}

impl History {
    /// Keeps the attempts on events of this log in a folder, which no other process may write to. Blocks.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub fn open(folder: &Path, settings: &HistorySettings, log: Uuid) -> Result<Self, HistoryError> {
        let shelf = Shelf::open(folder, log, limits(settings))?;
        let queue = Queue::after(shelf.newest());
        let history = Self::new(shelf, Some(queue), settings.answer_bytes.get());
        let inner = history.0.0.clone();
        let writer = std::thread::Builder::new().name("history".to_owned());
        writer.spawn(move || inner.write()).map_err(HistoryError::Thread)?;
        Ok(history)
    }

    /// Looks at a folder that no process writes to. Blocks.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn look(folder: &Path, settings: &HistorySettings, log: Uuid) -> io::Result<Self> {
        Ok(Self::new(Shelf::look(folder, log, limits(settings))?, None, 0))
    }

    fn new(shelf: Shelf, queue: Option<Queue>, answer_bytes: usize) -> Self {
        Self(Arc::new(Handle(Arc::new(Inner {
            written: watch::Sender::new(Some(shelf.newest())),
            shelf: Mutex::new(shelf),
            queue,
            answer_bytes,
            room: Arc::new(Semaphore::new(AT_ONCE)),
        }))))
    }

    /// Waits until all that was recorded is written.
    pub async fn flush(&self) {
        if let Some(queue) = &self.0.0.queue {
            // The thread has ended, if it does not answer.
            let _ = queue.written().await;
        }
    }

    /// Takes note of events that a seek skipped. Returns when that is written, or after a while: the seek is done, and a
    /// disk that hangs keeps nobody from hearing so.
    pub(crate) async fn skipped(&self, skip: &Skip<'_>) {
        if let Some(queue) = &self.0.0.queue {
            let now = micros(SystemTime::now());
            queue.push(now, |frames, number| put_skip(frames, number, now, skip));
        }
        let _ = tokio::time::timeout(SKIP_WAIT, self.flush()).await;
    }

    /// Looks up attempts, all that are over by now. A page takes little, whatever there is: it may have fewer attempts than
    /// it could.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn page(&self, query: AttemptQuery) -> io::Result<AttemptPage> {
        self.flush().await;
        let inner = self.0.0.clone();
        let place = inner.room.clone().acquire_owned().await;
        let found = on_own_thread("attempts", move || {
            // Also when nobody waits for the page any more.
            let _place = place;
            query::page(&inner.shelf, &query, micros(SystemTime::now()))
        });
        found.await?
    }

    /// Those who follow hear that there is nothing more to wait for.
    pub fn end_following(&self) {
        self.0.0.written.send_replace(None);
    }

    pub(crate) fn stats(&self) -> HistoryStats {
        let counts = self.0.0.queue.as_ref().map(Queue::counts).unwrap_or_default();
        HistoryStats { attempts: counts.attempts, dropped: counts.dropped, bytes: self.0.0.shelf.lock().bytes() }
    }
}

fn limits(settings: &HistorySettings) -> Limits {
    Limits { max_bytes: settings.max_bytes.bytes() / 2, max_age: settings.max_age.get() }
}

impl AttemptRecorder for History {
    fn record(&self, attempt: &Attempt<'_>) {
        if let Some(queue) = &self.0.0.queue {
            let answer_bytes = self.0.0.answer_bytes;
            let ended = micros(attempt.began + attempt.took);
            queue.push(ended, |frames, number| put_attempt(frames, number, attempt, answer_bytes));
        }
    }
}

impl Inner {
    /// Writes what is recorded, until nothing more comes.
    fn write(&self) {
        let Some(queue) = &self.queue else { return };
        let (mut spare, mut is_in_trouble) = (Vec::new(), false);
        loop {
            let Taken { mut frames, last, waiting, is_closed } = queue.take(std::mem::take(&mut spare));
            let (lost, error) = {
                let mut shelf = self.shelf.lock();
                let (lost, error) = shelf.append(&frames);
                (lost, error.or(shelf.expire(micros(SystemTime::now())).err()))
            };
            if lost > 0 {
                queue.lost(lost);
            }
            if let (Some(error), false) = (&error, is_in_trouble) {
                tracing::error!(%error, lost, "attempts can't be recorded in the history: they are dropped and counted until that works");
            }
            is_in_trouble = error.is_some();
            self.written.send_if_modified(|written| match written {
                Some(before) if *before != last => {
                    *before = last;
                    true
                }
                _ => false,
            });
            for waiting in waiting {
                // Who waits may have gone.
                let _ = waiting.send(());
            }
            if is_closed {
                return;
            }
            frames.clear();
            spare = frames;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.iter().for_each(Queue::close);
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
