//! The JSON Schema of the tables that a reader takes.

use schemars::SchemaGenerator;
use serde_json::{Map, Value as Json, json};

use super::hook_reader::{HookReader, Strangers};
use super::options::{ATTRIBUTES, HookOptions, PATTERNS};
use super::schema::with_kind;
use crate::sink::SinkPlugin;
use crate::untrusted::{UntrustedLimits, keep_marked};

impl HookReader<'_> {
    /// The JSON Schema of the tables that [`read`](Self::read) takes: what it refuses whatever the value is not in it. It
    /// says nothing of settings that contradict each other. Types that contain themselves become definitions of the
    /// generator; all others are inlined.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Json {
        let settings = generator.settings().clone().with(|settings| settings.inline_subschemas = true);
        let mut inlined = settings.into_generator();
        let mut schema = inlined.subschema_for::<HookOptions>().to_value();
        let sinks: Vec<_> =
            SinkPlugin::all().into_iter().filter_map(|plugin| self.sink_schema(plugin, &mut inlined)).collect();
        generator.definitions_mut().extend(inlined.take_definitions(false));
        if let Some(options) = schema.get_mut("properties").and_then(Json::as_object_mut) {
            if let Some((_, traits)) = self.bus {
                options.remove(if traits.keeps_events { "queue" } else { "from" });
            }
            for name in PATTERNS {
                limit(options.get_mut(name), "", "minItems", 1);
                limit(options.get_mut(name), "/items", "minLength", 1);
            }
            if let Some(Strangers { limits, .. }) = &self.strangers {
                add_limits(options, limits);
            }
            let sinks = if sinks.is_empty() { json!({ "not": {} }) } else { json!({ "oneOf": sinks }) };
            options.insert("sink".to_owned(), sinks);
        }
        schema["required"] = json!(["sink"]);
        schema["description"] = "A named subscription: which events, how they travel, and where to.".into();
        schema
    }

    /// `None` where such a sink is not taken.
    fn sink_schema(&self, plugin: &SinkPlugin, inlined: &mut SchemaGenerator) -> Option<Json> {
        let mut schema = plugin.schema(inlined).to_value();
        if let Some(Strangers { sinks, limits }) = &self.strangers {
            keep_marked(&mut schema, sinks.get(plugin.kind())?, limits);
        }
        schema["title"] = format!("{} sink", plugin.kind()).into();
        Some(with_kind(schema, plugin.kind()))
    }
}

fn add_limits(options: &mut Map<String, Json>, limits: &UntrustedLimits) {
    limit(options.get_mut("lanes"), "", "maximum", limits.lanes.get());
    limit(options.get_mut("batch"), "/properties/max_events", "maximum", limits.batch_events.get());
    limit(options.get_mut("queue"), "/properties/max_events", "maximum", limits.queue_events.get());
    for name in PATTERNS {
        limit(options.get_mut(name), "", "maxItems", limits.patterns);
        limit(options.get_mut(name), "/items", "maxLength", limits.pattern_bytes.get());
    }
    for name in ATTRIBUTES {
        limit(options.get_mut(name), "", "maxProperties", limits.patterns);
        limit(options.get_mut(name), "/additionalProperties", "maxItems", limits.patterns);
        limit(options.get_mut(name), "/additionalProperties/items", "maxLength", limits.pattern_bytes.get());
    }
    if let Some(overflow) = options.get_mut("queue").and_then(|queue| queue.pointer_mut("/properties/overflow")) {
        *overflow = json!({ "const": "drop_oldest" });
    }
}

fn limit(schema: Option<&mut Json>, place: &str, word: &str, most: usize) {
    if let Some(Json::Object(schema)) = schema.and_then(|schema| schema.pointer_mut(place)) {
        schema.insert(word.to_owned(), most.into());
    }
}
