//! The `hooks` daemon as a library: events over HTTP, health and metrics.
//!
//! ```text
//!                      ┌──────────────────── Server ────────────────────┐
//!  POST /v1/events ───▶│ head ─▶ body ─▶ every event checked ─▶ publish ─┼──▶ Bus
//!  GET /metrics … ────▶│ Metrics ◀───────────────────────────────────────┼─── Dispatcher
//!                      └────────────────────────────────────────────────┘
//! ```
//!
//! The server is built from a bus and a dispatcher and knows neither kind of bus nor of sink. It reads no config files,
//! no environment and no signals: settings are values, and [`Server::set`] changes them while it runs.

#![cfg_attr(not(test), deny(unused_crate_dependencies, clippy::print_stderr, clippy::print_stdout))]

pub mod field;
mod http;
pub mod metrics;
mod own_thread;
mod reloads;
mod server;
mod settings;
mod tokens;

pub use own_thread::on_own_thread;
pub use reloads::Reloads;
pub use server::{Server, ServerBuilder};
pub use settings::{IngestSettings, InvalidSettings, Settings};
pub use tokens::Tokens;
