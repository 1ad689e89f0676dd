//! What an operator writes. Each field's documentation is printed by `hooks sinks`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hooks_core::{BoxError, Bytes, ConfigProblem, Secret, SinkConfig, SinkContext, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use crate::endpoint::Endpoint;
use crate::ready::Ready;
use crate::sink::HttpSink;

/// Delivers batches as webhooks: POST of a JSON array of CloudEvents.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to: `http://` or `https://`. Credentials in it (`https://user:password@host/`) are sent as
    /// basic authentication. Only scheme, host and path are ever printed.
    pub url: Endpoint,
    /// Headers sent with every request, for example `authorization = "Bearer ${TOKEN}"`. Their values are
    /// never printed. Those that the sink sets itself (`content-type`, `webhook-id`, …) are refused.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Signs requests after Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes for HMAC-SHA256
    /// (`v1`), or `whsk_` and base64 of the 64 bytes of an ed25519 key for signatures that receivers verify
    /// without being able to make them (`v1a`). With a list each secret signs, so receivers can change over
    /// from one to the next.
    pub secret: Option<SigningSecrets>,
    /// Signs the body with a plain HMAC-SHA256 in a header of your choice, as GitHub does:
    /// `hmac = { header = "X-Hub-Signature-256", secret = "…" }`.
    pub hmac: Option<Box<Hmac>>,
    /// How much of an answer's body is read, at least 1KiB. A success with a longer body counts only if
    /// it can't name refused events (it is no JSON object); else the batch is sent again.
    #[serde(default = "default_max_response_bytes")]
    pub max_response_bytes: Bytes,
    /// How long connecting may take, with name resolution and TLS. The attempt as a whole is limited by
    /// the hook's `retry.attempt_timeout`.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: Span,
    /// How `https://` connections are secured.
    pub tls: Option<Box<Tls>>,
}

/// A plain HMAC-SHA256 of the body.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hmac {
    /// Name of the header. Its value is `sha256=` and the HMAC in hex.
    pub header: String,
    /// The key: the bytes of this text.
    pub secret: Secret,
}

/// How connections are secured. Certificates are always checked, against the platform's own authorities.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file of further certificate authorities to trust; an absolute path. It is read whenever a
    /// sink is built, so a new one takes effect without a restart.
    pub ca_file: Option<PathBuf>,
}

/// One secret or several.
#[derive(Debug, Clone)]
pub struct SigningSecrets(Vec<Secret>);

impl HttpConfig {
    /// With the defaults of a config file that has nothing but the `url`. It is checked when a sink is
    /// built; [`validate`](SinkConfig::validate) does so at once.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Endpoint::new(url),
            headers: BTreeMap::new(),
            secret: None,
            hmac: None,
            max_response_bytes: default_max_response_bytes(),
            connect_timeout: default_connect_timeout(),
            tls: None,
        }
    }

    /// Signs requests with this secret, and with those that were given before.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret.get_or_insert_with(|| SigningSecrets(Vec::new())).0.push(Secret::new(secret));
        self
    }

    /// Sends this header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), Secret::new(value));
        self
    }
}

impl SinkConfig for HttpConfig {
    const KIND: &'static str = "http";
    type Sink = HttpSink;

    fn build(&self, context: &SinkContext) -> Result<HttpSink, BoxError> {
        let ready = Ready::new(self).map_err(|mut problems| problems.swap_remove(0))?;
        HttpSink::new(ready, context)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        Ready::new(self).err().unwrap_or_default()
    }
}

impl SigningSecrets {
    /// All of them, in the order they were written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Secret> {
        self.0.iter()
    }
}

impl FromIterator<Secret> for SigningSecrets {
    fn from_iter<I: IntoIterator<Item = Secret>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for SigningSecrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum or a visitor: their errors may quote the value.
        let written = match serde_json::Value::deserialize(deserializer) {
            Ok(serde_json::Value::Array(several)) => several,
            Ok(one) => vec![one],
            Err(_) => Vec::new(),
        };
        let secrets: Result<Self, _> = written.into_iter().map(serde_json::from_value::<Secret>).collect();
        match secrets {
            Ok(secrets) => Ok(secrets),
            Err(_) => Err(serde::de::Error::custom("expected a secret in quotes, or a list of them")),
        }
    }
}

impl JsonSchema for SigningSecrets {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SigningSecrets".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string", "writeOnly": true },
                { "type": "array", "items": { "type": "string", "writeOnly": true }, "minItems": 1 },
            ]
        })
    }
}

fn default_max_response_bytes() -> Bytes {
    Bytes(64 << 10)
}

fn default_connect_timeout() -> Span {
    Span(Duration::from_secs(5))
}
