//! Sending events to a running `hooks serve`, in order, until all are accepted.
//!
//! ```text
//!  lines ──▶ Intake ──▶ Outbox ──▶ Client: POST /v1/events ──▶ hooks serve
//!            (checked)    │  ▲              │
//!                         │  └── Reply ◀────┘ accepted, faults, too large, later, never
//! ```
//!
//! [`Outbox`] has no clock and does no I/O: it says what is sent next, and what an answer means for it.
//! Events are complete before they are sent, so that one that is sent twice, because an answer was lost,
//! has the same `id` both times.

mod client;
mod outbox;
mod rate_limiter;
mod reply;

pub(crate) use client::{Client, endpoint};
pub(crate) use outbox::{Outbox, Step};
pub(crate) use rate_limiter::{Backoff, RateLimiter};
pub(crate) use reply::Reply;
