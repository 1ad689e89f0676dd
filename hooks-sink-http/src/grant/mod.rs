//! The permission of a receiver to be delivered to: the handshake of the CloudEvents webhook specification.
//!
//! ```text
//!  OPTIONS url, webhook-request-origin ──▶ receiver
//!     granted ◀── webhook-allowed-origin, webhook-allowed-rate ◀──┤
//!     granted ◀── a call to webhook-request-callback, later ◀─────┘
//! ```
//!
//! A grant is for an origin at a url, query included. It is kept for as long as the dispatcher lives, in memory: a hook
//! that is idle, disabled or replaced asks no second time, and one with another url does. After a start each hook asks
//! when it has its first event, and not before.

mod answer;
mod handshake;
mod registry;

pub(crate) use handshake::{Handshake, Phase};
pub(crate) use registry::Granted;
