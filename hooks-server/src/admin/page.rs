//! What the query of a page says of it, whatever the page has.

use hooks_core::HookId;
use serde_json::{Value as Json, json};

use super::response::Problem;
use super::routes::bad_request;

/// Entries of a page that says nothing of it, and the most of any.
pub(super) const PAGE: (usize, usize) = (100, 1_000);

/// Reads `after`, of a page of hooks.
pub(super) fn after(value: &str) -> Result<HookId, Problem> {
    HookId::new(value).map_err(|error| bad_request(format!("after: {error}")))
}

/// Reads `limit`.
pub(super) fn limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=PAGE.1).contains(limit));
    limit.ok_or_else(|| bad_request(format!("limit: expected a number from 1 to {}", PAGE.1)))
}

/// The schema of `limit`.
pub(super) fn limit_schema() -> Json {
    json!({ "type": "integer", "minimum": 1, "maximum": PAGE.1, "default": PAGE.0 })
}
