//! Makes connections: name, guard, proxy, TLS.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hooks_core::{BoxError, HumanDuration, Phase};
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_service::Service;

use crate::connection_state::ConnectionState;
use crate::guard::Guard;
use crate::observed::ObservedStream;
use crate::resolve::{Lookup, Resolver};
use crate::status_scanner;
use crate::stream::Stream;
use crate::tls::Secured;
use crate::trace::Trace;

/// Makes the connections of one client.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Settings>);

pub(crate) struct Settings {
    pub(crate) tcp: Tcp,
    pub(crate) tls: Option<Secured>,
    pub(crate) proxy: Option<Through>,
    /// For all of it together.
    pub(crate) timeout: Duration,
    /// For one traced attempt.
    pub(crate) trace: Option<Arc<Trace>>,
}

/// Names and TCP.
pub(crate) struct Tcp {
    pub(crate) lookup: Lookup,
    pub(crate) guard: Option<Guard>,
    pub(crate) timeout: Duration,
}

/// The interval at which the system asks whether an idle peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

impl Tcp {
    /// What makes one connection.
    fn connector(&self, trace: Arc<Trace>) -> HttpConnector<Resolver> {
        let resolver = Resolver { lookup: self.lookup.clone(), guard: self.guard.clone(), trace };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE));
        tcp.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(2 * KEEP_ALIVE));
        // All addresses of a name share this, so that one that is dead leaves time for the next. The rest is for the
        // name before and TLS behind it.
        tcp.set_connect_timeout(Some(self.timeout.mul_f64(0.75)));
        tcp
    }
}

/// A forward proxy.
pub(crate) struct Through {
    /// Without credentials.
    pub(crate) uri: Uri,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) tls: Option<Secured>,
}

/// No connection came about.
#[derive(Debug, thiserror::Error)]
#[error("{}", at(*.step, .proxy.as_deref()))]
pub(crate) struct Unconnected {
    pub(crate) step: Step,
    /// The proxy that it is about.
    pub(crate) proxy: Option<String>,
    #[source]
    source: Option<BoxError>,
    /// How far it came.
    pub(crate) trace: Arc<Trace>,
}

/// The step of connecting that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Name and TCP.
    Reach,
    /// TLS.
    Secure,
    /// The proxy did not let through; what it answered.
    Tunnel(Option<u16>),
    /// It took longer than this.
    Late {
        limit: Duration,
        /// The connection was there: what did not end is the TLS handshake.
        secures: bool,
    },
}

fn at(step: Step, proxy: Option<&str>) -> String {
    match (step, proxy) {
        (Step::Reach, None) => "can't connect".to_owned(),
        (Step::Reach, Some(proxy)) => format!("can't connect to the proxy {proxy}"),
        (Step::Secure, None) => "can't connect with TLS".to_owned(),
        (Step::Secure, Some(proxy)) => format!("can't connect with TLS to the proxy {proxy}"),
        (Step::Tunnel(status), proxy) => {
            let answer = status.map_or("nothing that is HTTP".to_owned(), |status| status.to_string());
            format!("can't connect: the proxy {} answered {answer}", proxy.unwrap_or_default())
        }
        (Step::Late { limit, secures }, proxy) => {
            let with = if secures { " with TLS" } else { "" };
            let through = proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default();
            format!("can't connect{with}{through} within the connect timeout of {}", HumanDuration::new(limit))
        }
    }
}

impl Connector {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ObservedStream>;
    type Error = Unconnected;
    type Future = BoxFuture<'static, Result<TokioIo<ObservedStream>, Unconnected>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let settings = self.0.clone();
        Box::pin(async move {
            let trace = settings.trace.clone().unwrap_or_default();
            let connecting = Connecting { settings: &settings, trace };
            let (limit, secures) = (settings.timeout, AtomicBool::new(false));
            let connected = tokio::time::timeout(limit, connecting.connect(&to, &secures)).await;
            connected.unwrap_or_else(|_| {
                let secures = secures.load(Ordering::Relaxed);
                Err(connecting.failed(Step::Late { limit, secures }, true, None))
            })
        })
    }
}

/// A connection that is being made.
struct Connecting<'a> {
    settings: &'a Settings,
    trace: Arc<Trace>,
}

