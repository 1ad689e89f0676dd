//! Kinds of sinks and buses that are linked into the program. Their settings are in [`sink`](crate::sink) and
//! [`bus`](crate::bus).

pub(crate) mod bus;
#[cfg(feature = "config")]
mod checked;
#[cfg(feature = "config")]
pub(crate) mod registry;
pub(crate) mod sink;

#[cfg(feature = "config")]
pub use registry::Plugin;
