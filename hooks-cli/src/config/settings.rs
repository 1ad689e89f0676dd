//! The settings of a config file. `check --schema` shows the documentation here.

use hooks_core::{ByteSize, envelope::DEFAULT_MAX_EVENT_BYTES};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The events that are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// The `source` of events that name none: a URI reference.
    pub source: String,
    /// The longest event that is taken, in bytes of JSON.
    pub max_bytes: ByteSize,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { source: "hooks".to_owned(), max_bytes: ByteSize::new(DEFAULT_MAX_EVENT_BYTES as u64) }
    }
}

/// Largest `events.max_bytes`: what the core takes, whose offsets are 32 bits wide.
pub(super) const LARGEST_EVENT: ByteSize = ByteSize::new(1 << 29);
