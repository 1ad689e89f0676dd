//! Black-box tests: events and the dispatcher, with a bus and sinks, on paused time.
#![allow(clippy::unwrap_used, reason = "tests")]

mod building;
mod changes;
mod conformance;
mod dead_letters;
mod definitions;
mod disabled;
mod dispatcher;
mod durable;
mod envelope;
mod faults;
mod isolation;
mod keeping;
mod lanes;
mod notices;
mod odd;
mod operational;
mod pace;
mod panics;
mod patterns;
mod recording;
mod replays;
mod resends;
mod seeks;
mod state_changes;
mod takeover;
