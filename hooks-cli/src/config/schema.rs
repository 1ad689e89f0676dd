//! One JSON Schema of the whole file, the linked sinks included.

use hooks_core::{bus::BusPlugin, plugin::Plugin, sink::SinkPlugin};
use hooks_server::IngestSettings;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::settings::{EventSettings, HookSettings};
use super::shape::{Shape, summary};

/// The JSON Schema (draft 2020-12) of a config file for this binary.
pub fn schema() -> Json {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let settings = subschema::<HookSettings>(&mut generator);
    let events = subschema::<EventSettings>(&mut generator);
    let ingest = subschema::<IngestSettings>(&mut generator);
    let mut definitions = generator.take_definitions(true);
    let bus = bus_schema(&mut definitions);
    let sinks: Vec<_> = SinkPlugin::all().into_iter().map(|plugin| of_plugin(plugin, "", &mut definitions)).collect();
    let used = json!([sinks, bus, definitions]).to_string();
    definitions.retain(|name, _| used.contains(&format!("\"#/$defs/{name}\"")));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hooks config",
        "description": "Which events go where. In every string, ${NAME} stands for an environment variable, ${CONFIG_DIR} for the folder of this file, and $$ for a dollar sign.",
        "type": "object",
        "properties": {
            "bus": bus,
            "events": events,
            "ingest": ingest,
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
    let kinds: Vec<_> = BusPlugin::all().into_iter().map(|plugin| of_plugin(plugin, "bus.", definitions)).collect();
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

/// The schema of a plugin's table with its `kind`. The definitions it refers to go into `definitions`, under names
/// that begin with `prefix` and the kind.
pub(super) fn of_plugin<F: ?Sized>(plugin: &Plugin<F>, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    let shape = Shape::of(plugin);
    let prefix = format!("{prefix}{}.", plugin.kind());
    for (name, mut schema) in shape.definitions().clone() {
        rename(&mut schema, &prefix);
        definitions.insert(format!("{prefix}{name}"), schema);
    }
    let mut schema = shape.root().clone();
    rename(&mut schema, &prefix);
    if let Some(Json::String(description)) = schema.get_mut("description") {
        *description = summary(description);
    }
    with_kind(schema, plugin.kind())
}

fn rename(schema: &mut Json, prefix: &str) {
    match schema {
        Json::Object(members) => {
            for (name, member) in members {
                match member {
                    Json::String(reference) if name == "$ref" => {
                        *reference = reference.replacen("#/$defs/", &format!("#/$defs/{prefix}"), 1);
                    }
                    member => rename(member, prefix),
                }
            }
        }
        Json::Array(members) => members.iter_mut().for_each(|member| rename(member, prefix)),
        _ => {}
    }
}

fn with_kind(schema: Json, kind: &str) -> Json {
    let own = json!({ "const": kind });
    if schema.get("type") != Some(&Json::from("object")) {
        return json!({ "allOf": [schema], "properties": { "kind": own }, "required": ["kind"] });
    }
    let mut schema = schema;
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    schema["properties"]["kind"] = own;
    match schema.get_mut("required").and_then(Json::as_array_mut) {
        Some(required) => required.insert(0, Json::from("kind")),
        None => schema["required"] = json!(["kind"]),
    }
    schema
}
