//! The watch of the bucket: what this instance hears of the others.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Watch};
use async_nats::jetstream::stream::RawMessageErrorKind;
use futures_util::StreamExt as _;
use hooks_core::BusError;
use tokio::time::{Instant, sleep, timeout};

use super::Inner;
use super::connect::{chain, unavailable};
use super::record::Key;
use super::registry::Seen;

/// The time limit for starting the watch.
const WATCH_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause before the watch is started again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Watches the bucket. It brings this instance's own heartbeats, too, so silence means that the watch
/// is broken, whatever the client thinks of it.
pub(super) async fn run(bus: Arc<Inner>) {
    loop {
        match timeout(WATCH_TIMEOUT, bus.storage.bucket.watch_with_history(">")).await {
            Ok(Ok(entries)) => {
                bus.hear(entries).await;
                tracing::debug!("the watch of the NATS bucket ended: it is started again");
            }
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "the NATS bucket can't be watched: trying again"),
            // Like a hook's consumer, it may have been given to a server that is dead.
            Err(_) => tracing::warn!("the NATS bucket can't be watched, no answer: trying again"),
        }
        sleep(RETRY_PAUSE).await;
    }
}

impl Inner {
    /// Takes in what the watch brings, until it ends or is silent.
    ///
    /// Servers before 2.9.15 leave out what they had not sent yet when somebody purges a key
    /// (<https://github.com/nats-io/nats-server/pull/3838>), an owner that gave up its hook for example. So what is
    /// missing between two entries is read: mostly nothing, where a newer value took the place of an older one.
    async fn hear(&self, mut entries: Watch) {
        let mut next = u64::MAX;
        while let Ok(Some(Ok(entry))) = timeout(self.config.lease.get(), entries.next()).await {
            if let Err(error) = self.read_entries(">", next, entry.revision).await {
                tracing::debug!(%error, "the watch of the NATS bucket left something out");
                return;
            }
            // The history before that has gaps.
            if entry.seen_current {
                next = entry.revision.saturating_add(1);
            }
            let value = (entry.operation == Operation::Put).then_some(&*entry.value);
            let written = entry.created.unix_timestamp_nanos();
            self.take_in(Seen { key: &entry.key, value, revision: entry.revision, written });
        }
    }

    fn take_in(&self, seen: Seen<'_>) {
        let change = {
            let mut registry = self.registry.lock();
            registry.overrides.seen_up_to(seen.revision);
            registry.see(seen, Instant::now())
        };
        self.apply(change);
    }

    /// Reads the overrides that were set while this instance was cut off: the watch may restart only after it goes on.
    pub(super) async fn catch_up_on_overrides(&self) -> Result<(), BusError> {
        let from = self.registry.lock().overrides.up_to() + 1;
        self.read_entries(&Key::Override(">").to_string(), from, u64::MAX).await
    }

    /// Reads and takes in the entries of these keys from one revision on, before the other. Asks the leader, because
    /// other servers may be behind.
    async fn read_entries(&self, keys: &str, mut from: u64, before: u64) -> Result<(), BusError> {
        let bucket = &self.storage.bucket;
        while from < before {
            let next = bucket.stream.raw_message_builder().sequence(from);
            let entry = match next.next_by_subject(format!("{}{keys}", bucket.prefix)).send().await {
                Ok(entry) if entry.sequence < before => entry,
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(()),
                Err(error) => return Err(unavailable("read what changed in the key-value bucket", &error)),
            };
            from = entry.sequence + 1;
            let value = entry.headers.get("KV-Operation").is_none().then_some(&*entry.payload);
            let written = entry.time.unix_timestamp_nanos();
            let key = entry.subject.strip_prefix(&bucket.prefix).unwrap_or_default();
            self.take_in(Seen { key, value, revision: entry.sequence, written });
        }
        Ok(())
    }
}
