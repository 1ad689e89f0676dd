//! What an address is that is not one of the public internet.

use std::fmt;

/// The kind of an address that is not one of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Networks of somebody's own.
    Private,
    /// This machine.
    Loopback,
    /// This network segment.
    LinkLocal,
    /// The cloud's metadata service.
    Metadata,
    /// Reserved, multicast, documentation: nobody's to receive webhooks.
    Special,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "a private network",
            Self::Loopback => "this machine",
            Self::LinkLocal => "link-local",
            Self::Metadata => "a cloud's metadata service",
            Self::Special => "not of the public internet",
        })
    }
}
