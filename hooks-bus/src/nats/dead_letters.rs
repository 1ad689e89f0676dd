//! Dead letters, in a separate stream: one subject each, `NAME.dead.HOOK.LOG.POSITION`, so that a dead letter
//! replaces the one of the same position. The event is the message, the rest a header.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::DeleteMessageErrorKind;
use async_nats::{HeaderMap, Subject};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hooks_core::{BusError, DeadLetter, DeadLetterId, DeadLetterReason, Envelope, HookId, Position, bus::DeadLetters};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Inner;
use super::connect::{REQUEST_TIMEOUT, unavailable};
use super::publish::{explain, not_sent};
use super::subject;

/// The header with everything about a dead letter but its event.
const HEADER: &str = "Hooks-Letter";

/// Requests that are open at a time.
const MAX_REQUESTS: usize = 32;

/// One hook's dead letters.
pub(super) struct NatsDeadLetters {
    bus: Arc<Inner>,
    token: String,
}

#[derive(Serialize, Deserialize)]
struct DeadLetterHeader {
    position: u64,
    reason: DeadLetterReason,
    detail: String,
    attempts: u32,
    first_attempt: Duration,
    last_attempt: Duration,
}

impl NatsDeadLetters {
    pub(super) fn new(bus: Arc<Inner>, hook: &HookId) -> Self {
        Self { bus, token: subject::of_hook(hook.as_str()) }
    }

    /// Their number, as last heard of the server.
    pub(super) fn known(&self) -> u64 {
        self.bus.dead_letter_counts.of(&self.token)
    }

    fn subjects(&self) -> String {
        format!("{}.dead.{}.", self.bus.config.name, self.token)
    }

    async fn fetch_count(&self) -> Result<u64, BusError> {
        self.bus.dead_letter_counts.fetch(&self.bus.storage.dead_letters, &self.bus.config.name, &self.token).await
    }

    /// Removes all of them; returns how many there were.
    pub(super) async fn purge(&self) -> Result<u64, BusError> {
        let change = self.bus.dead_letter_counts.begin(&self.token);
        let purged = self.bus.storage.dead_letters.purge().filter(format!("{}>", self.subjects())).await;
        let purged = purged.map_err(|error| unavailable("remove dead letters", &error))?.purged;
        change.done(|_| 0);
        Ok(purged)
    }

    /// The subject of a dead letter, if this hook has it.
    async fn subject(&self, id: DeadLetterId) -> Option<Subject> {
        let found = self.bus.storage.dead_letters.get_raw_message(id.get()).await.ok()?;
        found.subject.starts_with(&self.subjects()).then_some(found.subject)
    }

    async fn replace_one(&self, id: DeadLetterId, dead_letter: &DeadLetter) -> Result<(), BusError> {
        // The subject that it has: this names the log of its position.
        let Some(subject) = self.subject(id).await else { return Ok(()) };
        let message =
            encode(dead_letter, self.bus.client.server_info().max_payload).expected_last_subject_sequence(id.get());
        let sent = self.bus.api.send_publish(subject, message).await.map_err(|error| explain(&error))?;
        match sent.await {
            Ok(_) => Ok(()),
            // It was removed or replaced in between.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(self.bus.denied.explain(&self.bus.config.name, explain(&error))),
        }
    }

