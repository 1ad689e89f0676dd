//! The settings of a webhook. `hooks sinks` prints each field's documentation.

mod answers;
mod body;
mod oauth2;
mod parts;
mod secrets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use hooks_core::{ByteSize, HumanDuration, Secret};
use serde::{Deserialize, Deserializer};
use url::Host;

pub use answers::{AnswerMeaning, Answers};
pub use body::{Body, Method, Template};
pub use oauth2::{ClientAuth, OAuth2};
pub use parts::{Basic, Compression, Connections, Hmac, HttpVersion, Mode, Tls, TlsVersion, Verification};
pub(crate) use secrets::Loaded;
pub use secrets::SigningSecrets;

use crate::cidr::Cidr;
use crate::endpoint::Endpoint;

/// What a header's name is made of.
#[cfg(feature = "config")]
const HEADER_NAME: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

/// Delivers batches as webhooks: POST of a JSON array of CloudEvents, of one CloudEvent, or of what the receiver wants
/// instead.
// What is marked `x-untrusted` may be set by strangers. Nothing is that names a file, opens an address or switches a
// check off; nor is what divides clients, of which each takes memory: times, versions of HTTP, connections.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The address: `http://` or `https://`. Credentials in it (`https://user:password@host/`) are sent as
    /// basic authentication. Only scheme, host and path are ever printed.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub url: Endpoint,
    /// Headers sent with every request, for example `x-environment = "prod"`. Their values are
    /// never printed. Those that the sink sets itself (`content-type`, `webhook-id`, …) are refused.
    // A list, because a map with one entry takes half a KiB, and idle hooks are many.
    #[serde(default, deserialize_with = "headers")]
    #[cfg_attr(feature = "config", schemars(with = "BTreeMap<String, Secret>", extend("x-untrusted" = true, "propertyNames" = { "pattern": HEADER_NAME })))]
    pub headers: Vec<(String, Secret)>,
    /// Basic authentication: `basic = { user = "me", password = "…" }`.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub basic: Option<Box<Basic>>,
    /// Sends `authorization: Bearer …`.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub bearer: Option<Secret>,
    /// A file that holds the token, instead of `bearer`; an absolute path. Files of secrets are read whenever
    /// a sink is built. `"${CREDENTIALS_DIRECTORY}/token"` is a credential that systemd passes on.
    pub bearer_file: Option<PathBuf>,
    /// Sends an access token as `authorization: Bearer …`, fetched with OAuth 2.0 client credentials:
    /// `oauth2 = { token_url = "https://…", client_id = "me", client_secret = "…" }`.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub oauth2: Option<Box<OAuth2>>,
    /// Signs requests after Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes for HMAC-SHA256
    /// (`v1`), or `whsk_` and base64 of the 64 bytes of an ed25519 key for signatures that receivers verify
    /// without being able to make them (`v1a`). With a list each secret signs, so receivers can change over
    /// from one to the next.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub secret: Option<SigningSecrets>,
    /// A file that holds the signing secrets, one a line, instead of `secret`; an absolute path.
    pub secret_file: Option<PathBuf>,
    /// Signs the body with a plain HMAC-SHA256 in a header of your choice, as GitHub does:
    /// `hmac = { header = "X-Hub-Signature-256", secret = "…" }`.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub hmac: Option<Box<Hmac>>,
    /// `"batch"`: a JSON array of events. `"single"`: each event in its own request.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub mode: Mode,
    /// The method: `"POST"`, `"PUT"` or `"PATCH"`.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub method: Method,
    /// The body: `"cloudevents"`; `"binary"`, CloudEvents' binary mode (with `mode = "single"`); `"data"`, the events'
    /// data alone; `"ndjson"`, one event a line; or a table with a `template`.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true, "default" = "cloudevents")))]
    pub body: Body,
    /// Headers whose values are templates: `header_templates = { X-Title = "{{ event.type }}" }`. One whose result is
    /// empty is not sent.
    #[cfg_attr(feature = "config", schemars(extend("propertyNames" = { "pattern": HEADER_NAME })))]
    pub header_templates: Option<Box<BTreeMap<String, String>>>,
    /// Texts that templates see as `values.NAME`, keys for example. They are never printed.
    pub values: Option<Box<BTreeMap<String, Secret>>>,
    /// `"gzip"` or `"zstd"` compresses bodies, `"none"` does not. Signatures are over the body before that.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub compression: Compression,
    /// Sends the id of the batch, the same at every attempt, as `idempotency-key`, too.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub idempotency_key: bool,
    /// Sends `traceparent` (W3C Trace Context): all attempts of a batch belong to one trace, each with its
    /// own span id. A single event's own trace is continued.
    #[serde(default = "yes")]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub traceparent: bool,
    /// Most bytes of an answer's body that are read, at least 1KiB. Refused events are not found beyond them.
    #[serde(default = "default_max_response_bytes")]
    pub max_response_bytes: ByteSize,
    /// The receiver names refused events (`batchItemFailures`) in what it answers. A success that can't be read whole
    /// is then tried again, at most three times for a batch, before it counts. A receiver that has named some since the
    /// start is treated like that without this.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub partial_answers: bool,
    /// What answers mean where it is not the usual, by status: `answers = { "409" = "delivered", "404" = "rejected" }`.
    /// A meaning is `"delivered"`, `"rejected"`, `"too_large"`, `"retry"`, `"throttle"`, `"endpoint"` or `"gone"`. `"5xx"`
    /// is for all of 500 to 599 that are not set themselves.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub answers: Option<Box<Answers>>,
    /// Time limit for connecting, with name resolution and TLS; all addresses of a name share it. Less than the
    /// hook's `retry.attempt_timeout`, which limits the attempt as a whole. By default 5s, or half of that if it is
    /// less.
    pub connect_timeout: Option<HumanDuration>,
    /// `"1.1"`, `"2"`, or `"auto"`: HTTP/2 where the receiver offers it. With HTTP/1.1 hooks share idle
    /// connections; with the others each hook has its own, so that none holds up another on it.
    #[serde(default)]
    pub http_version: HttpVersion,
    /// TLS of `https://` connections.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub tls: Option<Box<Tls>>,
    /// A forward proxy for all requests: `"http://proxy:3128"`, with credentials if need be. Proxy variables
    /// of the environment are not read.
    pub proxy: Option<Endpoint>,
    /// Refuses to connect to addresses that are not of the public internet: private networks, this machine,
    /// link-local, cloud metadata. For urls that others choose.
    #[serde(default)]
    pub guard: bool,
    /// Ranges that the guard lets through all the same, for example `["10.1.0.0/16"]`. Loopback and link-local
    /// addresses need an entry within their own range, a metadata service one of its very address.
    #[serde(default)]
    pub allow_cidrs: Vec<Cidr>,
    /// `"cloudevents"`: delivers only once the receiver has granted it, by the handshake of the CloudEvents webhook
    /// specification: it is asked with OPTIONS, answers with `webhook-allowed-origin`, and may limit the requests a
    /// minute by `webhook-allowed-rate`. Until then the hook is held, and keeps its events.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub verify: Option<Verification>,
    /// The DNS name by which receivers know this sender, for example `"events.example.com"`: sent with every request as
    /// `webhook-request-origin`. `verify` needs it.
    pub origin: Option<Box<str>>,
    /// The most connections, and the time that idle ones are kept.
    pub connections: Option<Box<Connections>>,
}

