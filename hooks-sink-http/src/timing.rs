//! What is recorded of an attempt: by whom it was answered, how, and what took how long.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hooks_core::{Exchange, Phase};
use http::{HeaderValue, StatusCode};

use crate::answered::{Asking, Unanswered};
use crate::connect::Unconnected;
use crate::connection_state::ConnectionState;
use crate::transport;

/// Shorter than this nobody waits for a place.
const NO_WAIT: Duration = Duration::from_millis(1);

/// Measures one attempt.
#[derive(Debug)]
pub(crate) struct Timing {
    exchange: Exchange,
    /// When the part began that goes on.
    since: Instant,
    now: Option<Phase>,
}

impl Timing {
    pub(crate) fn start() -> Self {
        Self { exchange: Exchange::default(), since: Instant::now(), now: Some(Phase::Wait) }
    }

    /// There is a place for the request.
    pub(crate) fn waited(&mut self) {
        let waited = self.since.elapsed();
        if waited >= NO_WAIT {
            self.exchange.phases.set(Phase::Wait, waited);
        }
        self.now = None;
    }

    /// What is sent has this `traceparent`.
    pub(crate) fn sends(&mut self, traceparent: Option<&HeaderValue>) {
        self.exchange.traceparent = traceparent.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    }

    /// A request goes out, the first one or one in its place.
    pub(crate) fn ask(&mut self) {
        (self.since, self.now) = (Instant::now(), Some(Phase::FirstByte));
    }

    /// The head of the answer was read.
    pub(crate) fn answered(&mut self, status: StatusCode, connection: Option<&ConnectionState>) {
        connection.into_iter().for_each(|connection| self.went_over(connection));
        self.exchange.status = Some(status.as_u16());
        self.end();
        self.now = Some(Phase::Body);
    }

    /// Nothing more is read of the answer.
    pub(crate) fn end(&mut self) {
        let Some(phase) = self.now.take() else { return };
        let now = Instant::now();
        self.exchange.phases.set(phase, now - self.since);
        self.since = now;
    }

    /// No whole head of an answer came.
    pub(crate) fn failed(&mut self, error: &Unanswered) {
        match transport::find::<Unconnected>(error) {
            Some(unconnected) => {
                self.exchange.address = unconnected.trace.address();
                self.exchange.phases = unconnected.trace.phases();
                self.now = None;
            }
            None => {
                error.connection.iter().for_each(|connection| self.went_over(connection));
                self.end();
            }
        }
    }

    /// The attempt's time was over.
    pub(crate) fn cut_short(&mut self, asking: Option<&Asking>) {
        let connection = asking.and_then(Asking::connection);
        connection.iter().for_each(|connection| self.went_over(connection));
        self.end();
    }

    /// The status of an answer of which nothing else could be read.
    pub(crate) fn status(&mut self, status: StatusCode) {
        self.exchange.status.get_or_insert(status.as_u16());
    }

    pub(crate) fn into_exchange(self) -> Exchange {
        self.exchange
    }

    /// What was waited for before this connection was there, was the connection.
    fn went_over(&mut self, connection: &ConnectionState) {
        self.exchange.address = connection.trace.address();
        if connection.made < self.since {
            return;
        }
        for phase in [Phase::Resolve, Phase::Connect, Phase::Tls] {
            connection.trace.phases().get(phase).into_iter().for_each(|took| self.exchange.phases.set(phase, took));
        }
        self.since = connection.made;
    }
}
