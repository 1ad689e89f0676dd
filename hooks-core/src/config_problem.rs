//! Errors in the settings of a sink or bus.

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
