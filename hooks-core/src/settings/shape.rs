//! The shape of a plugin's table, from its JSON Schema: its names, and which values are secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json};

use super::fault::decode;
use crate::plugin::Plugin;

/// A plugin's JSON Schema, with what it refers to.
pub struct Shape {
    schema: Json,
    definitions: Map<String, Json>,
    /// The schema with the definitions in it.
    whole: Json,
    /// The table may hold a secret.
    has_secrets: bool,
    /// The names of the table, where the schema lists them all.
    names: Option<BTreeMap<String, Name>>,
    /// Those of them that it has to have.
    required: Vec<String>,
}

/// A name in a plugin's table.
struct Name {
    /// Its value is or holds a secret.
    is_secret: bool,
    /// Its value is a table whose names the schema lists, too.
    is_table: bool,
}

/// The shapes of the kinds of one plugin, each made once: that takes longer than reading a hook.
#[derive(Default)]
pub(super) struct Shapes(Mutex<BTreeMap<&'static str, Arc<Shape>>>);

impl Shapes {
    pub(super) fn of<F: ?Sized>(&self, plugin: &'static Plugin<F>) -> Arc<Shape> {
        self.0.lock().entry(plugin.kind()).or_insert_with(|| Arc::new(Shape::of(plugin))).clone()
    }
}

/// References that lead to references end somewhere; a schema that goes round in circles does not.
const LONGEST_CHAIN: usize = 16;

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shape").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Shape {
    /// The shape of this plugin's table.
    pub fn of<F: ?Sized>(plugin: &Plugin<F>) -> Self {
        let mut generator = SchemaGenerator::default();
        let schema = plugin.schema(&mut generator).to_value();
        let definitions = generator.take_definitions(true);
        let mut whole = schema.clone();
        whole["$defs"] = Json::Object(definitions.clone());
        let mut shape = Self { schema, definitions, whole, has_secrets: false, names: None, required: Vec::new() };
        shape.has_secrets = shape.is_secret(&shape.schema);
        let name = |(name, schema): (&String, &Json)| {
            let (is_secret, is_table) = (shape.is_secret(schema), shape.closed(schema).is_some());
            (name.clone(), Name { is_secret, is_table })
        };
        let names = shape.closed(&shape.schema).map(|known| known.iter().map(name).collect());
        let required = shape.required(&shape.schema).into_iter().map(str::to_owned).collect();
        Self { names, required, ..shape }
    }

    /// The schema of the table, with the schemas that it refers to in `$defs`.
    pub(super) fn whole(&self) -> &Json {
        &self.whole
    }

    /// The schema of the table itself.
    pub fn root(&self) -> &Json {
        self.resolve(&self.schema)
    }

    /// The schemas that it refers to, by name.
    pub fn definitions(&self) -> &Map<String, Json> {
        &self.definitions
    }

    /// A schema's meaning: references are followed, and an optional value is that value.
    pub fn resolve<'a>(&'a self, schema: &'a Json) -> &'a Json {
        let mut schema = schema;
        for _ in 0..LONGEST_CHAIN {
            let next = match schema.get("$ref").and_then(Json::as_str) {
                Some(reference) => {
                    reference.strip_prefix("#/$defs/").and_then(|name| self.definitions.get(&decode(name)))
                }
                None => only_option(schema),
            };
            let Some(next) = next else { break };
            schema = next;
        }
        schema
    }

    /// The names of a table and their schemas, where the schema lists them all.
    pub fn closed<'a>(&'a self, schema: &'a Json) -> Option<&'a Map<String, Json>> {
        let schema = self.resolve(schema);
        let composed = ["oneOf", "anyOf", "allOf", "patternProperties"].iter().any(|word| schema.get(word).is_some());
        let open = schema.get("additionalProperties").is_some_and(|more| *more != Json::Bool(false));
        let properties = schema.get("properties").and_then(Json::as_object);
        properties.filter(|_| !composed && !open)
    }

    /// The names that a table has to have.
    pub fn required<'a>(&'a self, schema: &'a Json) -> Vec<&'a str> {
        let required = self.resolve(schema).get("required").and_then(Json::as_array);
        required.into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// True if a table has all names that it has to have, and none that is not known.
    pub(super) fn fits(&self, table: &Json) -> bool {
        let Some(names) = &self.names else { return true };
        let known = self.root().get("properties");
        let fits = |(name, value): (&String, &Json)| {
            let schema = known.and_then(|known| known.get(name));
            names.get(name).is_some_and(|name| !name.is_table || schema.is_some_and(|schema| self.knows(value, schema)))
        };
        let table = table.as_object();
        table.is_some_and(|table| self.required.iter().all(|name| table.contains_key(name)) && table.iter().all(fits))
    }

    /// True if all names in a value are known.
    fn knows(&self, value: &Json, schema: &Json) -> bool {
        let Some(known) = self.closed(schema) else { return true };
        match value {
            Json::Object(table) => {
                table.iter().all(|(name, value)| known.get(name).is_some_and(|schema| self.knows(value, schema)))
            }
            // serde would take its values for those of the first names.
            Json::Array(_) => false,
            _ => true,
        }
    }

    /// A table of this shape and kind, without what is or may hold a secret.
    pub(super) fn shown(&self, table: &Json, kind: &str) -> Json {
        let mut shown = match (table, &self.names) {
            (table, _) if !self.has_secrets => table.clone(),
            (Json::Object(table), Some(names)) => {
                let known = self.root().get("properties");
                let public = table.iter().filter_map(|(name, value)| {
                    let value = if names.get(name)?.is_secret {
                        self.known_public_part(value, known?.get(name)?)?
                    } else {
                        value.clone()
                    };
                    Some((name.clone(), value))
                });
                public.collect()
            }
            _ => Json::Object(Map::new()),
        };
        if let Some(table) = shown.as_object_mut() {
            table.insert("kind".to_owned(), kind.into());
        }
        shown
    }

    fn public_part(&self, value: &Json, schema: &Json) -> Option<Json> {
        if self.is_secret(schema) { self.known_public_part(value, schema) } else { Some(value.clone()) }
    }

    /// The same where the schema is known to have secrets.
    fn known_public_part(&self, value: &Json, schema: &Json) -> Option<Json> {
        let (table, known) = (value.as_object()?, self.closed(schema)?);
        let public = table.iter().filter_map(|(name, value)| {
            let value = self.public_part(value, known.get(name)?)?;
            Some((name.clone(), value))
        });
        Some(public.collect())
    }

    /// True if a value of this schema is or holds a secret.
    pub fn is_secret(&self, schema: &Json) -> bool {
        self.secret_within(schema, 0)
    }

    fn secret_within(&self, schema: &Json, depth: usize) -> bool {
        if depth > LONGEST_CHAIN {
            return true;
        }
        let schema = if schema.get("$ref").is_some() { self.resolve(schema) } else { schema };
        match schema {
            Json::Object(members) => {
                members.get("writeOnly") == Some(&Json::Bool(true))
                    || members.values().any(|member| self.secret_within(member, depth + 1))
            }
            Json::Array(members) => members.iter().any(|member| self.secret_within(member, depth + 1)),
            _ => false,
        }
    }
}

fn only_option(schema: &Json) -> Option<&Json> {
    let options = schema.get("anyOf").or_else(|| schema.get("allOf"))?.as_array()?;
    let mut options = options.iter().filter(|option| option.get("type") != Some(&Json::from("null")));
    options.next().filter(|_| options.next().is_none())
}

/// The first paragraph of a documentation comment, on one line: what follows is for people who read code.
pub fn summary(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}
