//! A receiver of webhooks: over plain sockets, so that it can break HTTP as well as speak it.
//!
//! ```text
//!  socket ──▶ request (head, body, decoded) ──▶ Receiver: what to answer ──▶ answer, or a fault ──▶ socket
//! ```
//!
//! [`Server`] knows HTTP and nothing of events; a [`Receiver`] knows what arrives and what to answer.
//! `hooks listen` is one, and `hooks demo` has others.

mod answer;
mod binary;
mod body;
mod events;
mod fault;
mod faulty;
mod head;
mod request;
mod rules;
mod server;
mod show;
mod stats;

pub(crate) use answer::Answer;
#[cfg(feature = "file")]
pub(crate) use events::events;
pub(crate) use events::events_of;
pub(crate) use fault::Fault;
pub(crate) use head::{Broken, Head, Limits};
pub(crate) use request::Request;
pub(crate) use rules::{Grants, Rules};
pub(crate) use server::{Receiver, Server};
pub(crate) use show::{Arrival, Show, Signature, has_color};
pub(crate) use stats::ArrivalStats;
