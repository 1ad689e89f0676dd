//! What happens during a test delivery, and how long each part of it takes.

use std::fmt;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::BoxFuture;
use hooks_core::Notes;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tower_service::Service;

/// A part of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Resolve,
    Connect,
    Tls,
    FirstByte,
    Body,
}

/// Notes the phases of one attempt: each under its name, as soon as it begins, so that one which never ends
/// is seen, too.
pub(crate) struct Trace {
    notes: Notes,
    /// Whether a name has to be resolved before connecting.
    resolves: bool,
    now: Mutex<Option<(Phase, Instant)>>,
}

impl Trace {
    pub(crate) fn new(notes: Notes, resolves: bool) -> Self {
        Self { notes, resolves, now: Mutex::new(None) }
    }

    /// For what belongs to no phase.
    pub(crate) fn notes(&self) -> &Notes {
        &self.notes
    }

    /// A phase begins, and with it the one before is over.
    pub(crate) fn begin(&self, phase: Phase) {
        self.end("");
        self.notes.set(phase.to_string(), "begun, and not finished");
        *self.lock() = Some((phase, Instant::now()));
    }

    /// The phase is over; `with` says what came of it.
    pub(crate) fn end(&self, with: impl fmt::Display) {
        if let Some((phase, since)) = self.lock().take() {
            self.notes.set(phase.to_string(), format!("{:.1?}{with}", since.elapsed()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Phase, Instant)>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::FirstByte => "first byte",
            Self::Body => "body",
        })
    }
}

/// A connector that notes when it begins and ends.
#[derive(Clone)]
pub(crate) struct Traced<S> {
    pub(crate) connector: S,
    pub(crate) trace: Arc<Trace>,
}

impl<S, R> Service<R> for Traced<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        // Else the resolver says when.
        if !self.trace.resolves {
            self.trace.begin(Phase::Connect);
        }
        let (connecting, trace) = (self.connector.call(to), self.trace.clone());
        Box::pin(async move {
            let connection = connecting.await?;
            trace.begin(Phase::FirstByte);
            Ok(connection)
        })
    }
}

/// Remembers no session, but notes when a handshake begins: that is when rustls asks for one.
pub(crate) struct Handshakes(pub(crate) Arc<Trace>);

impl ClientSessionStore for Handshakes {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.begin(Phase::Tls);
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshakes")
    }
}
