//! The end of the log, read once for all hooks that are there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::chunk::Chunk;
use super::connect::message;
use super::link::RETRY_PAUSE;

/// Most bytes of events that are kept for hooks that come a moment later.
const CACHE_BYTES: usize = 32 << 20;

/// The interval at which the end is asked for without a notice: a net, for those that get lost.
const ASK_EVERY: Duration = Duration::from_millis(500);

const LAST: &str = "SELECT hooks.last_position()";

/// The end of the log.
pub(super) struct Tail {
    /// The last position, as far as is known.
    last: watch::Sender<u64>,
    /// Everything up to here can be read.
    ready: watch::Sender<u64>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
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

    /// Bytes of an event, on average.
    pub(super) fn average(&self) -> u64 {
        let cache = self.cache.lock();
        cache.all_bytes.checked_div(cache.events).unwrap_or(0)
    }

    fn push(&self, chunk: Chunk) {
        let last = chunk.last();
        let mut cache = self.cache.lock();
        cache.bytes += chunk.bytes();
        cache.all_bytes += chunk.bytes() as u64;
        cache.events += chunk.len() as u64;
        cache.chunks.push_back(Arc::new(chunk));
        while cache.bytes > CACHE_BYTES
            && let Some(oldest) = cache.chunks.pop_front()
        {
            cache.bytes -= oldest.bytes();
        }
        drop(cache);
        self.ready.send_replace(last);
    }
}

/// Reads what comes.
pub(super) async fn run(bus: Arc<Inner>) {
    let mut last = bus.tail.last.subscribe();
    let mut read = *bus.tail.ready.borrow();
    loop {
        let end = *last.borrow_and_update();
        if read >= end {
            if timeout(ASK_EVERY, last.changed()).await.is_err() {
                // What fails here fails elsewhere, too, and is reported there.
                let _ = bus.refresh_tail().await;
            }
            continue;
        }
        match Chunk::read(&bus.reading, read, end.saturating_add(1)).await {
            Ok(Some(chunk)) => {
                read = chunk.last();
                bus.tail.push(chunk);
            }
            // What was there was dropped since.
            Ok(None) => {
                read = end;
                bus.tail.ready.send_replace(end);
            }
            Err(error) => {
                tracing::debug!(error = message(error), "the log can't be read now: trying again");
                sleep(RETRY_PAUSE).await;
            }
        }
    }
}

impl Inner {
    /// Asks for the end of the log.
    pub(super) async fn refresh_tail(&self) -> Result<u64, hooks_core::BusError> {
        let row = self.reading.one(LAST, &[]).await.map_err(|error| error.to("read the end of the log"))?;
        let last = row.get::<_, i64>(0).unsigned_abs();
        self.tail.reached(last);
        Ok(last)
    }

    /// Begins to read at the end that the log has now.
    pub(super) async fn begin_tail(&self) -> Result<(), hooks_core::BusError> {
        let last = self.refresh_tail().await?;
        self.tail.ready.send_replace(last);
        Ok(())
    }
}
