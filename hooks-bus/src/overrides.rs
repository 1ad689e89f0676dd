//! The override of a hook as a bus keeps it: JSON.

use hooks_core::{Override, serde_json};

pub(crate) fn encode(kept: &Override) -> String {
    serde_json::to_string(kept).unwrap_or_default()
}

/// What was kept of a hook. A newer version may have written it: it is left where it is then, and changes nothing.
pub(crate) fn decode(hook: &str, kept: &[u8]) -> Option<Override> {
    let read = serde_json::from_slice(kept);
    read.inspect_err(|error| tracing::error!(hook, %error, "can't read whether the hook is disabled: passed over")).ok()
}