    async fn remove_one(&self, id: DeadLetterId) -> Result<bool, BusError> {
        let failed = |error: &dyn std::error::Error| unavailable("remove a dead letter", error);
        if self.subject(id).await.is_none() {
            return Ok(false);
        }
        match self.bus.storage.dead_letters.delete_message(id.get()).await {
            Ok(removed) => Ok(removed),
            // Another request was faster.
            Err(error) if matches!(error.kind(), DeleteMessageErrorKind::JetStream(_)) => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl DeadLetters for NatsDeadLetters {
    async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let (max, new) = (self.bus.config.max_dead_letters, dead_letters.len() as u64);
        if self.count() + new > max && self.fetch_count().await? + new > max {
            return Err(BusError::Full(format!("{max} dead letters (max_dead_letters)")));
        }
        let change = self.bus.dead_letter_counts.begin(&self.token);
        let mut sent = Vec::new();
        for dead_letter in &dead_letters {
            let subject = format!("{}{}.{}", self.subjects(), self.bus.log_name, dead_letter.position.get());
            let message = encode(dead_letter, self.bus.client.server_info().max_payload);
            let one = self.bus.api.send_publish(subject, message).await;
            sent.push(one.map_err(|error| not_sent(&dead_letter.envelope, &error))?);
        }
        for ack in sent {
            // A denial of permission arrives apart from the request, which gets no answer.
            ack.await.map_err(|error| match self.bus.denied.explain(&self.bus.config.name, explain(&error)) {
                // By a limit of the stream, which should have none.
                BusError::TooLarge(text) => BusError::Full(text),
                error => error,
            })?;
        }
        change.done(|count| count + new);
        Ok(())
    }

    async fn replace(&self, dead_letters: Vec<(DeadLetterId, DeadLetter)>) -> Result<(), BusError> {
        let replacements: Vec<_> =
            dead_letters.iter().map(|(id, dead_letter)| self.replace_one(*id, dead_letter)).collect();
        stream::iter(replacements).buffered(MAX_REQUESTS).try_collect().await
    }

    async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError> {
        let failed = |error: &dyn std::error::Error| unavailable("read dead letters", error);
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.map_or(1, |after| after.get() + 1) },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: Duration::from_secs(30),
            filter_subject: format!("{}>", self.subjects()),
            ..pull::Config::default()
        };
        let stream = &self.bus.storage.dead_letters;
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let mut found = Vec::new();
        let mut messages = consumer.fetch().max_messages(max).messages().await.map_err(|error| failed(&error))?;
        // A request that is lost with its connection is not sent again.
        let silent = |_| BusError::Unavailable("can't read dead letters: NATS does not answer".to_owned());
        while let Some(message) = timeout(REQUEST_TIMEOUT, messages.next()).await.map_err(silent)? {
            let message = message.map_err(|error| failed(&*error))?;
            let id = message.info().map_err(|error| failed(&*error))?.stream_sequence;
            match decode(&message) {
                Ok(dead_letter) => found.push((DeadLetterId::new(id), dead_letter)),
                Err(error) => {
                    tracing::error!(id, error, "a message in the stream of dead letters is none: it is skipped")
                }
            }
        }
        // The server would remove it after a while anyway.
        let _ = stream.delete_consumer(&consumer.cached_info().name).await;
        Ok(found)
    }

    /// On an error, some may have been removed.
    async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError> {
        let change = self.bus.dead_letter_counts.begin(&self.token);
        let removals: Vec<_> = ids.iter().map(|id| self.remove_one(*id)).collect();
        let removed: Vec<bool> = stream::iter(removals).buffered(MAX_REQUESTS).try_collect().await?;
        let removed = removed.into_iter().filter(|removed| *removed).count();
        change.done(|count| count.saturating_sub(removed as u64));
        Ok(removed)
    }

    /// The last known count: changes by other instances show within seconds.
    fn count(&self) -> u64 {
        self.bus.dead_letter_counts.of(&self.token)
    }

    async fn recount(&self) -> Result<u64, BusError> {
        self.fetch_count().await
    }
}

/// Bytes that a header takes beside its text.
const HEADER_OVERHEAD: usize = 64;

/// The message of a dead letter. The receiver's answer is cut so that the message is as short as the server needs,
/// if the event is.
fn encode(dead_letter: &DeadLetter, longest: usize) -> PublishMessage {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut about = DeadLetterHeader {
        position: dead_letter.position.get(),
        reason: dead_letter.reason,
        detail: dead_letter.detail.clone(),
        attempts: dead_letter.attempts,
        first_attempt: since(dead_letter.first_attempt),
        last_attempt: since(dead_letter.last_attempt),
    };
    let room = longest.saturating_sub(dead_letter.envelope.len() + HEADER_OVERHEAD);
    let mut keep = dead_letter.detail.len();
    while json(&about).len() > room && keep > 0 {
        keep = (0..keep * 3 / 4).rev().find(|at| dead_letter.detail.is_char_boundary(*at)).unwrap_or(0);
        about.detail = format!("{}{ELLIPSIS}", &dead_letter.detail[..keep]);
    }
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, json(&about));
    PublishMessage::build().headers(headers).payload(Bytes::copy_from_slice(dead_letter.envelope.json().as_bytes()))
}

/// Marks a text that was cut.
const ELLIPSIS: &str = "…";

/// As JSON, which escapes what a header can't hold.
fn json(about: &DeadLetterHeader) -> String {
    serde_json::to_string(about).unwrap_or_default()
}

fn decode(message: &async_nats::Message) -> Result<DeadLetter, String> {
    let about = message.headers.as_ref().and_then(|headers| headers.get(HEADER)).ok_or("it has no header")?;
    let about: DeadLetterHeader = serde_json::from_str(about.as_str()).map_err(|error| error.to_string())?;
    Ok(DeadLetter {
        position: Position::new(about.position),
        envelope: Envelope::from_json(&message.payload).map_err(|error| error.to_string())?,
        reason: about.reason,
        detail: about.detail,
        attempts: about.attempts,
        first_attempt: SystemTime::UNIX_EPOCH + about.first_attempt,
        last_attempt: SystemTime::UNIX_EPOCH + about.last_attempt,
    })
}
