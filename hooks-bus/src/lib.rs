//! The buses that hooks read from.
//!
//! ```text
//!  publish(slice) ──▶ index ──▶ per hook: queue ──▶ in hand ──▶ settled
//! ```
//!
//! [`MemoryBus`] keeps events in the process, [`DurableBus`] on disk (feature `durable`).

#[cfg(feature = "durable")]
mod durable;
mod index;
mod memory;

#[cfg(feature = "durable")]
pub use durable::{
    DurableBus, DurableConfig, HookInfo, LetterLimits, LogInfo, OnFull, OpenError, SegmentInfo, Verified,
};

pub use memory::{MemoryBus, MemoryConfig};
