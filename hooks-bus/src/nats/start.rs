//! Where a new hook begins.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use futures_util::StreamExt as _;
use hooks_core::{BusError, StartAt};
use tokio::time::timeout;

use super::Inner;
use super::connect::{REQUEST_TIMEOUT, unavailable};
use super::inner::Tail;

impl Inner {
    /// The position before the first event of a hook that begins there.
    pub(super) async fn before_first(&self, from: StartAt, tail: Tail) -> Result<u64, BusError> {
        match from {
            StartAt::End => Ok(tail.last),
            StartAt::Earliest => Ok(tail.first.saturating_sub(1)),
            from => self.before(from.since(SystemTime::now()).unwrap_or(UNIX_EPOCH), tail).await,
        }
    }

    /// The position before the first event that the server stored at this time or later.
    pub(super) async fn before(&self, since: SystemTime, tail: Tail) -> Result<u64, BusError> {
        let failed = |error: &dyn std::error::Error| unavailable("find events by their time", error);
        let nanos = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let start_time = async_nats::datetime::from_nanos(i128::try_from(nanos).unwrap_or(i128::MAX));
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartTime { start_time: start_time.map_err(|error| failed(&*error))? },
            ack_policy: AckPolicy::None,
            headers_only: true,
            memory_storage: true,
            inactive_threshold: Duration::from_secs(30),
            ..pull::Config::default()
        };
        let events = &self.storage.events;
        let consumer = events.create_consumer(config).await.map_err(|error| failed(&error))?;
        let is_there = consumer.cached_info().num_pending > 0;
        let before = if is_there { before_first_of(&consumer).await } else { Ok(tail.last) };
        // The server would remove it after a while anyway.
        let _ = events.delete_consumer(&consumer.cached_info().name).await;
        before
    }
}

/// The position before the first event of a consumer that has one.
async fn before_first_of(consumer: &Consumer<pull::Config>) -> Result<u64, BusError> {
    let failed = |error: &dyn std::error::Error| unavailable("find events by their time", error);
    let mut messages = consumer.fetch().max_messages(1).messages().await.map_err(|error| failed(&error))?;
    let Ok(Some(message)) = timeout(REQUEST_TIMEOUT, messages.next()).await else {
        return Err(BusError::Unavailable("can't find events by their time: NATS does not answer".to_owned()));
    };
    let message = message.map_err(|error| failed(&*error))?;
    Ok(message.info().map_err(|error| failed(&*error))?.stream_sequence.saturating_sub(1))
}
