//! How an event's fault is said.

use hooks_core::EnvelopeError;

/// The fault, without the column.
pub(super) fn without_place(error: &EnvelopeError, column: usize) -> String {
    error.to_string().replace(&format!(" at column {column}"), "")
}
