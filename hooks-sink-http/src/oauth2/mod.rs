//! Access tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4).
//!
//! ```text
//!  POST token_url, grant_type=client_credentials ──▶ token endpoint
//!     token ◀── access_token, expires_in ◀──────────────┘
//!     authorization: Bearer token ──▶ receiver ──▶ 401: a new token, once an attempt
//! ```
//!
//! Sinks with the same settings share a token, for as long as the dispatcher lives. One of them fetches it at a time.
//! Shortly before its end one sink fetches the next, while the others go on with the one that is still good. What the
//! token endpoint does wrong is a fault of the hook's endpoint: its events are held.

mod answer;
mod assertion;
mod client;
mod tokens;

pub(crate) use assertion::AssertionKey;
pub(crate) use client::{Credentials, TokenRequest};
pub(crate) use tokens::{Fetch, Token, TokenSource};
