//! Publishing: many events in flight, each acknowledged by the stream.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hooks_core::{BusError, Envelope};
use ring::digest::{Context as Digest, SHA256};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::NatsConfig;
use super::connect::{self, Denied, Deny, MAX_ACK_INFLIGHT, chain, connected};
use super::{refusal, subject};

/// Most unacknowledged events of one call. When the stream's leader changes, so many may be accepted after one that
/// was not.
const MAX_UNACKED: usize = 512;

/// After so many events a call checks if one before was refused.
const POLL_EVERY: usize = 16;

/// Publishes events and counts acknowledgements.
///
/// Events published again after an error must follow those accepted before, so a call stops at the first event that
/// is refused, uses one connection only, and after a failed call sends one event first.
#[derive(Debug)]
pub(super) struct Publisher {
    config: NatsConfig,
    deny: Deny,
    denied: Denied,
    /// The connection, made when it is first needed and when the one before was lost.
    connection: Mutex<Option<Arc<Context>>>,
    /// One for each event that the stream has not acknowledged.
    inflight: Arc<Semaphore>,
    /// The last call failed.
    last_failed: AtomicBool,
    /// The highest acknowledged position.
    last: AtomicU64,
}

/// The acknowledged events of a call.
#[derive(Debug, Default, Clone)]
pub(super) struct Acknowledged {
    pub(super) events: u64,
    /// The number of them that the stream had already.
    pub(super) duplicates: u64,
    /// Their numbers within the call.
    which: Vec<Range<usize>>,
}

impl Acknowledged {
    /// Numbers rise.
    fn add(&mut self, number: usize, duplicate: bool) {
        self.events += 1;
        self.duplicates += u64::from(duplicate);
        match self.which.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => self.which.push(number..number + 1),
        }
    }

    /// The error of a call, which also says which events were accepted.
    pub(super) fn into_error(self, events: usize, error: BusError) -> BusError {
        match self.which.is_empty() {
            true => error,
            false => BusError::Partly { accepted: self.which, events, error: Box::new(error) },
        }
    }
}

impl Publisher {
    pub(super) fn new(config: NatsConfig, deny: Deny, denied: Denied) -> Self {
        let inflight = Arc::new(Semaphore::new(MAX_ACK_INFLIGHT));
        let (connection, last_failed, last) = (Mutex::default(), AtomicBool::new(false), AtomicU64::new(0));
        Self { config, deny, denied, connection, inflight, last_failed, last }
    }

    /// The stream reached at least to here.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// The stream was rolled back to here.
    pub(super) fn roll_back(&self, last: u64) {
        self.last.store(last, Ordering::Relaxed);
    }

    async fn connection(&self) -> Result<Arc<Context>, BusError> {
        let mut connection = self.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| connected(&open.client()).is_ok()) {
            return Ok(open.clone());
        }
        let open = Arc::new(connect::publisher(&connect::connect_once(&self.config, &self.deny).await?));
        Ok(connection.insert(open).clone())
    }

    /// Publishes events, up to the first that fails, and waits for every acknowledgement.
    pub(super) async fn publish(&self, events: &[Envelope]) -> (Acknowledged, Result<(), BusError>) {
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return (Acknowledged::default(), Err(error)),
        };
        let last_failed = self.last_failed.load(Ordering::Relaxed);
        let mut call = Call::new(self, &connection, events);
        for (number, event) in events.iter().enumerate() {
            if number % POLL_EVERY == 0 {
                call.poll_acks();
            }
            if let Err(error) = self.send(number, event, &mut call).await {
                call.result = call.result.and(Err(error));
            }
            if number == 0 && last_failed {
                call.await_ack().await;
            }
            if call.result.is_err() {
                break;
            }
        }
        while call.await_ack().await {}
        self.last_failed.store(call.result.is_err(), Ordering::Relaxed);
        self.last.fetch_max(call.last, Ordering::Relaxed);
        (call.acknowledged, call.result)
    }

    async fn send(&self, number: usize, event: &Envelope, call: &mut Call<'_>) -> Result<(), BusError> {
        while call.sent.len() >= MAX_UNACKED {
            call.await_ack().await;
        }
        // A call collects its own acknowledgements before it waits for a permit, so calls can't wait for each other.
        let permit = loop {
            match self.inflight.clone().try_acquire_owned() {
                Ok(permit) => break permit,
                Err(_) if call.await_ack().await => {}
                Err(_) => break self.inflight.clone().acquire_owned().await.map_err(|_| BusError::Closed)?,
            }
        };
        // One of the events awaited above may have been refused.
        if call.result.is_err() {
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message_id(event));
        let message = PublishMessage::build().headers(headers).payload(Bytes::copy_from_slice(event.json().as_bytes()));
        let subject = subject::of_event(&self.config.name, event);
        let sent = call.connection.send_publish(subject, message).await.map_err(|error| not_sent(event, &error))?;
        call.sent.push_back((number, sent.into_future(), permit));
        Ok(())
    }
}

