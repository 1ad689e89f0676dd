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

use hooks_core::{BusPlugin, inventory};

inventory::submit! { BusPlugin::of::<MemoryConfig>() }
#[cfg(feature = "durable")]
inventory::submit! { BusPlugin::of::<DurableConfig>() }
#[cfg(feature = "nats")]
inventory::submit! { BusPlugin::of::<NatsConfig>() }
