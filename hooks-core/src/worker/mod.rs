//! The worker: takes a hook's events from the bus and delivers each, until it is settled.
//!
//! State machines without a clock ([`endpoint`], [`retry_queue`]) inside two thin drivers: [`lane`] delivers in
//! order through a [`hook_context`] that makes each attempt, [`runner`] feeds the lanes and sleeps when there is nothing
//! to do.

mod building;
pub(crate) mod clock;
mod endpoint;
mod failing;
mod hook_context;
mod lane;
mod panic;
mod piece;
mod queue;
mod rate_limiter;
mod resends;
mod retry_queue;
mod runner;
mod settling;
mod stop_signal;

pub(crate) use clock::now;
pub(crate) use hook_context::{HookContext, SharedEndpoint, attempt_test, preview};
#[cfg(feature = "conformance")]
pub(crate) use panic::text as panic_text;
pub(crate) use piece::{Ending, Settlement};
pub(crate) use resends::{CUT_OFF, Resend, ResendQueue};
pub(crate) use runner::{Parked, Worker};
pub(crate) use settling::dead_letters;
pub(crate) use stop_signal::{Mode, StopSignal};
