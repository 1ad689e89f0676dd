//! Requests over HTTP: events to publish, and the pages for health and metrics.
//!
//! ```text
//! connection ─▶ head ─▶ who? what? how much? ─▶ body ─▶ every event checked ─▶ publish ─▶ 202
//!  (bounded)   (time)    401 405 413 415       (time,       400 with        (time) 503 507
//!                                             memory)     all faults
//! ```
//!
//! A request is published as a whole or not at all, also when its client goes away.

mod answer;
mod body;
mod browser;
mod events;
mod fullness;
mod grants;
mod host;
mod lent;
mod listener;
mod operators;
mod outgoing;
mod pending;
mod routes;
mod sender;
mod state;

pub(crate) use answer::{NOT_OF_TENANT, without_right};
pub(crate) use events::Event;
pub(crate) use grants::Others;
pub(crate) use listener::{Patient, Places, listen};
pub(crate) use routes::router;
pub(crate) use state::State;
