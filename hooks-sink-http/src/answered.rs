//! What comes of a request: the head of an answer, or none.

use hooks_core::BoxError;
use http::{Extensions, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected};

use crate::connection_state::ConnectionState;
use crate::pool::Lease;

/// The head of an answer.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    /// The connection that it came over, as it was then: not a clone of it, which would know of a later request.
    pub(crate) connection: Option<ConnectionState>,
    /// Holds the connection until the body has been read.
    pub(crate) lease: Option<Lease>,
}

/// No whole head of an answer came.
#[derive(Debug, thiserror::Error)]
#[error("client error (no answer)")]
pub(crate) struct Unanswered {
    /// The connection that the request went out on, or was going to.
    pub(crate) connection: Option<ConnectionState>,
    #[source]
    source: BoxError,
}

impl Unanswered {
    /// There was no connection.
    pub(crate) fn new(error: impl Into<BoxError>) -> Self {
        Self { connection: None, source: error.into() }
    }

    pub(crate) fn over(connection: ConnectionState, error: impl Into<BoxError>) -> Self {
        Self { connection: Some(connection), source: error.into() }
    }
}

impl From<legacy::Error> for Unanswered {
    fn from(error: legacy::Error) -> Self {
        Self { connection: error.connect_info().and_then(of), source: error.into() }
    }
}

/// The connection that a request is going out on.
pub(crate) enum Asking {
    Known(ConnectionState),
    /// The client tells when it has one.
    Captured(CaptureConnection),
}

impl Asking {
    pub(crate) fn connection(&self) -> Option<ConnectionState> {
        match self {
            Self::Known(connection) => Some(connection.clone()),
            Self::Captured(captured) => captured.connection_metadata().as_ref().and_then(of),
        }
    }

    /// No answer came in time: what is asked next goes out on another connection. One that others share may say that it is
    /// there and answer nothing any more.
    pub(crate) fn give_up(&self) {
        if let Self::Captured(captured) = self {
            captured.connection_metadata().iter().for_each(Connected::poison);
        }
    }
}

fn of(connected: &Connected) -> Option<ConnectionState> {
    let mut known = Extensions::new();
    connected.get_extras(&mut known);
    known.remove()
}