/// An acknowledgement that is waited for.
type Ack = BoxFuture<'static, Result<PublishAck, PublishError>>;

/// A call in progress and its unacknowledged events.
struct Call<'a> {
    name: &'a str,
    connection: &'a Context,
    events: &'a [Envelope],
    begun: Instant,
    sent: VecDeque<(usize, Ack, OwnedSemaphorePermit)>,
    acknowledged: Acknowledged,
    result: Result<(), BusError>,
    /// The highest position that was acknowledged.
    last: u64,
    denied: Denied,
}

impl<'a> Call<'a> {
    fn new(publisher: &'a Publisher, connection: &'a Context, events: &'a [Envelope]) -> Self {
        Self {
            name: &publisher.config.name,
            connection,
            events,
            begun: Instant::now(),
            sent: VecDeque::new(),
            acknowledged: Acknowledged::default(),
            result: Ok(()),
            last: 0,
            denied: publisher.denied.clone(),
        }
    }

    /// Takes in the acknowledgements and refusals that have arrived.
    fn poll_acks(&mut self) {
        while let Some((number, ack, _)) = self.sent.front_mut()
            && let Some(ack) = ack.now_or_never()
        {
            let number = *number;
            self.sent.pop_front();
            self.record_ack(number, ack.map_err(|error| explain(&error)));
        }
    }

    /// Waits for the oldest acknowledgement; false if there is none to wait for.
    async fn await_ack(&mut self) -> bool {
        let Some((number, ack, _permit)) = self.sent.pop_front() else { return false };
        let subject = || subject::of_event(self.name, &self.events[number]);
        let ack = tokio::select! {
            biased;
            ack = ack => ack.map_err(|error| explain(&error)),
            () = self.denied.publishing_to(subject, self.begun) => {
                Err(BusError::Unavailable("NATS does not let the user publish".to_owned()))
            }
        };
        self.record_ack(number, ack);
        true
    }

    fn record_ack(&mut self, number: usize, ack: Result<PublishAck, BusError>) {
        match ack {
            Ok(ack) => {
                self.last = self.last.max(ack.sequence);
                self.acknowledged.add(number, ack.duplicate);
            }
            Err(error) if self.result.is_ok() => self.result = Err(self.denied.explain(self.name, error)),
            Err(_) => {}
        }
    }
}

/// The error of an event that was not even sent.
pub(super) fn not_sent(event: &Envelope, error: &PublishError) -> BusError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => {
            BusError::TooLarge(format!("{} of {}: {}", event.id(), event.source(), chain(error)))
        }
        _ => explain(error),
    }
}

/// The error of an event that was not acknowledged.
pub(super) fn explain(error: &PublishError) -> BusError {
    if let Some(refused) = refusal::said(error) {
        return refusal::explain(refused);
    }
    let text = match error.kind() {
        PublishErrorKind::StreamNotFound => {
            "the stream does not answer: it was deleted, or has no leader at the moment".to_owned()
        }
        PublishErrorKind::TimedOut => "not acknowledged in time".to_owned(),
        PublishErrorKind::BrokenPipe => "the connection was lost before the event was acknowledged".to_owned(),
        _ => chain(error),
    };
    BusError::Unavailable(format!("NATS: {text}"))
}

/// Names an event by `tenant`, `source` and `id`: the id alone is not unique, and no tenant chooses the names of another
/// one's events.
fn message_id(event: &Envelope) -> String {
    let mut digest = Digest::new(&SHA256);
    if let Some(tenant) = event.tenant() {
        // No `source` is so long.
        digest.update(&u64::MAX.to_le_bytes());
        digest.update(&(tenant.len() as u64).to_le_bytes());
        digest.update(tenant.as_bytes());
    }
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
        let of = |tenant: &str| {
            let json = format!(r#"{{"type":"a","source":"s","id":"1","tenant":"{tenant}"}}"#);
            message_id(&Envelope::from_json(json.as_bytes()).unwrap())
        };
        assert_eq!(of("x"), of("x"));
        assert!(of("x") != of("y") && of("x") != id("s", "1"));
    }
}
