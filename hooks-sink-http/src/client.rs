//! The HTTP client that hooks share.

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, SinkContext};
use http::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use ring::digest;
use rustls::client::Resumption;

use crate::config::{HttpVersion, Tls};
use crate::guard::Guard;
use crate::resolve::{Lookup, Resolver, system};
use crate::tls::{self, Files};
use crate::trace::{Handshakes, Trace, Traced};

/// With a request in flight over HTTP/2, the receiver is asked this often whether it is still there, and
/// has as long to answer.
const ALIVE: Duration = Duration::from_secs(5);

/// Longest head of an answer over HTTP/2, about as long as that of HTTP/1.1 may be.
const MAX_HEAD: u32 = 400 << 10;

/// What makes one client different from another. Hooks for which it is the same share one.
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    /// Whether it connects with TLS. Without, nothing of the platform's certificates is loaded, and
    /// nothing fails where there are none.
    pub(crate) is_secure: bool,
    pub(crate) tls: Tls,
    pub(crate) http_version: HttpVersion,
    /// With name resolution and TLS.
    pub(crate) connect_timeout: Duration,
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
    /// The client of these settings: the one that another hook uses, or a new one.
    ///
    /// Files are read each time, and their content tells clients apart: what is trusted is what they say
    /// now.
    pub(crate) fn client(&self, context: &SinkContext) -> Result<Arc<Client>, BoxError> {
        let files = if self.is_secure { Files::read(&self.tls)? } else { Files::default() };
        context.shared(&self.key(context, &files), || self.build(&files, system(), None))
    }

    /// A client for one traced attempt, which finds no connection that is there already.
    pub(crate) fn traced(&self, trace: Arc<Trace>) -> Result<Arc<Client>, BoxError> {
        let files = if self.is_secure { Files::read(&self.tls)? } else { Files::default() };
        self.build(&files, system(), Some(trace)).map(Arc::new)
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
        let mut secured =
            if self.is_secure { tls::secured(&self.tls, files, self.http_version)? } else { tls::unused()? };
        // A proxy resolves names by itself: this client resolves only that of the proxy.
        let guard = self.guard.clone().filter(|_| self.proxy.is_none());
        let mut client = self.bare();
        if let Some(trace) = trace.clone() {
            secured.resumption = Resumption::store(Arc::new(Handshakes(trace.clone())));
            let layer = tower_layer::layer_fn(move |connector| Traced { connector, trace: trace.clone() });
            client = client.connector_layer(layer);
        }
        client = client.tls_backend_preconfigured(secured).dns_resolver(Arc::new(Resolver { lookup, guard, trace }));
        if let Some(Proxy { url, authorization }) = &self.proxy {
            let mut proxy = reqwest::Proxy::all(url.clone())?;
            if let Some(authorization) = authorization {
                proxy = proxy.custom_http_auth(authorization.clone());
            }
            client = client.proxy(proxy);
        }
        Ok(client.build()?)
    }

    /// Everything but TLS, names and proxies.
    fn bare(&self) -> ClientBuilder {
        let client = Client::builder()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            // A shared connection that died in silence takes no further attempt after this.
            .http2_keep_alive_interval(ALIVE)
            .http2_keep_alive_timeout(ALIVE)
            // Heads that browsers and curl take, too. What a status says does not hang on a header beside it.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http2_max_header_list_size(MAX_HEAD)
            // The table of results is about what the configured endpoint answers, once.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // The environment is not the sink's to read.
            .no_proxy()
            // Also when another crate in the program switches reqwest's features on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate();
        match self.http_version {
            HttpVersion::Http1 => client.http1_only(),
            HttpVersion::Http2 => client.http2_prior_knowledge(),
            HttpVersion::Auto => client,
        }
    }
}
