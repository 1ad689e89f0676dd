//! The JSON Schema of patterns.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value as Json, json};

use super::EventPattern;
use super::read::OR;

impl JsonSchema for EventPattern {
    fn schema_name() -> Cow<'static, str> {
        "EventPattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let pattern = generator.subschema_for::<Self>();
        json_schema!({
            "description": "Conditions on fields: all have to match. A field's alternatives stand in an array, of which one is enough.",
            "type": "object",
            "minProperties": 1,
            "properties": { OR: { "type": "array", "minItems": 2, "items": pattern } },
            "additionalProperties": { "anyOf": [{ "type": "array", "minItems": 1, "items": alternative() }, pattern] },
        })
    }
}

fn alternative() -> Json {
    let ignoring_case = json!({ "type": "string" });
    let ignoring_case = only("equals-ignore-case", &ignoring_case);
    let affix = json!({ "anyOf": [{ "type": "string" }, ignoring_case] });
    let string = json!({ "type": "string" });
    let numeric = json!({
        "type": "array",
        "minItems": 2,
        "maxItems": 4,
        "items": { "type": ["string", "number"] },
        "examples": [[">", 0, "<=", 5]],
    });
    json!({
        "anyOf": [
            { "type": ["string", "number", "boolean", "null"] },
            only("prefix", &affix),
            only("suffix", &affix),
            only("equals-ignore-case", &string),
            only("wildcard", &string),
            only("anything-but", &denied()),
            only("numeric", &numeric),
            only("exists", &json!({ "type": "boolean" })),
            only("cidr", &string),
        ],
    })
}

fn denied() -> Json {
    let several = |kind: &str| json!({ "type": "array", "minItems": 1, "items": { "type": kind } });
    let texts = json!({ "anyOf": [{ "type": "string" }, several("string")] });
    let operators = ["prefix", "suffix", "equals-ignore-case", "wildcard"].map(|name| only(name, &texts));
    let plain = [json!({ "type": ["string", "number"] }), several("string"), several("number")];
    json!({ "anyOf": plain.into_iter().chain(operators).collect::<Vec<_>>() })
}

/// An object with this member alone.
fn only(name: &str, value: &Json) -> Json {
    json!({ "type": "object", "properties": { name: value }, "required": [name], "additionalProperties": false })
}
