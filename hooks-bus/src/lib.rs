//! The buses that hooks read from.
//!
//! ```text
//!  publish(slice) ──▶ index ──▶ per hook: queue ──▶ in hand ──▶ settled
//! ```
//!
//! [`MemoryBus`] keeps events in the process. With the feature `nats`, `NatsBus` keeps them in a NATS
//! JetStream stream that several processes share.

mod index;
mod memory;
#[cfg(feature = "nats")]
mod nats;

pub use memory::{MemoryBus, MemoryConfig};
#[cfg(feature = "nats")]
pub use nats::{NatsBus, NatsConfig, NatsTls};
