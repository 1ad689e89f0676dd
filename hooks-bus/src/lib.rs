//! The buses that hooks read from.
//!
//! ```text
//!  publish(slice) ──▶ index ──▶ per hook: queue ──▶ in flight ──▶ settled
//! ```
//!
//! [`MemoryBus`] keeps events in the process, [`DurableBus`] on disk (feature `durable`). With the feature
//! `nats`, `NatsBus` keeps them in a NATS JetStream stream that several processes share; with `postgres`, `PostgresBus` in a
//! database, where applications publish inside their own transactions. Each is a
//! [`Bus`](hooks_core::Bus), for a [`Dispatcher`](hooks_core::Dispatcher):
//!
//! ```
//! use std::sync::Arc;
//!
//! use hooks_bus::MemoryBus;
//! use hooks_core::{Bus, Dispatcher, Envelope};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), hooks_core::BoxError> {
//! let bus = Arc::new(MemoryBus::default());
//! let dispatcher = Dispatcher::new(bus.clone());
//! bus.publish(Envelope::from_json(br#"{"type":"invoice.paid"}"#)?.into()).await?;
//! assert!(dispatcher.shutdown(None).await.is_complete(), "no hook, nothing to deliver");
//! # Ok(())
//! # }
//! ```
//!
//! | bus | an event is accepted once it is | it outlives the process |
//! |---|---|---|
//! | memory | in memory | no |
//! | durable | synced to disk | yes, with positions, dead letters, overrides and definitions |
//! | NATS | acknowledged by the stream | yes, with the same, and processes share it |
//! | Postgres | committed | yes, with the same, and processes share it |
//!
//! All need a tokio runtime with time enabled; NATS and Postgres also I/O. The feature `config` (default) is settings from config files,
//! and registration under the kind.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer;
mod duplicates;
#[cfg(feature = "durable")]
mod durable;
#[cfg(any(feature = "durable", feature = "nats", feature = "postgres"))]
mod failing;
#[cfg(any(feature = "nats", feature = "postgres"))]
mod files;
mod index;
mod memory;
#[cfg(feature = "nats")]
mod nats;
#[cfg(any(feature = "durable", feature = "nats", feature = "postgres"))]
mod overrides;
#[cfg(any(feature = "durable", feature = "nats", feature = "postgres"))]
mod page;
#[cfg(feature = "postgres")]
pub mod postgres;
mod routing;
#[cfg(any(feature = "nats", feature = "postgres"))]
#[cfg_attr(
    not(all(feature = "nats", feature = "postgres")),
    allow(dead_code, unused_imports, reason = "each bus needs its part")
)]
mod sharing;

#[cfg(feature = "durable")]
pub use durable::{
    DeadLetterLimits, DurableBus, DurableConfig, HookInfo, LogInfo, OnFull, OpenError, RetainedInfo, SegmentInfo,
    Verified,
};

pub use memory::{MemoryBus, MemoryConfig};
#[cfg(feature = "nats")]
pub use nats::{NatsBus, NatsConfig, NatsTls};
#[cfg(feature = "postgres")]
pub use postgres::{POSTGRES_SCHEMA, PostgresBus, PostgresConfig, SslMode};

#[cfg(feature = "config")]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<MemoryConfig>() }
#[cfg(all(feature = "config", feature = "durable"))]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<DurableConfig>() }
#[cfg(all(feature = "config", feature = "nats"))]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<NatsConfig>() }
#[cfg(all(feature = "config", feature = "postgres"))]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<PostgresConfig>() }
