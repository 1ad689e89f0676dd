//! The shape of requests: the method, and what their bodies are made of.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The method of requests. Others mean that nothing is sent, or that something goes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Method {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

/// What a request's body is made of.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Body {
    /// CloudEvents as JSON: an array of them, or one.
    #[default]
    CloudEvents,
    /// CloudEvents' binary mode: the event's data as it is, and its attributes as `ce-` headers.
    Binary,
    /// The event's data as it is, or a JSON array of the data of several.
    Data,
    /// CloudEvents as JSON, one a line.
    Ndjson,
    /// The result of a template.
    Template(Box<Template>),
}

/// A template and the media type of its result.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The template (Jinja).
    pub template: Option<String>,
    /// A file that holds it, instead of `template`; an absolute path. It is read whenever a sink is built.
    pub template_file: Option<PathBuf>,
    /// The media type of the result. With a JSON type what is filled in is written as JSON, and the result has to be
    /// JSON; with one of HTML or XML it is escaped for that.
    #[serde(default = "json")]
    pub content_type: String,
}

impl Template {
    /// This template, whose result is JSON.
    pub fn new(template: impl Into<String>) -> Self {
        Self { template: Some(template.into()), template_file: None, content_type: json() }
    }

    /// With results of this media type.
    #[must_use]
    pub fn content_type(self, content_type: impl Into<String>) -> Self {
        Self { content_type: content_type.into(), ..self }
    }
}

impl From<Template> for Body {
    fn from(template: Template) -> Self {
        Self::Template(Box::new(template))
    }
}

fn json() -> String {
    "application/json".to_owned()
}

impl Body {
    /// The names of those that need no settings.
    pub(super) const NAMES: [&str; 4] = ["cloudevents", "binary", "data", "ndjson"];
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"cloudevents\", \"binary\", \"data\", \"ndjson\", or a table with a `template`")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Body, E> {
                match name {
                    "cloudevents" => Ok(Body::CloudEvents),
                    "binary" => Ok(Body::Binary),
                    "data" => Ok(Body::Data),
                    "ndjson" => Ok(Body::Ndjson),
                    other => Err(E::unknown_variant(other, &Body::NAMES)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Body, A::Error> {
                Template::deserialize(MapAccessDeserializer::new(map)).map(Body::from)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for Body {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Body".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let template = generator.subschema_for::<Template>();
        schemars::json_schema!({ "anyOf": [template, { "type": "string", "enum": Self::NAMES }] })
    }
}
