//! The worker: takes a hook's events from the bus and sees each through to its end.
//!
//! State machines without a clock ([`endpoint`], [`mod@line`]) inside two thin drivers: [`lane`] delivers in
//! order through a [`link`] that makes each attempt, [`runner`] feeds the lanes and sleeps when there is nothing to do.

mod building;
mod endpoint;
mod lane;
mod line;
mod link;
mod orders;
mod pace;
mod panic;
mod queue;
mod replay;
mod runner;
mod settling;

pub(crate) use building::Builders;
pub use endpoint::EndpointState;
pub(crate) use link::{Link, SharedEndpoint, attempt_test};
pub(crate) use orders::{Mode, Orders};
pub(crate) use panic::text as panic_text;
pub(crate) use replay::{Replay, Replayed, Replays};
pub(crate) use runner::{Parked, Worker};
