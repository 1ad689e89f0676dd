//! The end of the log, read once for all hooks that are there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::BusError;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;

use super::Inner;
use super::chunk::Chunk;
use super::connect::message;
use super::link::RETRY_PAUSE;

/// Most bytes of events that are kept for hooks that come a moment later.
const CACHE_BYTES: usize = 32 << 20;

/// The interval at which the end is asked for without a notice: a net, for those that get lost.
const ASK_EVERY: Duration = Duration::from_millis(500);

pub(super) const LAST: &str = "SELECT hooks.last_position()";

const END: &str = "SELECT position, (extract(epoch FROM at) * 1000000)::bigint \
     FROM hooks.last_position() AS last, hooks.log WHERE position = last";

/// The end of the log.
pub(super) struct Tail {
    /// The last position, as far as is known.
    last: watch::Sender<u64>,
    /// Everything up to here can be read.
    ready: watch::Sender<u64>,
    cache: Mutex<Cache>,
}

/// The last event that was read of the log: another history has another one there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// 0: nothing was read yet.
    pub(super) position: u64,
    /// Since 1970.
    pub(super) micros: i64,
}

#[derive(Default)]
struct Cache {
    mark: Mark,
    /// Where a log that went back was still the same.
    kept: Option<u64>,
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    /// Of all that it has had.
    events: u64,
    all_bytes: u64,
}

impl Tail {
    pub(super) fn new() -> Self {
        Self { last: watch::Sender::new(0), ready: watch::Sender::new(0), cache: Mutex::default() }
    }

    /// The log has at least this position.
    pub(super) fn reached(&self, position: u64) {
        self.last.send_if_modified(|last| {
            let is_new = position > *last;
            *last = position.max(*last);
            is_new
        });
    }

    pub(super) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// Hears when there is more to read.
    pub(super) fn ready(&self) -> watch::Receiver<u64> {
        self.ready.subscribe()
    }

    /// The part behind a position, if it is kept.
    pub(super) fn behind(&self, after: u64) -> Option<Arc<Chunk>> {
        let cache = self.cache.lock();
        let at = cache.chunks.partition_point(|chunk| chunk.last() <= after);
        cache.chunks.get(at).filter(|chunk| chunk.first() <= after + 1).cloned()
    }

    /// Bytes of all events that were read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.cache.lock().all_bytes
    }

    /// Bytes of an event, on average.
    pub(super) fn average(&self) -> u64 {
        let cache = self.cache.lock();
        cache.all_bytes.checked_div(cache.events).unwrap_or(0)
    }

    /// Reads on behind an event.
    fn begins_at(&self, mark: Mark) {
        let mut cache = self.cache.lock();
        cache.mark = mark;
        self.reached(mark.position);
        self.ready.send_replace(mark.position);
    }

    /// What the log has to have, if it did not go back.
    pub(super) fn mark(&self) -> Mark {
        self.cache.lock().mark
    }

    /// The log ends there, whatever was heard before.
    pub(super) fn ends_at(&self, last: u64) {
        self.last.send_replace(last);
    }

    /// Forgets what was read of a log that went back, unless that was done since. Reading goes on at its end.
    pub(super) fn roll_back(&self, from: Mark, to: Mark, kept: u64) -> bool {
        let mut cache = self.cache.lock();
        if cache.mark != from {
            return false;
        }
        cache.mark = to;
        cache.kept = Some(kept);
        cache.chunks.clear();
        cache.bytes = 0;
        self.ready.send_replace(to.position);
        true
    }

    /// Where a log that went back was still the same.
    pub(super) fn kept(&self) -> Option<u64> {
        self.cache.lock().kept
    }

    /// Takes in what was read behind an event, unless the log went back meanwhile.
    fn push(&self, behind: Mark, chunk: Chunk) {
        let mut cache = self.cache.lock();
        if cache.mark != behind {
            return;
        }
        let last = chunk.last();
        cache.mark = chunk.mark();
        cache.bytes += chunk.bytes();
        cache.all_bytes += chunk.bytes() as u64;
        cache.events += chunk.len() as u64;
        cache.chunks.push_back(chunk.shared());
        while cache.bytes > CACHE_BYTES
            && let Some(oldest) = cache.chunks.pop_front()
        {
            cache.bytes -= oldest.bytes();
        }
        self.ready.send_replace(last);
    }
}

/// Reads what comes.
pub(super) async fn run(bus: Arc<Inner>) {
    let mut last = bus.tail.last.subscribe();
    loop {
        let mark = bus.tail.mark();
        let read = mark.position;
        let end = *last.borrow_and_update();
        if read >= end {
            if timeout(ASK_EVERY, last.changed()).await.is_err() {
                // What fails here fails elsewhere, too, and is reported there.
                let _ = bus.refresh_tail().await;
            }
            continue;
        }
        match Chunk::read(&bus.reading, read, end.saturating_add(1)).await {
            Ok(Some(chunk)) => bus.tail.push(mark, chunk),
            Ok(None) => match bus.end_of_log().await {
                // What was there was dropped since.
                Ok(last) if last.position >= end => bus.tail.begins_at(last),
                Ok(last) => bus.tail.ends_at(last.position),
                Err(error) => retry(error).await,
            },
            Err(error) => retry(error).await,
        }
    }
}

async fn retry(error: BusError) {
    tracing::debug!(error = message(error), "the log can't be read now: trying again");
    sleep(RETRY_PAUSE).await;
}

impl Inner {
    /// Asks for the end of the log.
    pub(super) async fn refresh_tail(&self) -> Result<u64, BusError> {
        let row = self.reading.one(LAST, &[]).await.map_err(|error| error.to("read the end of the log"))?;
        let last = row.get::<_, i64>(0).unsigned_abs();
        self.tail.reached(last);
        Ok(last)
    }

    /// The last event of the log.
    async fn end_of_log(&self) -> Result<Mark, BusError> {
        let rows = self.reading.query(END, &[]).await.map_err(|error| error.to("read the end of the log"))?;
        let mark = |row: &Row| Mark { position: row.get::<_, i64>(0).unsigned_abs(), micros: row.get(1) };
        Ok(rows.first().map(mark).unwrap_or_default())
    }

    /// Begins to read at the end that the log has now.
    pub(super) async fn begin_tail(&self) -> Result<(), BusError> {
        self.tail.begins_at(self.end_of_log().await?);
        Ok(())
    }
}
