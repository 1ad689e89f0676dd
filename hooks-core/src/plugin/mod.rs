//! Kinds of sinks and buses that are linked into the program, and their settings.

mod bus;
#[cfg(feature = "config")]
mod registry;
mod sink;

pub use bus::{BusConfig, BusFactory, ControlChannel, LogMaintenance, OpenBusError, OpenedBus, Purpose};
#[cfg(feature = "config")]
pub use registry::{BusPlugin, Plugin, SinkPlugin};
pub use sink::SinkConfig;
