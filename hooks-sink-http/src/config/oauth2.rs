//! The settings of access tokens.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hooks_core::Secret;
use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// Fetches access tokens with OAuth 2.0 client credentials (RFC 6749, section 4.4), and sends them as
/// `authorization: Bearer …`. Hooks with the same settings share a token.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OAuth2 {
    /// The token endpoint. The guard, `tls` and `proxy` apply to it, too.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub token_url: Endpoint,
    /// The client's name there.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub client_id: String,
    /// The client's secret.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub client_secret: Option<Secret>,
    /// A file that holds the secret, instead of `client_secret`; an absolute path.
    pub client_secret_file: Option<PathBuf>,
    /// The way in which the client proves who it is: `"basic"`, `"body"` or `"jwt"`.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub client_auth: ClientAuth,
    /// The key that signs the assertion of `client_auth = "jwt"`, as PEM (PKCS#8): RSA (`RS256`), P-256 (`ES256`), P-384
    /// (`ES384`) or Ed25519 (`EdDSA`). Without a key, `client_secret` signs it (`HS256`).
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub private_key: Option<Secret>,
    /// A file that holds the key, instead of `private_key`; an absolute path.
    pub private_key_file: Option<PathBuf>,
    /// The key's name at the token endpoint: `kid` in the assertion.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub key_id: Option<String>,
    /// The assertion's audience, where the server wants another than `token_url`.
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub assertion_audience: Option<String>,
    /// The scopes to ask for.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub scopes: Vec<String>,
    /// Further parameters of the request, for example `{ audience = "https://api.example.com" }`. Some servers take a
    /// secret among them: they are shown to nobody.
    #[serde(default)]
    #[cfg_attr(feature = "config", schemars(extend("x-untrusted" = true)))]
    pub parameters: BTreeMap<String, Secret>,
}

/// The way in which a client proves to a token endpoint who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ClientAuth {
    /// Id and secret as basic authentication (`client_secret_basic`).
    #[default]
    Basic,
    /// Id and secret in the body (`client_secret_post`).
    Body,
    /// A signed assertion (RFC 7523): `private_key_jwt`, or `client_secret_jwt`.
    Jwt,
}

impl OAuth2 {
    /// A client with this secret, sent as basic authentication.
    pub fn new(token_url: impl Into<String>, client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            token_url: Endpoint::new(token_url),
            client_id: client_id.into(),
            client_secret: Some(Secret::new(client_secret)),
            client_secret_file: None,
            client_auth: ClientAuth::default(),
            private_key: None,
            private_key_file: None,
            key_id: None,
            assertion_audience: None,
            scopes: Vec::new(),
            parameters: BTreeMap::new(),
        }
    }
}
