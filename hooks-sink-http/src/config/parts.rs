//! The tables within a sink's settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use hooks_core::{HumanDuration, Secret};
use serde::{Deserialize, Serialize};

/// A plain HMAC-SHA256 of the body.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hmac {
    /// Name of the header. Its value is `sha256=` and the HMAC in hex.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true, "pattern" = super::HEADER_NAME)))]
    pub header: String,
    /// The key: the bytes of this text.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub secret: Option<Secret>,
    /// A file that holds the key, instead of `secret`.
    pub secret_file: Option<PathBuf>,
}

impl Hmac {
    /// Signs with this key in this header.
    pub fn new(header: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { header: header.into(), secret: Some(Secret::new(secret)), secret_file: None }
    }
}

/// Basic authentication (RFC 7617).
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user; holds no colon.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub user: String,
    /// The password.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    pub password_file: Option<PathBuf>,
}

/// The way in which requests are made of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// A JSON array of events: `application/cloudevents-batch+json`.
    #[default]
    Batch,
    /// One event: `application/cloudevents+json`.
    Single,
}

/// The compression of bodies. Signatures are over the body before compression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `content-encoding: gzip`.
    Gzip,
    /// `content-encoding: zstd`.
    Zstd,
}

/// The way in which a receiver says that it wants to be delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verification {
    /// The handshake of the CloudEvents webhook specification.
    CloudEvents,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1: one connection for each request in flight, shared with other hooks when it is idle.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, also to `http://` addresses, without asking. A hook has one connection for all its lanes.
    #[serde(rename = "2")]
    Http2,
    /// HTTP/2 where the receiver offers it in the TLS handshake (ALPN), else HTTP/1.1.
    #[serde(rename = "auto")]
    Auto,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3
    #[serde(rename = "1.3")]
    Tls13,
}

/// Settings of TLS. Certificates are checked against the platform's own authorities. Files are
/// read whenever a sink is built, so a new one takes effect without a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A PEM file of further certificate authorities to trust; an absolute path.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate by which the receiver knows this client (mTLS), and those between
    /// it and its authority; an absolute path.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the private key of `cert_file`; an absolute path.
    pub key_file: Option<PathBuf>,
    /// The oldest version to speak: `"1.2"` or `"1.3"`.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub min_version: TlsVersion,
    /// Sends events, signatures and credentials to any server, whatever certificate it shows. For
    /// trying things out only.
    pub dangerously_accept_any_certificate: bool,
}

/// Limits of connections. Hooks with the same settings share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Most requests in flight, and with HTTP/1.1 that many connections, to one host, for all hooks that
    /// set the same. A request beyond it waits; the wait counts to the attempt.
    pub max_per_host: NonZeroUsize,
    /// Most idle connections to one host that are kept for the next request. 0 keeps none.
    pub max_idle_per_host: usize,
    /// The time that an idle connection is kept. The default is just below the minute after which many servers
    /// and load balancers close them.
    pub idle_timeout: HumanDuration,
}

impl Default for Connections {
    /// 256 in flight, 32 idle for 55 s.
    fn default() -> Self {
        Self {
            max_per_host: NonZeroUsize::MIN.saturating_add(255),
            max_idle_per_host: 32,
            idle_timeout: HumanDuration::new(Duration::from_secs(55)),
        }
    }
}
