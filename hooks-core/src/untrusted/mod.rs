//! Hooks that strangers define: what they may set, and how much of it.

mod limits;
#[cfg(feature = "config")]
mod marks;

pub use limits::UntrustedLimits;
#[cfg(feature = "config")]
pub(crate) use marks::{add, find, keep_marked, marked_options, refuse_unmarked};
