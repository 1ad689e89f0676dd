//! What holds for a hook in place of its settings.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// That a hook is disabled although its settings say otherwise, and why. It stays so until somebody
/// enables it; one that its receiver disabled also until its sink's settings change.
///
/// Buses keep it as JSON. Every later version reads what an earlier one kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Override {
    /// Who wants it so.
    pub by: DisabledBy,
    /// What the receiver said.
    pub reason: Option<String>,
    /// Seconds since 1970.
    pub since: u64,
    /// A hash of the sink's settings at that time, as they are shown.
    pub(crate) sink: u64,
    /// A hash of their secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secrets: Option<String>,
    /// A hash of what the files held that the sink reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<String>,
}

/// Who disabled a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledBy {
    /// The receiver wants nothing any more (HTTP: 410).
    Receiver,
    /// Somebody called [`Dispatcher::set_enabled`](crate::Dispatcher::set_enabled).
    Operator,
}

impl Override {
    /// Disabled since then, whatever its settings are.
    pub fn disabled(by: DisabledBy, reason: Option<String>, since: SystemTime) -> Self {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { by, reason, since, sink: 0, secrets: None, files: None }
    }
}
