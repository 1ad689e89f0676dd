//! The override of a hook as a bus keeps it: JSON.

use hooks_core::{Override, serde_json};

pub(crate) fn encode(kept: &Override) -> String {
    serde_json::to_string(kept).unwrap_or_default()
}

/// Reads a stored override. One that can't be read, perhaps by a newer version, stays stored and has no effect.
pub(crate) fn decode(hook: &str, kept: &[u8]) -> Option<Override> {
    let read = serde_json::from_slice(kept);
    read.inspect_err(
        |error| tracing::error!(hook, %error, "can't read the stored override: the hook runs as its config says"),
    )
    .ok()
}
