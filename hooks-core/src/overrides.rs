//! Overrides of a hook's settings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Disables a hook whose settings enable it, for a reason. Holds until an operator enables the hook; if no operator
/// disabled it, also until its sink's settings change.
///
/// Buses keep it as JSON. Every later version reads the JSON of earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Override {
    /// The one who disabled the hook.
    pub by: DisabledBy,
    /// The receiver's reason, or the last failure.
    pub reason: Option<String>,
    /// The time, in seconds since 1970.
    pub since: u64,
    /// A hash of the sink's settings at that time, as they are shown.
    pub(crate) sink: u64,
    /// A hash of their secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secrets: Option<String>,
    /// A hash of the content of the files that the sink reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<String>,
}

/// The one who disabled a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DisabledBy {
    /// The receiver wants nothing any more (HTTP: 410).
    Receiver,
    /// Nobody: nothing but failures for [`Hook::disable_after`](crate::Hook::disable_after).
    Failures,
    /// An operator, with [`Dispatcher::disable`](crate::Dispatcher::disable).
    Operator,
}

impl Override {
    /// An override that disables a hook since this time.
    pub fn disabled(by: DisabledBy, reason: Option<String>, since: SystemTime) -> Self {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { by, reason, since, sink: 0, secrets: None, files: None }
    }
}

/// What a report says of an [`Override`] that disables a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
pub struct Disabled {
    /// The one who disabled the hook.
    pub by: DisabledBy,
    /// The receiver's reason, or the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The time.
    #[serde(with = "crate::timestamp")]
    #[cfg_attr(feature = "config", schemars(with = "String", extend("format" = "date-time")))]
    pub since: SystemTime,
}

impl From<Override> for Disabled {
    fn from(disabled: Override) -> Self {
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(disabled.since)).unwrap_or(UNIX_EPOCH);
        Self { by: disabled.by, reason: disabled.reason, since }
    }
}
