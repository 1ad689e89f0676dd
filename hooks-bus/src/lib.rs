//! The buses that hooks read from.
//!
//! ```text
//!  publish(slice) ──▶ index ──▶ per hook: queue ──▶ in hand ──▶ settled
//! ```
//!
//! [`MemoryBus`] keeps events in the process.

mod index;
mod memory;

pub use memory::{MemoryBus, MemoryConfig};
