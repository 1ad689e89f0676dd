//! An answer as it was received.

use http::{HeaderMap, StatusCode};

/// An answer as it was received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, up to the limit.
    pub(crate) body: Vec<u8>,
    /// The end of the body.
    pub(crate) end: End,
    /// True if another request had been sent over the connection before.
    pub(crate) is_reused: bool,
}

/// The end of a body.
#[derive(Debug, Default)]
pub(crate) enum End {
    /// All of it was read.
    Whole,
    /// There is more; reading stopped at the limit.
    Limit,
    /// The connection broke.
    Broken(String),
    /// Nothing but the status could be read.
    Unread(String),
    /// The attempt's time was over before.
    #[default]
    Late,
    /// The attempt's time was over when nothing but the status could be read.
    Begun,
}
