//! Requests over HTTP/1.1, and the connections that are kept for the next ones.
//!
//! The client of hyper-util does the same for every version of HTTP. With each request it makes anew what would connect,
//! what watches and what waits, which costs about as much as writing the request and reading its answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};
use tower_service::Service as _;

use crate::answered::{Answered, Asking, Unanswered};
use crate::connect::Connector;
use crate::connection_state::ConnectionState;

/// Shortest interval at which connections are looked for that were idle for too long.
const SWEEP: Duration = Duration::from_millis(100);

/// Sends requests, each over a connection on which no other is on its way.
pub(crate) struct Pool {
    connector: Connector,
    builder: Builder,
    /// True if requests to `http://` go to a proxy.
    is_proxied: bool,
    idle: Arc<Idle>,
    /// Dropped with the pool.
    _end: oneshot::Sender<Infallible>,
}

/// Connections that wait for a request.
struct Idle {
    state: Mutex<State>,
    /// A connection was put here.
    returned: Notify,
    timeout: Duration,
    max_idle: usize,
}

struct State {
    by_origin: HashMap<Origin, Vec<Kept>>,
    /// For the sweeper, which begins with the first connection that is kept.
    end: Option<oneshot::Receiver<Infallible>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Origin {
    is_secure: bool,
    authority: Authority,
}

/// A connection.
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    state: ConnectionState,
    host: HeaderValue,
    idle_since: Instant,
}

impl Pool {
    pub(crate) fn new(connector: Connector, is_proxied: bool, timeout: Duration, max_idle: usize) -> Self {
        let mut builder = Builder::new();
        builder
            // Heads that browsers and curl take, too.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        let (end, ended) = oneshot::channel();
        let state = Mutex::new(State { by_origin: HashMap::new(), end: Some(ended) });
        let idle = Arc::new(Idle { state, returned: Notify::new(), timeout, max_idle });
        Self { connector, builder, is_proxied, idle, _end: end }
    }

    /// Sends a request to an absolute address, and reads the head of its answer.
    ///
    /// # Cancel safety
    /// Dropped, it closes the connection.
    pub(crate) async fn request(
        &self,
        mut request: Request<Full<Bytes>>,
        asking: &mut Option<Asking>,
    ) -> Result<Answered, Unanswered> {
        let origin = Origin::of(request.uri())?;
        if origin.is_secure || !self.is_proxied {
            *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
        }
        loop {
            let (mut kept, is_new) = match self.idle.take(&origin) {
                Some(kept) => (kept, false),
                None => Box::pin(self.first(&origin)).await?,
            };
            *asking = Some(Asking::Known(kept.state.clone()));
            request.headers_mut().insert(HOST, kept.host.clone());
            match kept.sender.try_send_request(request).await {
                Ok(response) => {
                    let connection = Some(kept.state.clone());
                    let lease = Some(Lease { kept: Some(kept), origin, idle: self.idle.clone() });
                    return Ok(Answered { response, connection, lease });
                }
                Err(mut error) => match error.take_message() {
                    // It was closed while it was idle, and nothing was sent.
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(Unanswered::over(kept.state.clone(), error.into_error())),
                },
            }
        }
    }

    /// A new connection, and true; or one that comes back before that is there: it may be the only one that a receiver serves.
    async fn first(&self, origin: &Origin) -> Result<(Kept, bool), Unanswered> {
        let mut connecting = pin!(self.connect(origin));
        loop {
            // Made before the look, so that it hears of what is put here in between.
            let returned = self.idle.returned.notified();
            if let Some(kept) = self.idle.take(origin) {
                return Ok((kept, false));
            }
            match select(connecting.as_mut(), pin!(returned)).await {
                Either::Left((kept, _)) => return Ok((kept?, true)),
                Either::Right(_) => {}
            }
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<Kept, Unanswered> {
        let stream = self.connector.clone().call(origin.uri()?).await.map_err(Unanswered::new)?;
        let state = stream.inner().state().clone();
        let (mut sender, connection) = self.builder.handshake(stream).await.map_err(Unanswered::new)?;
        let serving = tokio::spawn(connection.with_upgrades());
        if let Err(closed) = sender.ready().await {
            // The connection knows more of it.
            return Err(Unanswered::new(serving.await.ok().and_then(Result::err).unwrap_or(closed)));
        }
        Ok(Kept { sender, state, host: origin.host()?, idle_since: Instant::now() })
    }
}

impl Idle {
    /// The connection that was used last.
    fn take(&self, origin: &Origin) -> Option<Kept> {
        let mut state = self.lock();
        let kept = state.by_origin.get_mut(origin)?;
        while let Some(last) = kept.pop() {
            if self.is_fresh(&last) {
                return Some(last);
            }
        }
        None
    }

    fn put(self: &Arc<Self>, origin: Origin, mut kept: Kept) {
        if self.max_idle == 0 {
            return;
        }
        kept.idle_since = Instant::now();
        let mut state = self.lock();
        let of_origin = state.by_origin.entry(origin).or_default();
        if of_origin.len() < self.max_idle {
            of_origin.push(kept);
        }
        if let Some(end) = state.end.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(sweep(Arc::downgrade(self), self.timeout.max(SWEEP), end));
        }
        drop(state);
        self.returned.notify_waiters();
    }

    fn is_fresh(&self, kept: &Kept) -> bool {
        kept.sender.is_ready() && kept.idle_since.elapsed() <= self.timeout
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that were idle for too long, until the pool is dropped.
async fn sweep(idle: Weak<Idle>, interval: Duration, mut end: oneshot::Receiver<Infallible>) {
    while timeout(interval, &mut end).await.is_err() {
        let Some(idle) = idle.upgrade() else { return };
        idle.lock().by_origin.retain(|_, kept| {
            kept.retain(|kept| idle.is_fresh(kept));
            !kept.is_empty()
        });
    }
}

/// A connection whose answer is being read. Dropped, it is kept for another request, once it can take one.
pub(crate) struct Lease {
    kept: Option<Kept>,
    origin: Origin,
    idle: Arc<Idle>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut kept) = self.kept.take() else { return };
        if kept.sender.is_ready() {
            return self.idle.put(self.origin.clone(), kept);
        }
        // Its task has not come to the end of the answer, or closes it.
        let (idle, origin) = (Arc::downgrade(&self.idle), self.origin.clone());
        if let (false, Ok(runtime)) = (kept.sender.is_closed(), Handle::try_current()) {
            runtime.spawn(async move {
                if let (Ok(()), Some(idle)) = (kept.sender.ready().await, idle.upgrade()) {
                    idle.put(origin, kept);
                }
            });
        }
    }
}

impl Origin {
    fn of(address: &Uri) -> Result<Self, Unanswered> {
        let is_secure = address.scheme() == Some(&Scheme::HTTPS);
        match address.authority().cloned() {
            Some(authority) => Ok(Self { is_secure, authority }),
            None => Err(Unanswered::new("the address has no host")),
        }
    }

    fn uri(&self) -> Result<Uri, Unanswered> {
        let scheme = if self.is_secure { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query("/").build();
        uri.map_err(Unanswered::new)
    }

    /// The header `host`: without the port that the scheme implies.
    fn host(&self) -> Result<HeaderValue, Unanswered> {
        let implied = if self.is_secure { 443 } else { 80 };
        let host = match self.authority.port_u16().filter(|port| *port != implied) {
            Some(port) => HeaderValue::try_from(format!("{}:{port}", self.authority.host())),
            None => HeaderValue::from_str(self.authority.host()),
        };
        host.map_err(Unanswered::new)
    }
}
