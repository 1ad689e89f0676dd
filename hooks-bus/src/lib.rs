//! The buses that hooks read from.
//!
//! ```text
//!  publish(slice) ──▶ index ──▶ per hook: queue ──▶ in flight ──▶ settled
//! ```
//!
//! [`MemoryBus`] keeps events in the process, [`DurableBus`] on disk (feature `durable`). With the feature
//! `nats`, `NatsBus` keeps them in a NATS JetStream stream that several processes share.

mod buffer;
#[cfg(feature = "durable")]
mod durable;
mod index;
mod memory;
#[cfg(feature = "nats")]
mod nats;
#[cfg(any(feature = "durable", feature = "nats"))]
mod overrides;
mod routing;

#[cfg(feature = "durable")]
pub use durable::{
    DeadLetterLimits, DurableBus, DurableConfig, HookInfo, LogInfo, OnFull, OpenError, SegmentInfo, Verified,
};

pub use memory::{MemoryBus, MemoryConfig};
#[cfg(feature = "nats")]
pub use nats::{NatsBus, NatsConfig, NatsTls};

#[cfg(feature = "config")]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<MemoryConfig>() }
#[cfg(all(feature = "config", feature = "durable"))]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<DurableConfig>() }
#[cfg(all(feature = "config", feature = "nats"))]
hooks_core::inventory::submit! { hooks_core::bus::BusPlugin::of::<NatsConfig>() }
