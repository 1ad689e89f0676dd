//! The HTTP client that hooks share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hooks_core::{BoxError, sink::SinkContext};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ring::digest;
use url::Url;

use crate::answered::{Answered, Asking, Unanswered};
use crate::config::{HttpVersion, Tls};
use crate::connect::{Connector, Settings, Tcp, Through};
use crate::guard::Guard;
use crate::http2;
use crate::lookups::Lookups;
use crate::pool::Pool;
use crate::resolve::{Lookup, system};
use crate::tls::{Files, Secured};
use crate::trace::Trace;

/// The default time limit for connecting, if that is at most half of an attempt.
const CONNECT: Duration = Duration::from_secs(5);

/// Posts, over connections that it keeps.
pub(crate) enum Client {
    Http1(Pool),
    /// Over HTTP/2, or what the receiver offers.
    Http2(legacy::Client<Connector, Full<Bytes>>),
}

impl Client {
    /// Sends a request to an absolute address, and reads the head of its answer. It follows no redirect and decodes
    /// nothing: what comes is what the configured endpoint answered, once.
    ///
    /// # Cancel safety
    /// Dropped, it closes the connection, unless others share it. `asking` says which one it was.
    pub(crate) async fn request(
        &self,
        mut request: Request<Full<Bytes>>,
        asking: &mut Option<Asking>,
    ) -> Result<Answered, Unanswered> {
        match self {
            Self::Http1(pool) => pool.request(request, asking).await,
            Self::Http2(client) => {
                *asking = Some(Asking::Captured(capture_connection(&mut request)));
                let mut response = client.request(request).await?;
                let connection = response.extensions_mut().remove();
                Ok(Answered { response, connection, lease: None })
            }
        }
    }
}

/// The settings of a client. Hooks with the same ones share one client.
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    /// True if it connects with TLS. Without, nothing of the platform's certificates is loaded, and
    /// nothing fails where there are none.
    pub(crate) is_secure: bool,
    pub(crate) tls: Tls,
    pub(crate) http_version: HttpVersion,
    /// The time limit of connecting, with name resolution and TLS, if it is set.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_idle_per_host: usize,
    /// Judges the addresses that names resolve to.
    pub(crate) guard: Option<Guard>,
    pub(crate) proxy: Option<Proxy>,
}

/// A forward proxy.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// Without credentials.
    pub(crate) url: Url,
    /// The credentials as basic authentication.
    pub(crate) authorization: Option<HeaderValue>,
}

impl ClientSettings {
    /// Without a limit for connecting of their own, an attempt has as long again for what follows it.
    pub(crate) fn within(mut self, attempt_timeout: Duration) -> Self {
        self.connect_timeout.get_or_insert(CONNECT.min(attempt_timeout / 2));
        self
    }

    /// The client of these settings: the one that another hook uses, or a new one.
    ///
    /// Files are read each time, and their content tells clients apart: what is trusted is what they say
    /// now.
    pub(crate) fn client(&self, context: &SinkContext) -> Result<Arc<Client>, BoxError> {
        let files = if self.is_secure { Files::read(&self.tls)? } else { Files::default() };
        let lookups = context.shared::<_, BoxError>("look-ups of names", || Ok(Lookups::default()))?;
        context.shared(&self.key(context, &files), || self.build(&files, system(lookups), None))
    }

    /// A client for one traced attempt, which finds no connection that is there already.
    pub(crate) fn traced(&self, trace: Arc<Trace>) -> Result<Arc<Client>, BoxError> {
        let files = if self.is_secure { Files::read(&self.tls)? } else { Files::default() };
        self.build(&files, system(Arc::default()), Some(trace)).map(Arc::new)
    }

    fn key(&self, context: &SinkContext, files: &Files) -> String {
        // On a shared HTTP/2 connection a hook that hangs uses up the streams and the flow-control window of
        // the others, so each hook has its own.
        let hook = (self.http_version != HttpVersion::Http1).then_some(&context.hook);
        let proxy = self.proxy.as_ref().map(|proxy| {
            let authorization = proxy.authorization.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
            digest::digest(&digest::SHA256, &[proxy.url.as_str().as_bytes(), b" ", authorization].concat())
        });
        let Self { is_secure, tls, http_version, connect_timeout, idle_timeout, max_idle_per_host, guard, .. } = self;
        let times = (connect_timeout, idle_timeout);
        let files = files.fingerprint();
        format!(
            "{is_secure} {tls:?} {files} {http_version:?} {hook:?} {times:?} {max_idle_per_host} {guard:?} {proxy:?}"
        )
    }

    pub(crate) fn build(&self, files: &Files, lookup: Lookup, trace: Option<Arc<Trace>>) -> Result<Client, BoxError> {
        let via_tls = self.proxy.as_ref().is_some_and(|proxy| proxy.url.scheme() == "https");
        let needs_tls = self.is_secure || via_tls;
        let mut tls = needs_tls.then(|| Secured::new(&self.tls, files, self.http_version)).transpose()?;
        if let (Some(_), Some(tls)) = (&trace, &mut tls) {
            tls.as_a_stranger();
        }
        // A proxy resolves names by itself: this client resolves only that of the proxy.
        let guard = self.guard.clone().filter(|_| self.proxy.is_none());
        let timeout = self.connect_timeout.unwrap_or(CONNECT);
        let tcp = Tcp { lookup, guard, timeout };
        let proxy = self.proxy.as_ref().map(|proxy| proxy.through(tls.clone())).transpose()?;
        let connector = Connector::new(Settings { tcp, tls, proxy, timeout, trace });
        Ok(match self.http_version {
            HttpVersion::Http1 => {
                let is_proxied = self.proxy.is_some();
                Client::Http1(Pool::new(connector, is_proxied, self.idle_timeout, self.max_idle_per_host))
            }
            HttpVersion::Http2 | HttpVersion::Auto => Client::Http2(self.shared(connector)),
        })
    }

    /// A client whose connections may take several requests at once.
    fn shared(&self, connector: Connector) -> legacy::Client<Connector, Full<Bytes>> {
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            // Heads that browsers and curl take, too.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true);
        http2::set(&mut client, self.http_version);
        client.build(connector)
    }
}

impl Proxy {
    fn through(&self, mut tls: Option<Secured>) -> Result<Through, BoxError> {
        // What is spoken with the proxy is HTTP/1.1, whatever is spoken through it.
        tls.iter_mut().for_each(Secured::offer_nothing);
        let uri = Uri::try_from(self.url.as_str())?;
        Ok(Through { uri, authorization: self.authorization.clone(), tls })
    }
}
