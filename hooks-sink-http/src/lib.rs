//! Delivers batches of events as webhooks: HTTP POST of a JSON array.
//!
//! ```text
//!  batch ──▶ body ──▶ sign ──▶ compress ──▶ POST application/cloudevents-batch+json ──▶ receiver
//!                              name ▶ guard ▶ TLS   webhook-id, webhook-timestamp, webhook-signature
//!              judge ◀── status, Retry-After, batchItemFailures ◀──┘
//! ```
//!
//! In a config file:
//!
//! ```toml
//! [hooks.sink]
//! kind    = "http"
//! url     = "https://example.com/hooks"
//! secret  = "${BILLING_SECRET}"
//! bearer  = "${BILLING_TOKEN}"
//! ```
//!
//! In a program:
//!
//! ```
//! use hooks_core::{sink::SinkConfig, Filter, Hook};
//! use hooks_sink_http::HttpConfig;
//!
//! let sink = HttpConfig::new("https://example.com/hooks").secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
//! assert_eq!(sink.validate(), []);
//! let hook = Hook::new("billing", sink)?;
//! # Ok::<(), hooks_core::InvalidHookId>(())
//! ```
//!
//! # What receivers see
//! The body is a CloudEvents JSON batch, or one CloudEvent ([`Mode`]), or has another shape ([`Body`]). It is signed, before it is compressed,
//! after Standard Webhooks 1.0.0: over `{webhook-id}.{webhook-timestamp}.{body}`, once per secret, with `v1` (HMAC-SHA256) for a `whsec_` and `v1a`
//! (ed25519) for a `whsk_`. The crate `hooks-verify` checks that on the other side. Every attempt of a batch has the same id
//! and the same bytes; timestamp and signature are its own. The same event may come in another batch after a
//! crash: its `id` and `source` are what to tell repeats by.
//!
//! # What their answers mean
//! The table of all statuses is in the repository's `docs/http.md`, and tested. A 2xx is delivered, but for the events
//! named by `{"batchItemFailures": [{"itemIdentifier": "<event id>"}]}`; 410 disables the hook; a status that blames the
//! batch (400, 413, 415, 422) splits it; one that blames the endpoint holds it; the rest is repeated.
//!
//! The status decides: a 2xx whose body breaks off, does not end, is too long or can't be read counts, and is reported
//! as [odd](hooks_core::sink::Odd). Only where refused events may have been named in it (the receiver did so before, or
//! `partial_answers` says so) is the batch repeated, at most three times.
//!
//! # Permission
//! With `verify` nothing is delivered until the receiver has granted it, by the handshake of the CloudEvents webhook
//! specification. It is asked once for each url and origin, and its rate is heeded.
//!
//! # Access tokens
//! With `oauth2` ([`OAuth2`]) requests carry a token by client credentials. Sinks with the same settings share it, one of
//! them fetches it, before it ends, and once more when the receiver answers 401.
//!
//! # What it needs
//! A tokio runtime with time and I/O enabled. It keeps nothing between attempts but connections, which hooks share.
//!
//! # Features
//! All but `aws-lc-rs` are on by default. An option whose feature is off is an error that names the feature.
//! - `config`: settings from config files.
//! - `tls`: `https://`. `ring` and `aws-lc-rs` are the cryptography of that, where the process has installed none.
//! - `http2`: HTTP/2.
//! - `gzip`, `zstd`: compressed bodies.
//! - `templates`: bodies and headers that are made of templates.
//!
//! # Invariants
//! - The sink tries once. It follows no redirect and repeats nothing; only when the receiver closed a kept
//!   connection, or sent something over it, before anything of the request was written, another connection is taken.
//! - Once a receiver has sent an answer that nobody asked for, no answer of its origin counts that came over a connection
//!   with more than one request.
//! - With the guard on, every address that is connected to was judged.
//! - Nothing of an answer beyond `max_response_bytes` is read or kept.
//! - No secret is in any `Debug` output or error, even when the receiver echoes it.
//! - The sink reads no environment variable: no proxy applies but that of the settings.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod answered;
mod body;
mod cidr;
mod client;
mod compress;
mod config;
mod connect;
mod connection_state;
mod content;
mod endpoint;
mod failures;
#[cfg(feature = "tls")]
mod faults;
mod features;
mod files;
mod fuzz;
mod grant;
mod guard;
mod header_names;
#[cfg(feature = "http2")]
mod http2;
#[cfg(not(feature = "http2"))]
#[path = "http2/absent.rs"]
mod http2;
mod kept;
mod keys;
mod lookups;
mod mask;
mod oauth2;
mod observed;
mod outcome;
mod plugin;
mod pool;
mod question;
mod ready;
mod received;
mod report;
mod request;
mod resolve;
mod retry_after;
mod sign;
mod sink;
mod status_scanner;
mod stream;
#[cfg(feature = "tls")]
mod system;
#[cfg(feature = "templates")]
mod template;
#[cfg(not(feature = "templates"))]
#[path = "template/absent.rs"]
mod template;
mod timing;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls/absent.rs"]
mod tls;
mod trace;
mod traceparent;
mod transport;

pub use cidr::Cidr;
pub use compress::Encoding;
pub use config::{
    AnswerMeaning, Answers, Basic, Body, ClientAuth, Compression, Connections, Hmac, HttpConfig, HttpVersion, Method,
    Mode, OAuth2, SigningSecrets, Template, Tls, TlsVersion, Verification,
};
pub use endpoint::Endpoint;
#[doc(hidden)]
pub use fuzz::{fuzz_outcome, measured_request};
pub use keys::new_secret;
pub use sink::HttpSink;

#[cfg(feature = "config")]
hooks_core::inventory::submit! { hooks_core::sink::SinkPlugin::of::<HttpConfig>() }
