//! What can be published, for the document of the HTTP API.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::PATH;
use super::format::BATCH;
use crate::admin::{Content, JSON, Operation};
use crate::http::answer::{Accepted, Body};

/// `POST /v1/events`.
pub(in crate::http) fn operation() -> Operation {
    let lines = json!({ "type": "string", "description": "One event a line." });
    Operation::post(PATH, "publishEvents", "Publishes events: all of them, or none")
        .right(Some("publish"))
        .takes("application/cloudevents+json", Content::of::<Event>())
        .takes(BATCH, Content::of::<Vec<Event>>())
        .takes(JSON, Content::of::<OneOrSeveral>())
        .takes("application/x-ndjson", Content::Is(lines))
        .answers::<Accepted>(202, "All are accepted.")
        .with_problem::<Body<'static>>()
        .problems(&[429, 507])
}

/// One event, or an array.
struct OneOrSeveral;

impl JsonSchema for OneOrSeveral {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<Event>(), generator.subschema_for::<Vec<Event>>()] })
    }
}

/// A CloudEvent, in which what can be filled in may be missing.
pub(crate) struct Event;

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        event()
    }
}

fn event() -> Schema {
    let text = "^[^\\x00-\\x1f\\x7f-\\x9f]+$";
    let attribute =
        |description: &str| json!({ "description": description, "type": ["string", "null"], "pattern": text });
    json_schema!({
        "description": "A CloudEvent (1.0, JSON format). Binary mode is taken, too: the data is the body, and each attribute a header `ce-…`.",
        "type": "object",
        "properties": {
            "specversion": { "description": "Not set: 1.0.", "enum": ["1.0", null] },
            "id": attribute("Unique together with the source. Not set: one is made."),
            "source": attribute("Where it comes from. Not set: `events.source` of the config file."),
            "type": {
                "description": "What happened. Types that begin with `hooks.` are the daemon's own.",
                "type": "string",
                "pattern": "^(?!hooks\\.)[^\\x00-\\x1f\\x7f-\\x9f]+$",
            },
            "time": { "description": "When. Not set: now.", "type": ["string", "null"], "format": "date-time" },
            "subject": attribute("What it happened to."),
            "datacontenttype": attribute("The media type of the data."),
            "dataschema": attribute("Where the data's schema is."),
            "data": { "description": "Anything. It is delivered byte for byte as it is." },
            "data_base64": {
                "description": "The data, where it is no JSON.",
                "type": ["string", "null"],
                "contentEncoding": "base64",
                "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
            },
        },
        "required": ["type"],
        "not": { "required": ["data", "data_base64"], "properties": { "data_base64": { "type": "string" } } },
        "propertyNames": { "pattern": "^([a-z0-9]+|data_base64)$" },
        "additionalProperties": {
            "description": "An extension attribute.",
            "type": ["string", "number", "boolean", "null"],
            "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
        },
    })
}
