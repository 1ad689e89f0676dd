//! The `hooks` daemon as a library: events over HTTP, health, metrics, and what operators ask.
//!
//! ```text
//!                      ┌──────────────────── Server ────────────────────┐
//!  POST /v1/events ───▶│ head ─▶ body ─▶ every event checked ─▶ publish ─┼──▶ Bus
//!  GET /metrics … ────▶│ Metrics ◀───────────────────────────────────────┼─── Dispatcher
//!                      └────────────────────────────────────────────────┘
//! ```
//!
//! ```
//! # use std::sync::Arc;
//! # use hooks_bus::MemoryBus;
//! # use hooks_core::{Bus, Dispatcher};
//! # use hooks_server::Server;
//! # fn routes() -> Result<axum::Router, hooks_server::InvalidSettings> {
//! let bus: Arc<dyn Bus> = Arc::new(MemoryBus::default());
//! let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
//! let server = Server::builder(bus, dispatcher).build()?;
//! // In an axum server of yours, or by `server.serve(listener)` in the daemon's own.
//! let routes = axum::Router::new().nest("/hooks", server.router());
//! # Ok(routes)
//! # }
//! # assert!(routes().is_ok());
//! ```
//!
//! `examples/embed` is a whole service, with hooks that its customers manage. The server is built from a bus and a dispatcher and knows neither kind of bus nor of sink. It reads no config files,
//! no environment and no signals, and keeps no state of its own but a [`history`] where it is told to; it needs a tokio runtime with time and I/O enabled: settings are values, and [`Server::set`] changes them while it runs.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), deny(unused_crate_dependencies, clippy::print_stderr, clippy::print_stdout))]

mod access;
pub mod admin;
mod api;
pub mod field;
pub mod history;
mod http;
mod keys;
pub mod metrics;
pub mod otlp;
mod own_thread;
mod reloads;
mod server;
mod settings;
mod signed;
mod tokens;
mod ui;

pub use access::{Access, Right};
pub use api::{ApiSettings, TokenSettings};
pub use keys::Keys;
pub use own_thread::on_own_thread;
pub use reloads::Reloads;
pub use server::{Server, ServerBuilder};
pub use settings::{IngestSettings, InvalidSettings, Settings};
pub use signed::Signer;
pub use tokens::Tokens;
