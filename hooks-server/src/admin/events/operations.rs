//! What can be asked of past events.

use hooks_core::TenantId;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use super::{EventOrder, EventPage, EventReport, LONGEST_TEXT, MOST_GLOBS, MOST_IDS, Moment, ResendFilter, Resent};
use crate::admin::openapi::schema::position;
use crate::admin::{Content, JSON, Operation, page};

pub(super) fn list() -> Operation {
    let texts = |most: usize| json!({ "type": "array", "items": { "type": "string" }, "maxItems": most });
    let limit = page::limit_schema();
    Operation::get("/v1/events", "listEvents", "A page of past events")
        .parameter("query", "id", "Only events with one of these ids.", texts(MOST_IDS))
        .parameter("query", "source", "Only events whose source matches one of these globs.", texts(MOST_GLOBS))
        .parameter("query", "type", "Only events whose type matches one of these globs.", texts(MOST_GLOBS))
        .parameter("query", "tenant", "Only this tenant's events.", schema::<TenantId>())
        .parameter(
            "query",
            "text",
            "Only events whose JSON has this text in it, spelled the same.",
            json!({ "type": "string", "maxLength": LONGEST_TEXT }),
        )
        .parameter("query", "since", "Only events that were accepted at this time or later.", schema::<Moment>())
        .parameter("query", "until", "Only events that were accepted before this time.", schema::<Moment>())
        .parameter("query", "order", "Which one comes first.", schema::<EventOrder>())
        .parameter("query", "limit", "Most events of the page.", limit)
        .parameter("query", "after", "The page begins behind this position, in its order.", position())
        .answers::<EventPage>(200, "The page. One without `next` is the last.")
        .problems(&[429, 501])
}

pub(super) fn show() -> Operation {
    Operation::get("/v1/events/{position}", "getEvent", "One past event")
        .parameter("path", "position", "Its position in the log.", position())
        .answers::<EventReport>(200, "The event.")
        .problems(&[404, 429, 501])
}

pub(super) fn resend() -> Operation {
    Operation::post("/v1/hooks/{id}/resend", "resendEvents", "Sends past events to a hook again")
        .takes(JSON, Content::of::<ResendFilter>())
        .answers::<Resent>(200, "What came of it.")
        .problems(&[404, 409, 429, 501])
}

/// The schema of a parameter, without references.
fn schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().subschema_for::<T>().to_value()
}
