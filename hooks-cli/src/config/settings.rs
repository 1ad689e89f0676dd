//! The settings of a config file. `check --schema` shows the documentation here.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use hooks_core::{
    BatchLimits, ByteSize, QueueLimits, RateLimit, RetryPolicy, StartAt, envelope::DEFAULT_MAX_EVENT_BYTES,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The events that are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// The `source` of events that name none: a URI reference.
    pub source: String,
    /// The longest event that is taken, in bytes of JSON.
    pub max_bytes: ByteSize,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { source: "hooks".to_owned(), max_bytes: ByteSize::new(DEFAULT_MAX_EVENT_BYTES as u64) }
    }
}

/// Largest `events.max_bytes`: what the core takes, whose offsets are 32 bits wide.
pub(super) const LARGEST_EVENT: ByteSize = ByteSize::new(1 << 29);

/// A hook's settings beside its id and its sink.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HookSettings {
    /// Only events whose type matches one of these globs: `*` is any run of characters, dots too, `?` is
    /// one. Not set: every type.
    pub(super) types: Option<Vec<String>>,
    /// No events whose type matches one of these globs.
    pub(super) types_except: Option<Vec<String>>,
    /// Only events whose subject matches one of these globs. Not set: any subject, or none.
    pub(super) subjects: Option<Vec<String>>,
    /// No events whose subject matches one of these globs.
    pub(super) subjects_except: Option<Vec<String>>,
    /// Extension attributes that are set on every event delivered: strings, integers or booleans.
    #[schemars(schema_with = "metadata_schema")]
    pub(super) metadata: BTreeMap<String, serde_json::Value>,
    /// Limits of a batch. Where not set, the sink's own defaults hold.
    pub(super) batch: BatchLimits,
    /// Retries of failed attempts.
    pub(super) retry: RetryPolicy,
    /// Rate limit over all lanes: `requests`, `events` or both. Not set: no limit.
    pub(super) rate_limit: Option<RateLimit>,
    /// Limits of what is held in memory. `hooks pipe` never drops: `overflow` is `"block"` there unless set.
    pub(super) queue: QueueLimits,
    /// Parallel workers. Events that share a `partitionkey`, else a `subject`, keep their order.
    pub(super) lanes: Option<NonZeroUsize>,
    /// A disabled hook delivers nothing. Where not set: true.
    pub(super) enabled: Option<bool>,
    /// Start of a new hook on a bus with a log: `"end"`, or `"earliest"` for everything it still has.
    pub(super) from: Option<StartAt>,
}

fn metadata_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9]+$" },
        "additionalProperties": { "type": ["string", "integer", "boolean"] },
    })
}

/// The lists of patterns, by name.
pub(super) const PATTERNS: [&str; 4] = ["types", "types_except", "subjects", "subjects_except"];
