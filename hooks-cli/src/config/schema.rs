//! One JSON Schema of the whole file, the linked sinks included.

use hooks_core::settings::{HookOptions, of_plugin};
use hooks_core::{bus::BusPlugin, sink::SinkPlugin};
use hooks_server::history::HistorySettings;
use hooks_server::otlp::TelemetrySettings;
use hooks_server::{ApiSettings, IngestSettings};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::settings::EventSettings;

/// The JSON Schema (draft 2020-12) of a config file for this binary.
pub fn schema() -> Json {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let settings = subschema::<HookOptions>(&mut generator);
    let events = subschema::<EventSettings>(&mut generator);
    let api = subschema::<ApiSettings>(&mut generator);
    let ingest = subschema::<IngestSettings>(&mut generator);
    let history = subschema::<HistorySettings>(&mut generator);
    let telemetry = subschema::<TelemetrySettings>(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let bus = bus_schema(&mut definitions);
    let sinks: Vec<_> =
        SinkPlugin::all().into_iter().map(|plugin| of_plugin(plugin, "/$defs", "", &mut definitions)).collect();
    let used = json!([sinks, bus, definitions]).to_string();
    definitions.retain(|name, _| used.contains(&format!("\"#/$defs/{name}\"")));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hooks config",
        "description": "Which events go where. In every string, ${NAME} stands for an environment variable, ${CONFIG_DIR} for the folder of this file, and $$ for a dollar sign.",
        "type": "object",
        "properties": {
            "bus": bus,
            "api": api,
            "events": events,
            "ingest": ingest,
            "history": history,
            "telemetry": telemetry,
            "defaults": described(settings.clone(), "Settings of every hook that does not set them itself. Tables are merged."),
            "hooks": { "type": "array", "minItems": 1, "items": hook(settings, &sinks) },
        },
        "required": ["hooks"],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The JSON Schema of `[bus]`.
fn bus_schema(definitions: &mut Map<String, Json>) -> Json {
    let kinds: Vec<_> =
        BusPlugin::all().into_iter().map(|plugin| of_plugin(plugin, "/$defs", "bus.", definitions)).collect();
    json!({
        "description": "Where events wait for hooks. Not set: for `serve` the durable bus in the folder `hooks-data` beside this file, else the memory of the process.",
        "oneOf": kinds,
    })
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Json {
    generator.subschema_for::<T>().to_value()
}

fn described(mut schema: Json, description: &str) -> Json {
    schema["description"] = Json::from(description);
    schema
}

fn hook(settings: Json, sinks: &[Json]) -> Json {
    let mut schema = described(settings, "A named subscription: which events, how they travel, and where to.");
    schema["properties"]["id"] = json!({
        "description": "Its name: letters, digits, `-`, `_` and `.`.",
        "type": "string",
        "pattern": "^[A-Za-z0-9_.-]{1,64}$",
    });
    schema["properties"]["sink"] = json!({ "description": "Where to.", "oneOf": sinks });
    schema["required"] = json!(["id", "sink"]);
    schema
}