impl Connecting<'_> {
    /// `secures`: the handshake with the receiver has begun.
    async fn connect(&self, to: &Uri, secures: &AtomicBool) -> Result<TokioIo<ObservedStream>, Unconnected> {
        let first = self.settings.proxy.as_ref().map_or(to, |proxy| &proxy.uri);
        let (mut stream, address) = self.reach(first).await?;
        let is_secure = to.scheme_str() == Some("https");
        if let Some(proxy) = &self.settings.proxy {
            if proxy.uri.scheme_str() == Some("https") {
                stream = self.secure(stream, &proxy.uri, &proxy.tls, true).await?.0;
            }
            if is_secure {
                self.tunnel(&mut stream, to, proxy).await?;
            }
        }
        let mut is_h2 = false;
        if is_secure {
            self.trace.begin(Phase::Tls);
            secures.store(true, Ordering::Relaxed);
            (stream, is_h2) = self.secure(stream, to, &self.settings.tls, false).await?;
        }
        self.trace.begin(Phase::FirstByte);
        let is_proxied = self.settings.proxy.is_some() && !is_secure;
        Ok(TokioIo::new(ObservedStream::new(
            stream,
            ConnectionState::new(address, self.trace.clone()),
            is_proxied,
            is_h2,
        )))
    }

    async fn reach(&self, to: &Uri) -> Result<(Box<dyn Stream>, SocketAddr), Unconnected> {
        // With a name, the resolver says when connecting begins.
        if to.host().is_none_or(|host| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()) {
            self.trace.begin(Phase::Connect);
        }
        let failed = |error: BoxError| self.failed(Step::Reach, true, Some(error));
        let stream = self
            .settings
            .tcp
            .connector(self.trace.clone())
            .call(to.clone())
            .await
            .map_err(|error| failed(error.into()))?
            .into_inner();
        let address = stream.peer_addr().map_err(|error| failed(error.into()))?;
        self.trace.reached(address.to_string().into());
        Ok((Box::new(stream), address))
    }

    /// Secures the stream with TLS, and tells whether HTTP/2 was agreed on.
    async fn secure(
        &self,
        stream: Box<dyn Stream>,
        to: &Uri,
        tls: &Option<Secured>,
        of_proxy: bool,
    ) -> Result<(Box<dyn Stream>, bool), Unconnected> {
        let failed = |error: BoxError| self.failed(Step::Secure, of_proxy, Some(error));
        let Some(tls) = tls else { return Err(failed("TLS is not set up".into())) };
        let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
        tls.connect(host.to_owned(), stream).await.map_err(failed)
    }

    /// Has the proxy connect to the receiver (RFC 9110, section 9.3.6).
    async fn tunnel(&self, stream: &mut Box<dyn Stream>, to: &Uri, proxy: &Through) -> Result<(), Unconnected> {
        let failed = |error: BoxError| self.failed(Step::Tunnel(None), true, Some(error));
        let address = format!("{}:{}", to.host().unwrap_or_default(), to.port_u16().unwrap_or(443));
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n").into_bytes();
        if let Some(authorization) = &proxy.authorization {
            request.extend([b"proxy-authorization: ", authorization.as_bytes(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        stream.write_all(&request).await.map_err(|error| failed(error.into()))?;
        stream.flush().await.map_err(|error| failed(error.into()))?;
        let head = read_head(stream).await.map_err(|error| failed(error.into()))?;
        match status_scanner::status(&head) {
            Some(200..300) => Ok(()),
            status => Err(self.failed(Step::Tunnel(status), true, None)),
        }
    }

    fn failed(&self, step: Step, of_proxy: bool, source: Option<BoxError>) -> Unconnected {
        let proxy = self.settings.proxy.as_ref().filter(|_| of_proxy).map(|proxy| proxy.uri.to_string());
        self.trace.end(", and failed");
        Unconnected { step, proxy, source, trace: self.trace.clone() }
    }
}

/// Longest head of a proxy's answer.
const MAX_HEAD: usize = 16 << 10;

/// Reads until the head of a final answer has ended. The other side says nothing more before it is spoken to.
async fn read_head(stream: &mut Box<dyn Stream>) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while head.len() <= MAX_HEAD {
        match end_of(&head) {
            Some(end) if status_scanner::is_interim(&head[..end]) => drop(head.drain(..end)),
            Some(_) => break,
            None if stream.read_buf(&mut head).await? == 0 => break,
            None => {}
        }
    }
    Ok(head)
}

/// The end of the first head in these bytes, if they hold one.
fn end_of(head: &[u8]) -> Option<usize> {
    (1..=head.len()).find(|end| head[..*end].ends_with(b"\n\n") || head[..*end].ends_with(b"\r\n\r\n"))
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of what is read of an answer that comes in these two pieces.
    async fn status(first: &'static str, second: &'static str) -> Option<u16> {
        let pieces = first.as_bytes().chain(second.as_bytes());
        let mut stream: Box<dyn Stream> = Box::new(tokio::io::join(pieces, tokio::io::sink()));
        status_scanner::status(&read_head(&mut stream).await.unwrap())
    }

    #[tokio::test]
    async fn a_proxy_may_say_that_it_works_on_it_before_it_answers() {
        let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\na: b\n\nHTTP/1.1 200 OK\r\na: b\r\n\r\n";
        for at in 0..answer.len() {
            assert_eq!(status(&answer[..at], &answer[at..]).await, Some(200), "{at}");
        }
        assert_eq!(status("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 407 No\r\n\r\n").await, Some(407));
        assert_eq!(status("HTTP/1.1 100 Continue\r\n\r\n", "").await, None);
    }
}
