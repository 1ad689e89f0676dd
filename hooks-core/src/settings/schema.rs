//! The JSON Schema of a plugin's table among others.

use serde_json::{Map, Value as Json, json};

use super::shape::{Shape, summary};
use crate::plugin::Plugin;

/// The schema of a plugin's table with its `kind`. The definitions it refers to go into `definitions`, under names
/// that begin with `prefix` and the kind; `path` is where they are in the whole: `/$defs`.
pub fn of_plugin<F: ?Sized>(plugin: &Plugin<F>, path: &str, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    let shape = Shape::of(plugin);
    let prefix = format!("{prefix}{}.", plugin.kind());
    let target = format!("#{path}/{prefix}");
    for (name, mut schema) in shape.definitions().clone() {
        rename(&mut schema, &target);
        definitions.insert(format!("{prefix}{name}"), schema);
    }
    let mut schema = shape.root().clone();
    rename(&mut schema, &target);
    if let Some(Json::String(description)) = schema.get_mut("description") {
        *description = summary(description);
    }
    with_kind(schema, plugin.kind())
}

fn rename(schema: &mut Json, target: &str) {
    match schema {
        Json::Object(members) => {
            for (name, member) in members {
                match member {
                    Json::String(reference) if name == "$ref" => {
                        *reference = reference.replacen("#/$defs/", target, 1);
                    }
                    member => rename(member, target),
                }
            }
        }
        Json::Array(members) => members.iter_mut().for_each(|member| rename(member, target)),
        _ => {}
    }
}

pub(super) fn with_kind(schema: Json, kind: &str) -> Json {
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
