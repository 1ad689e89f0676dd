//! Publishing: many events on their way, each acknowledged by the stream.

use std::collections::VecDeque;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context, ErrorCode};
use bytes::Bytes;
use hooks_core::{BusError, Envelope};
use ring::digest::{Context as Digest, SHA256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use std::sync::Arc;

use super::connect::{ACK_TIMEOUT, MAX_ACK_INFLIGHT, chain, connected};
use super::subject;

/// Publishes events and counts what the stream says of them.
#[derive(Debug)]
pub(super) struct Publisher {
    context: Context,
    name: String,
    /// One for each event that the stream has not acknowledged.
    inflight: Arc<Semaphore>,
    /// Counts connections: acknowledgements don't outlive theirs.
    connections: watch::Receiver<u64>,
}

/// What the stream acknowledged.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Acknowledged {
    pub(super) events: u64,
    /// How many of them it had already.
    pub(super) duplicates: u64,
}

impl Publisher {
    pub(super) fn new(context: Context, name: String, connections: watch::Receiver<u64>) -> Self {
        Self { context, name, inflight: Arc::new(Semaphore::new(MAX_ACK_INFLIGHT)), connections }
    }

    /// Publishes all events, up to the first that can't be sent, and waits for every acknowledgement.
    pub(super) async fn publish(&self, events: &[Envelope]) -> (Acknowledged, Result<(), BusError>) {
        let mut flight = Flight::new(self.connections.clone());
        for event in events {
            if let Err(error) = self.send(event, &mut flight).await {
                flight.result = flight.result.and(Err(error));
                break;
            }
        }
        while flight.land().await {}
        (flight.acknowledged, flight.result)
    }

    async fn send(&self, event: &Envelope, flight: &mut Flight) -> Result<(), BusError> {
        connected(&self.context.client())?;
        // Whoever waits for room gives back its own first, so publishers can't wait for each other.
        let permit = loop {
            match self.inflight.clone().try_acquire_owned() {
                Ok(permit) => break permit,
                Err(_) if flight.land().await => {}
                Err(_) => break self.inflight.clone().acquire_owned().await.map_err(|_| BusError::Closed)?,
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message_id(event));
        let message = PublishMessage::build().headers(headers).payload(Bytes::copy_from_slice(event.json().as_bytes()));
        let subject = subject::of_type(&self.name, event.event_type());
        let sent = self.context.send_publish(subject, message).await.map_err(|error| refusal(event, &error))?;
        flight.sent.push_back((sent, permit));
        Ok(())
    }
}

/// What one call has sent and not heard of.
struct Flight {
    sent: VecDeque<(PublishAckFuture, OwnedSemaphorePermit)>,
    acknowledged: Acknowledged,
    result: Result<(), BusError>,
    connections: watch::Receiver<u64>,
}

impl Flight {
    fn new(mut connections: watch::Receiver<u64>) -> Self {
        connections.mark_unchanged();
        Self { sent: VecDeque::new(), acknowledged: Acknowledged::default(), result: Ok(()), connections }
    }

    /// Waits for the oldest acknowledgement; false if there is none to wait for.
    async fn land(&mut self) -> bool {
        let Some((ack, _permit)) = self.sent.pop_front() else { return false };
        let ack = tokio::select! {
            biased;
            ack = ack.into_future() => ack.map_err(|error| explain(&error)),
            Ok(()) = self.connections.changed() => {
                self.connections.mark_changed();
                Err(BusError::Unavailable("NATS: the connection was lost before the event was acknowledged".to_owned()))
            }
        };
        match ack {
            Ok(ack) => {
                self.acknowledged.events += 1;
                self.acknowledged.duplicates += u64::from(ack.duplicate);
            }
            Err(error) if self.result.is_ok() => self.result = Err(error),
            Err(_) => {}
        }
        true
    }
}

fn refusal(event: &Envelope, error: &PublishError) -> BusError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            BusError::TooLarge(format!("{} of {}: {}", event.id(), event.source(), chain(error)))
        }
        _ => explain(error),
    }
}

/// Why an event was not acknowledged.
pub(super) fn explain(error: &PublishError) -> BusError {
    let source = std::error::Error::source(error);
    if let Some(refused) = source.and_then(|source| source.downcast_ref::<jetstream::Error>()) {
        if refused.error_code() == ErrorCode::STREAM_STORE_FAILED {
            return BusError::Full(format!("NATS: {refused}"));
        }
        return BusError::Unavailable(format!("NATS: {refused}"));
    }
    let text = match error.kind() {
        PublishErrorKind::StreamNotFound => {
            "the stream does not answer: it was deleted, or has no leader at the moment".to_owned()
        }
        PublishErrorKind::TimedOut => format!("not acknowledged within {} s", ACK_TIMEOUT.as_secs()),
        _ => chain(error),
    };
    BusError::Unavailable(format!("NATS: {text}"))
}

/// Names an event by `source` and `id`: the id alone is not unique.
fn message_id(event: &Envelope) -> String {
    let mut digest = Digest::new(&SHA256);
    digest.update(&(event.source().len() as u64).to_le_bytes());
    digest.update(event.source().as_bytes());
    digest.update(event.id().as_bytes());
    digest.finish().as_ref()[..16].iter().fold(String::with_capacity(32), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_id_name_an_event() {
        let id = |source: &str, id: &str| {
            let json = format!(r#"{{"type":"a","source":"{source}","id":"{id}"}}"#);
            message_id(&Envelope::from_json(json.as_bytes()).unwrap())
        };
        assert_eq!(id("s", "1"), id("s", "1"));
        assert_eq!(id("s", "1").len(), 32);
        assert_ne!(id("s", "1"), id("s1", "1"));
        assert_ne!(id("sa", "b"), id("s", "ab"));
    }
}
