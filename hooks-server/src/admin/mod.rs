//! What operators ask of a bus and its hooks: status, enabling and disabling, dead letters, the log and its events.
//!
//! ```text
//!  AdminClient ──HTTP──▶ AdminSocket (FOLDER/operator.sock) ─┐
//!       └─ over an Exchange of yours ─▶ the daemon's address ─┤
//!  your server ────────────────────────────────── router() ──┼──▶ AdminService ─▶ Bus, Dispatcher
//!  an instance of a shared bus ───────────── answer_json() ──┘
//! ```

mod attempts;
mod client;
mod dead_letter;
mod dead_letters;
mod definitions;
mod events;
mod matching;
mod openapi;
mod outcomes;
mod overview;
mod page;
mod preview;
mod request;
mod response;
mod routes;
mod seek;
mod service;
mod socket;
#[cfg(test)]
mod tests;
mod turns;
mod unambiguous;

pub(crate) use openapi::{Content, Operation, Routes, SECONDS};
pub(crate) use routes::{JSON, JsonBody, MAX_BODY, PROBLEM, json, permit};
pub(crate) use service::call_back;

pub use client::{AdminClient, Exchange};
pub use dead_letter::DeadLetterReport;
pub use definitions::{HookDefinitions, HookDocument, HookPage, Origin};
pub use events::{EventFilter, EventOrder, EventPage, EventQuery, EventReport, Missing, Moment, ResendFilter, Resent};
pub use matching::{HookMatch, HookMatches};
pub use outcomes::{EventOutcomes, HookOutcome, Verdict};
pub use overview::{Allowed, LogFigures, Now, Overview, Sample};
pub use request::{DeadLetterFilter, Request, SeekRequest};
pub use response::{DeadLetterPage, Done, Dropped, NotRekeyed, Problem, Rekeyed, Replayed, Response, Status};
pub use service::{AdminService, STOPPED};
pub use socket::{AdminSocket, SOCKET, obstacle};
