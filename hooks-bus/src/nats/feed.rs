//! One hook's feed of events: an ordered consumer, read by pull requests on demand.
//!
//! Each reader has a consumer that acknowledges nothing and keeps no state but its place. Its messages are
//! numbered; a missing number, silence or a lost connection ends it, and the reader opens another behind the last
//! event it has. At most one request is open at a time, which bounds what the client holds.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{Context, ErrorCode, Message};
use async_nats::{Client, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use hooks_core::BusError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Inner;

use super::connect::unavailable;
use super::subject::ServerFilter;

/// Most events of one request.
const PULL_EVENTS: usize = 1_024;

/// Most bytes of one request, unless a single event is longer.
const PULL_BYTES: usize = 256 << 10;

/// The time for which a request without events stays open.
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// The interval at which the server confirms an open request.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(2);

/// The server removes a consumer without requests after this time.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);

/// An event as it came.
#[derive(Debug)]
pub(super) struct RawEvent {
    pub(super) seq: u64,
    pub(super) json: Bytes,
    pub(super) accepted: SystemTime,
    /// The messages that were waiting for the hook then.
    pub(super) pending: u64,
}

/// The reason why a feed ended. Another one can be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the server has been silent")]
    Silent,
    #[error("the connection was lost")]
    Reconnected,
    #[error("messages were lost on the way")]
    Gap,
    #[error("the server ended the consumer: {0}")]
    Server(String),
    #[error("the connection is closed")]
    Closed,
}

/// A consumer and its open request.
#[derive(Debug)]
pub(super) struct Feed {
    client: Client,
    context: Context,
    messages: Subscriber,
    inbox: Subject,
    request: Subject,
    delete: Subject,
    /// Messages that the open request may still bring.
    open: Option<usize>,
    /// Messages received through the open request.
    got: usize,
    received: u64,
    heard: Instant,
    /// Counts connections: an open request ends with its connection.
    connections: watch::Receiver<u64>,
    /// The next event is longer than a request usually allows.
    large: bool,
    /// The messages that were waiting for the hook when the consumer was made.
    pub(super) pending: u64,
}

impl Feed {
    /// Reads behind this sequence number.
    pub(super) async fn open(bus: &Inner, filter: ServerFilter, after: u64) -> Result<Self, BusError> {
        let (context, stream, mut connections) = (bus.api.clone(), &bus.storage.events, bus.connections.clone());
        connections.mark_unchanged();
        let failed = |error: &dyn std::error::Error| unavailable("read the stream", error);
        let client = context.client();
        let (filter_subject, filter_subjects) = match filter.subjects {
            _ if filter.all => (String::new(), Vec::new()),
            mut one if one.len() == 1 => (one.remove(0), Vec::new()),
            several => (String::new(), several),
        };
        let config = pull::Config {
            description: Some("hooks".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.saturating_add(1) },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            num_replicas: 1,
            memory_storage: true,
            inactive_threshold: INACTIVE_THRESHOLD,
            filter_subject,
            filter_subjects,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| match error.kind() {
            ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT => BusError::Unavailable(
                "the stream allows too few consumers: each hook needs one; raise its max_consumers, or the server's default_max_consumers".to_owned(),
            ),
            _ => failed(&error),
        })?;
        let info = consumer.cached_info();
        let inbox = Subject::from(client.new_inbox());
        let messages = client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let request = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", info.stream_name, info.name).into();
        let delete = format!("$JS.API.CONSUMER.DELETE.{}.{}", info.stream_name, info.name).into();
        let pending = info.num_pending;
        let heard = Instant::now();
        Ok(Self {
            client,
            context,
            messages,
            inbox,
            request,
            delete,
            open: None,
            got: 0,
            received: 0,
            heard,
            connections,
            large: false,
            pending,
        })
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    /// A dropped call has taken nothing.
    pub(super) async fn next(&mut self) -> Result<RawEvent, Ended> {
        loop {
            if self.open.is_none() {
                self.ask().await?;
            }
            let silence = self.heard + IDLE_HEARTBEAT * 2;
            let message = tokio::select! {
                biased;
                message = self.messages.next() => message.ok_or(Ended::Closed)?,
                _ = self.connections.changed() => return Err(Ended::Reconnected),
                () = tokio::time::sleep_until(silence) => return Err(Ended::Silent),
            };
            if let Some(raw) = self.take(message)? {
                return Ok(raw);
            }
        }
    }

    /// The next event, if it has arrived.
    pub(super) fn next_now(&mut self) -> Result<Option<RawEvent>, Ended> {
        while self.open.is_some() {
            let Some(message) = self.messages.next().now_or_never() else { return Ok(None) };
            if let Some(raw) = self.take(message.ok_or(Ended::Closed)?)? {
                return Ok(Some(raw));
            }
        }
        Ok(None)
    }

    /// Opens a request.
    async fn ask(&mut self) -> Result<(), Ended> {
        let (batch, bytes) = if self.large { (1, None) } else { (PULL_EVENTS, Some(PULL_BYTES)) };
        let bytes = bytes.map_or(String::new(), |bytes| format!(r#","max_bytes":{bytes}"#));
        let (expires, beat) = (PULL_EXPIRES.as_nanos(), IDLE_HEARTBEAT.as_nanos());
        let body = format!(r#"{{"batch":{batch},"expires":{expires},"idle_heartbeat":{beat}{bytes}}}"#);
        let sent = self.client.publish_with_reply(self.request.clone(), self.inbox.clone(), body.into()).await;
        sent.map_err(|_| Ended::Closed)?;
        self.open = Some(batch);
        self.got = 0;
        self.heard = Instant::now();
        Ok(())
    }

    fn take(&mut self, message: async_nats::Message) -> Result<Option<RawEvent>, Ended> {
        self.heard = Instant::now();
        match message.status {
            None => self.event(message).map(Some),
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(None),
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                self.close_request(false);
                Ok(None)
            }
            Some(status) => {
                let text = message.description.unwrap_or_default();
                // Versions of the server word the end of the bytes differently.
                if text.contains("MaxBytes") || text.contains("Batch Completed") {
                    self.close_request(text.contains("MaxBytes") && self.got == 0);
                    return Ok(None);
                }
                Err(Ended::Server(format!("{text} ({status})")))
            }
        }
    }

    fn event(&mut self, message: async_nats::Message) -> Result<RawEvent, Ended> {
        let message = Message { message, context: self.context.clone() };
        let info = message.info().map_err(|error| Ended::Server(error.to_string()))?;
        if info.consumer_sequence != self.received + 1 {
            return Err(Ended::Gap);
        }
        self.received += 1;
        self.got += 1;
        let raw = RawEvent {
            seq: info.stream_sequence,
            accepted: info.published.into(),
            pending: info.pending,
            json: message.message.payload.clone(),
        };
        match &mut self.open {
            Some(left) if *left > 1 => *left -= 1,
            _ => self.close_request(false),
        }
        Ok(raw)
    }

    fn close_request(&mut self, large: bool) {
        self.open = None;
        self.large = large;
    }
}

/// The server would forget the consumer by itself, but their number is limited.
impl Drop for Feed {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (client, delete) = (self.client.clone(), self.delete.clone());
        // The answer does not matter.
        runtime.spawn(async move { client.publish(delete, Bytes::new()).await });
    }
}
