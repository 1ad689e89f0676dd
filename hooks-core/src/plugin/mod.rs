//! Kinds of sinks and buses that are linked into the program, and their settings.

mod bus;
#[cfg(feature = "config")]
mod registry;
mod sink;

pub use bus::{BusConfig, BusFactory, ControlChannel, LogMaintenance, OpenBusError, OpenedBus, Purpose};
#[cfg(feature = "config")]
pub use registry::{BusPlugin, Plugin, SinkPlugin};
pub use sink::SinkConfig;

/// An error in a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}{message}", if path.is_empty() { "" } else { ": " })]
pub struct ConfigProblem {
    /// The path of the setting from the plugin's table down: `tls.ca_file`, `headers[2]`; empty for the table itself.
    pub path: String,
    /// The error, and what to do.
    pub message: String,
}

impl ConfigProblem {
    /// A problem at this path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}
