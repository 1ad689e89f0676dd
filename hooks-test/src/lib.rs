//! Helpers that the tests of the workspace share: events, a receiver that a test scripts, a hook's end of a bus, waiting,
//! and a model of a bus.
//!
//! The crate is not published. It depends on `hooks-core` alone, and other crates have it as a dev-dependency only.
#![allow(clippy::unwrap_used, reason = "tests")]

mod end;
mod events;
#[cfg(feature = "http")]
pub mod http;
pub mod model;
pub mod patterns;
#[cfg(feature = "postgres")]
pub mod postgres;
mod receiver;
mod wait;
mod world;

pub use end::{End, subscription};
pub use events::{event, events, events_of, ids, json, numbers, padded, thirds, together, typed};
pub use receiver::{Answer, Attempt, Receiver};
pub use wait::{LATE, before_it_is_late, block_on, pause, soon, until, within_a_minute};
pub use world::{World, batch, disabled, id, queue};
