//! A time, or how long ago.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use hooks_core::{HumanDuration, StartAt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time, such as `2026-11-27T10:00:00Z`, or how long ago, such as `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(StartAt);

impl Moment {
    /// The time, as seen from this one.
    pub fn time(self, now: SystemTime) -> SystemTime {
        self.0.since(now).unwrap_or(now)
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(moment @ (StartAt::Ago(_) | StartAt::Time(_))) => Ok(Self(moment)),
            _ => Err("expected a duration such as \"2h\", or a time such as \"2026-11-27T10:00:00Z\"".to_owned()),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let time = serde_json::json!({ "type": "string", "format": "date-time" });
        json_schema!({ "anyOf": [{ "type": "string", "pattern": HumanDuration::PATTERN }, time] })
    }
}
