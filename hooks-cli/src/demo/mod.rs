//! A demonstration that checks itself: real events through the real dispatcher, to receivers that fail.
//!
//! ```text
//!              ┌─▶ steady  a webhook, always well
//!  events ─▶ bus ─▶ flaky  a webhook that answers 503 for a while, and later nothing at all
//!              ├─▶ picky   a webhook that refuses poisoned events
//!              └─▶ file    JSON lines
//!  receivers keep ReceiverStats ─▶ Facts ─▶ Promise: held or not, with what was seen
//! ```
//!
//! Everything on the screen comes from the receivers' counts and from the dispatcher's own ledgers. [`screen`] and
//! [`promise`] are pure functions of it.

mod journal;
mod promise;
mod receivers;
mod run;
mod sample;
mod screen;
mod stats;
mod terminal;

pub(crate) use run::{RunTime, run};
pub(crate) use screen::View;
pub(crate) use terminal::{Live, is_live, look};
