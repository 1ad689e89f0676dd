//! The types of the dispatcher's own events.

/// Returns true if the type is one of the dispatcher's own.
pub(crate) fn is_reserved(event_type: &str) -> bool {
    event_type.starts_with("hooks.")
}

/// The beginning of a type, for errors.
pub(crate) fn shown_type(event_type: &str) -> String {
    event_type.chars().take(64).collect()
}
