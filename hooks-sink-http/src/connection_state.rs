//! The state of a connection, and whether its receiver sends one answer for each request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::StatusCode;

use crate::trace::Trace;

/// Trust that a receiver sends one answer for each request. One that sent an unasked answer gets one request
/// on each connection: on one that is used again, the next such answer would be taken for that to the next request.
/// Hooks of one origin share this, as they share connections.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    lost: AtomicBool,
}

impl Trust {
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}

/// The state of a connection. A clone also knows which request was the last one when it was made: one is made for
/// each answer before the connection takes another request.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    /// The address of the other end; with a proxy, the proxy's.
    pub(crate) address: SocketAddr,
    /// From 1; 0: none over HTTP/1.
    request: u32,
    /// How it was made.
    pub(crate) trace: Arc<Trace>,
    /// When it was.
    pub(crate) made: Instant,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The last final status; 0: none since the last request.
    status: AtomicU16,
    /// The number of requests that began.
    requests: AtomicU32,
    /// The last one whose answer was read to its end and left the connection open.
    answered: AtomicU32,
    /// The one after which bytes came that were more than the answer, if that was whole.
    exceeded: AtomicU32,
    trust: OnceLock<Arc<Trust>>,
}

impl ConnectionState {
    pub(crate) fn new(address: SocketAddr, trace: Arc<Trace>) -> Self {
        Self { address, request: 0, trace, made: Instant::now(), shared: Arc::default() }
    }

    /// A request begins.
    pub(crate) fn begin_request(&self) {
        self.shared.status.store(0, Ordering::Relaxed);
        self.shared.requests.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    /// The status that the answer to the last request began with, once.
    pub(crate) fn take_status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.shared.status.swap(0, Ordering::Relaxed)).ok()
    }

    /// True if the request was not the first one.
    pub(crate) fn is_reused(&self) -> bool {
        self.request > 1
    }

    /// True if a request began before.
    pub(crate) fn was_used(&self) -> bool {
        self.requests() > 0
    }

    /// True if the last request has been answered, and nothing is expected.
    pub(crate) fn is_idle(&self) -> bool {
        self.was_used() && self.shared.answered.load(Ordering::SeqCst) == self.requests()
    }

    pub(crate) fn is_trusted(&self) -> bool {
        !self.shared.trust.get().is_some_and(|trust| trust.is_lost())
    }

    /// The answer to the request was read to its end, and should leave the connection open.
    pub(crate) fn answered(&self, trust: &Arc<Trust>) {
        self.shared.trust.get_or_init(|| trust.clone());
        self.shared.answered.store(self.request, Ordering::SeqCst);
        self.update_trust();
    }

    /// Bytes came after the last request that no answer took. They are unasked if its answer was whole, which is
    /// known before or after this.
    pub(crate) fn record_excess(&self) {
        self.shared.exceeded.store(self.requests(), Ordering::SeqCst);
        self.update_trust();
    }

    fn update_trust(&self) {
        let exceeded = self.shared.exceeded.load(Ordering::SeqCst);
        if exceeded != 0 && exceeded == self.shared.answered.load(Ordering::SeqCst) {
            self.shared.trust.get().iter().for_each(|trust| trust.lost.store(true, Ordering::SeqCst));
        }
    }

    fn requests(&self) -> u32 {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Clone for ConnectionState {
    fn clone(&self) -> Self {
        let Self { address, trace, made, shared, .. } = self;
        Self { address: *address, request: self.requests(), trace: trace.clone(), made: *made, shared: shared.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if trust is lost when this happens on a connection.
    fn lost(happens: impl FnOnce(&ConnectionState, &Arc<Trust>)) -> bool {
        let (connection, trust) = (ConnectionState::new(([127, 0, 0, 1], 80).into(), Arc::default()), Arc::default());
        happens(&connection, &trust);
        assert_eq!(connection.is_trusted(), !trust.is_lost());
        trust.is_lost()
    }

    #[test]
    fn bytes_are_unasked_after_the_answer_to_the_same_request() {
        let ask = |connection: &ConnectionState| {
            connection.begin_request();
            connection.clone()
        };
        assert!(lost(|connection, trust| {
            ask(connection).answered(trust);
            connection.record_excess();
        }));
        assert!(lost(|connection, trust| {
            let first = ask(connection);
            connection.record_excess();
            first.answered(trust);
        }));
        assert!(!lost(|connection, _| {
            ask(connection);
            connection.record_excess();
        }));
        // The connection took the next request before the answer to the first was said to be whole.
        assert!(!lost(|connection, trust| {
            let first = ask(connection);
            ask(connection);
            first.answered(trust);
            assert!(!connection.is_idle());
            connection.record_excess();
        }));
    }
}
