//! Reads one hook's events while this instance owns it, waits while another does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hooks_core::{
    BusError, DropReason,
    bus::{Delivery, Read, Reader, Subscription, WINDOW},
};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::Inner;
use super::chunk::{Chunk, Entry, MAX_BYTES};
use super::hook::Hook;
use crate::sharing::{Reading, Step};

/// The interval at which a closed reader checks if another instance has the hook.
const END_CHECK_EVERY: Duration = Duration::from_millis(100);

/// Most bytes of the log that hooks hold together which are behind, as long as each has a part of `MIN_PART`.
const BEHIND_BYTES: i64 = 64 << 20;
const MIN_PART: i64 = 16 << 10;

/// Reads one hook's events.
pub(super) struct PostgresReader {
    bus: Arc<Inner>,
    hook: Arc<Hook>,
    number: u64,
    closed: bool,
    /// The position at which it stops, when it is closed.
    end: Option<u64>,
    ready: watch::Receiver<u64>,
    /// The part of the log that it is in, as the hook is of this version.
    chunk: Option<(u64, Arc<Chunk>)>,
}

impl PostgresReader {
    pub(super) fn new(bus: Arc<Inner>, hook: Arc<Hook>, number: u64) -> Self {
        let ready = bus.tail.ready();
        Self { bus, hook, number, closed: false, end: None, ready, chunk: None }
    }

    /// The position at which the reader stops, if it or its bus is closed.
    async fn end(&mut self) -> Result<Option<u64>, BusError> {
        if let Some(end) = *self.bus.closing.borrow() {
            return Ok(Some(end));
        }
        if self.closed && self.end.is_none() {
            self.end = Some(self.bus.flush().await?);
        }
        Ok(self.end)
    }

    /// The part of the log behind a position.
    async fn behind(&mut self, after: u64, version: u64) -> Result<Option<Arc<Chunk>>, BusError> {
        if let Some((of, chunk)) = &self.chunk
            && *of == version
            && chunk.first() <= after + 1
            && chunk.last() > after
        {
            return Ok(Some(chunk.clone()));
        }
        self.chunk = None;
        let chunk = match self.bus.tail.behind(after) {
            Some(chunk) => Some(chunk),
            None => {
                // A call that is dropped after its first poll asks the server for nothing.
                yield_now().await;
                // Not all hooks at once.
                let _place = self.bus.fetches.acquire().await.map_err(|_| BusError::Closed)?;
                let bytes = self.bus.bytes_of_part();
                Chunk::read_up_to(&self.bus.reading, after, u64::MAX, bytes).await?.map(Arc::new)
            }
        };
        self.chunk = chunk.clone().map(|chunk| (version, chunk));
        Ok(chunk)
    }

    async fn read_on(
        &mut self,
        max: usize,
        into: &mut Vec<Delivery>,
        after: u64,
        version: u64,
    ) -> Result<Option<Read>, BusError> {
        let ready = *self.ready.borrow_and_update();
        if after >= ready {
            // The bus ends before its readers do.
            let _ = self.ready.changed().await;
            return Ok(None);
        }
        let chunk = self.behind(after, version).await?;
        // From here on nothing is awaited, so no event can be lost by cancelling.
        let before = into.len();
        let taken = self.hook.read((self.number, version), |reading| match &chunk {
            Some(chunk) => {
                take_in(reading, chunk, after, max, into, &self.hook);
                *reading.in_worker |= into.len() > before;
            }
            None => count_gone(reading, &self.hook, ready),
        });
        let count = into.len() - before;
        Ok((taken.is_some() && count > 0).then_some(Read::Events(count)))
    }
}

/// Takes in up to `max` events of a part of the log.
fn take_in(
    reading: &mut Reading<'_, ()>,
    chunk: &Chunk,
    after: u64,
    max: usize,
    into: &mut Vec<Delivery>,
    hook: &Hook,
) {
    let entries = chunk.behind(after);
    let mut taken = Vec::new();
    if let Some(first) = entries.first() {
        count_gone(reading, hook, first.position - 1);
    }
    for entry in entries {
        if taken.len() >= max || reading.cursor.window() >= WINDOW {
            break;
        }
        taken.extend(takes_event(reading, chunk, entry).then_some(entry));
    }
    chunk.deliver(&taken, into);
}

/// Enters one event in cursor and ledger; true if it is to be delivered.
fn takes_event(reading: &mut Reading<'_, ()>, chunk: &Chunk, entry: &Entry) -> bool {
    match chunk.event(entry) {
        Ok(event) if !reading.filter.matches(event) => reading.cursor.pass(entry.position),
        Ok(event) => {
            if reading.cursor.read(entry.position, event.len(), entry.accepted) {
                reading.ledger.take(1);
                return true;
            }
        }
        // It is in `hooks.refused`.
        Err(_) => reading.cursor.pass(entry.position),
    }
    false
}

impl Inner {
    /// Bytes of the log that a hook reads at a time that is behind: less where there are many, which may all be.
    fn bytes_of_part(&self) -> i64 {
        let hooks = i64::try_from(self.hooks.lock().len().max(1)).unwrap_or(i64::MAX);
        (BEHIND_BYTES / hooks).clamp(MIN_PART, MAX_BYTES)
    }
}

/// Counts events that are gone from the log, and moves on to `up_to`.
fn count_gone(reading: &mut Reading<'_, ()>, hook: &Hook, up_to: u64) {
    let events = up_to.saturating_sub(reading.cursor.read_to());
    if events > 0 {
        let count = usize::try_from(events).unwrap_or(usize::MAX);
        reading.ledger.take(count);
        reading.ledger.give_up(count, DropReason::Gone);
        tracing::error!(hook = %hook.id, events, up_to, "the log no longer has events that the hook had not read");
        reading.cursor.pass(up_to);
    }
}

#[async_trait]
impl Reader for PostgresReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        let (bus, hook) = (self.bus.clone(), self.hook.clone());
        let mut closing = bus.closing.subscribe();
        loop {
            let end = self.end().await?;
            match hook.step(self.number, Instant::now(), WINDOW) {
                Step::Lost => return Ok(Read::Lost),
                Step::Dry => return Ok(Read::Dry),
                Step::Flush => return Ok(Read::Flush),
                Step::Wait if end.is_some() && bus.is_owned_elsewhere(&hook) => return Ok(Read::Dry),
                Step::Wait => {
                    self.chunk = None;
                    tokio::select! {
                        () = hook.changed.notified() => {}
                        _ = closing.changed() => {}
                        () = sleep(END_CHECK_EVERY), if end.is_some() => {}
                    }
                }
                Step::Read { after, .. } if end.is_some_and(|end| after >= end) => return Ok(Read::Dry),
                Step::Read { after, version } => tokio::select! {
                    biased;
                    () = hook.changed.notified() => {}
                    read = self.read_on(max.max(1), into, after, version) => if let Some(read) = read? {
                        return Ok(read);
                    },
                    _ = closing.changed() => {}
                    () = bus.lease.ends() => {}
                },
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        self.hook.reconfigure(&subscription);
    }

    fn set_enabled(&mut self, _enabled: bool) {
        // The log keeps a disabled hook's events, which delays no other hook.
    }
}
