//! Publishing: many events on their way, each acknowledged by the stream.

use std::collections::VecDeque;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use hooks_core::{BusError, Envelope};
use ring::digest::{Context as Digest, SHA256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use std::ops::Range;
use std::sync::Arc;

use super::connect::{Denied, MAX_ACK_INFLIGHT, chain, connected};
use super::{refusal, subject};

/// Publishes events and counts what the stream says of them.
#[derive(Debug)]
pub(super) struct Publisher {
    context: Context,
    name: String,
    /// One for each event that the stream has not acknowledged.
    inflight: Arc<Semaphore>,
    /// Counts connections: acknowledgements don't outlive theirs.
    connections: watch::Receiver<u64>,
    denied: Denied,
}

/// What the stream acknowledged.
#[derive(Debug, Default, Clone)]
pub(super) struct Acknowledged {
    pub(super) events: u64,
    /// How many of them it had already.
    pub(super) duplicates: u64,
    /// Which of the call's events they are.
    which: Vec<Range<usize>>,
}

impl Acknowledged {
    /// Numbers rise.
    fn enter(&mut self, number: usize, duplicate: bool) {
        self.events += 1;
        self.duplicates += u64::from(duplicate);
        match self.which.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => self.which.push(number..number + 1),
        }
    }

    /// The error of a call, which says what was accepted all the same.
    pub(super) fn part(self, events: usize, error: BusError) -> BusError {
        match self.which.is_empty() {
            true => error,
            false => BusError::Partly { accepted: self.which, events, error: Box::new(error) },
        }
    }
}

impl Publisher {
    pub(super) fn new(context: Context, name: String, connections: watch::Receiver<u64>, denied: Denied) -> Self {
        Self { context, name, inflight: Arc::new(Semaphore::new(MAX_ACK_INFLIGHT)), connections, denied }
    }

    /// Publishes events, up to the first that fails, and waits for every acknowledgement.
    pub(super) async fn publish(&self, events: &[Envelope]) -> (Acknowledged, Result<(), BusError>) {
        let mut flight = Flight::new(self, events);
        for (number, event) in events.iter().enumerate() {
            if let Err(error) = self.send(number, event, &mut flight).await {
                flight.result = flight.result.and(Err(error));
            }
            if flight.result.is_err() {
                break;
            }
        }
        while flight.land().await {}
        (flight.acknowledged, flight.result)
    }

    async fn send(&self, number: usize, event: &Envelope, flight: &mut Flight<'_>) -> Result<(), BusError> {
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
        let sent = self.context.send_publish(subject, message).await.map_err(|error| not_sent(event, &error))?;
        flight.sent.push_back((number, sent, permit));
        Ok(())
    }
}

/// What one call has sent and not heard of.
struct Flight<'a> {
    name: &'a str,
    events: &'a [Envelope],
    begun: Instant,
    sent: VecDeque<(usize, PublishAckFuture, OwnedSemaphorePermit)>,
    acknowledged: Acknowledged,
    result: Result<(), BusError>,
    connections: watch::Receiver<u64>,
    denied: Denied,
}

impl<'a> Flight<'a> {
    fn new(publisher: &'a Publisher, events: &'a [Envelope]) -> Self {
        let mut connections = publisher.connections.clone();
        connections.mark_unchanged();
        Self {
            name: &publisher.name,
            events,
            begun: Instant::now(),
            sent: VecDeque::new(),
            acknowledged: Acknowledged::default(),
            result: Ok(()),
            connections,
            denied: publisher.denied.clone(),
        }
    }

    /// Waits for the oldest acknowledgement; false if there is none to wait for.
    async fn land(&mut self) -> bool {
        let Some((number, ack, _permit)) = self.sent.pop_front() else { return false };
        let subject = || subject::of_type(self.name, self.events[number].event_type());
        let ack = tokio::select! {
            biased;
            ack = ack.into_future() => ack.map_err(|error| explain(&error)),
            Ok(()) = self.connections.changed() => {
                self.connections.mark_changed();
                Err(BusError::Unavailable("NATS: the connection was lost before the event was acknowledged".to_owned()))
            }
            () = self.denied.publishing_to(subject, self.begun) => {
                Err(BusError::Unavailable("NATS does not let the user publish".to_owned()))
            }
        };
        match ack {
            Ok(ack) => self.acknowledged.enter(number, ack.duplicate),
            Err(error) if self.result.is_ok() => self.result = Err(self.denied.explain(self.name, error)),
            Err(_) => {}
        }
        true
    }
}

fn not_sent(event: &Envelope, error: &PublishError) -> BusError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            BusError::TooLarge(format!("{} of {}: {}", event.id(), event.source(), chain(error)))
        }
        _ => explain(error),
    }
}

/// Why an event was not acknowledged.
pub(super) fn explain(error: &PublishError) -> BusError {
    if let Some(refused) = refusal::said(error) {
        return refusal::explain(refused);
    }
    let text = match error.kind() {
        PublishErrorKind::StreamNotFound => {
            "the stream does not answer: it was deleted, or has no leader at the moment".to_owned()
        }
        PublishErrorKind::TimedOut => "not acknowledged in time".to_owned(),
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