impl HttpConfig {
    /// With the defaults of a config file that has nothing but the `url`. It is checked when the hook is added;
    /// [`validate`](hooks_core::sink::SinkConfig::validate) does so at once.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Endpoint::new(url),
            headers: Vec::new(),
            basic: None,
            bearer: None,
            bearer_file: None,
            oauth2: None,
            secret: None,
            secret_file: None,
            hmac: None,
            mode: Mode::default(),
            method: Method::default(),
            body: Body::default(),
            header_templates: None,
            values: None,
            compression: Compression::default(),
            idempotency_key: false,
            traceparent: true,
            max_response_bytes: default_max_response_bytes(),
            partial_answers: false,
            answers: None,
            connect_timeout: None,
            http_version: HttpVersion::default(),
            tls: None,
            proxy: None,
            guard: false,
            allow_cidrs: Vec::new(),
            verify: None,
            origin: None,
            connections: None,
        }
    }

    /// Signs requests with this secret, and with those that were given before.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        let secrets = &mut self.secret.get_or_insert_default().0;
        secrets.reserve_exact(1);
        secrets.push(Secret::new(secret));
        self
    }

    /// The template of the body, if it has one.
    pub(crate) fn template(&self) -> Option<&Template> {
        match &self.body {
            Body::Template(template) => Some(template),
            _ => None,
        }
    }

    /// The addresses that credentials are sent to without TLS, each with its setting: those of other machines.
    pub(crate) fn shows_credentials(&self) -> impl Iterator<Item = &'static str> {
        let templates = self.header_templates.iter().flat_map(|templates| templates.keys());
        let mut names = self.headers.iter().map(|(name, _)| name).chain(templates);
        let in_header = names.any(|name| name.eq_ignore_ascii_case("authorization"));
        let has_some = in_header
            || self.basic.is_some()
            || self.bearer.is_some()
            || self.bearer_file.is_some()
            || self.oauth2.is_some();
        let token_url = self.oauth2.as_ref().filter(|oauth2| shows_credentials(&oauth2.token_url, true));
        let url = shows_credentials(&self.url, has_some).then_some("url");
        url.into_iter().chain(token_url.map(|_| "oauth2.token_url"))
    }

    /// True if the certificates of receivers are checked against the system's authorities.
    pub(crate) fn trusts_the_system(&self) -> bool {
        let is_secure = |url: &Endpoint| url.has_scheme("https");
        (is_secure(&self.url) || self.oauth2.as_ref().is_some_and(|oauth2| is_secure(&oauth2.token_url)))
            && !self.tls.as_ref().is_some_and(|tls| tls.dangerously_accept_any_certificate)
    }

    /// Sends this header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.reserve_exact(1);
        self.headers.push((name.into(), Secret::new(value)));
        self
    }
}

/// True if credentials, beside those in the address, go to another machine without TLS.
fn shows_credentials(url: &Endpoint, has_some: bool) -> bool {
    // Taking an address apart takes long, and there may be many.
    if !url.has_scheme("http") || !(has_some || url.secret().expose().contains('@')) {
        return false;
    }
    let Ok(parts) = url.parts() else { return false };
    let stays_here = match parts.url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => true,
    };
    !stays_here && (has_some || parts.authorization.is_some())
}

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Secret)>, D::Error> {
    BTreeMap::deserialize(deserializer).map(|headers| headers.into_iter().collect())
}

fn yes() -> bool {
    true
}

fn default_max_response_bytes() -> ByteSize {
    ByteSize::new(64 << 10)
}
