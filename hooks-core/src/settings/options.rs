//! The options of a hook beside its name and its sink.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::fault::{About, Fault, pointer};
use crate::batcher::BatchLimits;
use crate::bus::{QueueLimits, StartAt};
use crate::envelope::Metadata;
use crate::event_pattern::{EventPattern, EventPatternFault};
use crate::filter::{Filter, Pattern, RareParts};
use crate::hook::Hook;
use crate::human::{ByteSize, HumanDuration};
use crate::id::{HookId, TenantId};
use crate::policy::{RateLimit, RetryPolicy};
use crate::sink::SinkFactory;

/// A hook's settings beside its id and its sink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HookOptions {
    /// Only events whose type matches one of these globs: `*` is any run of characters, dots too, `?` is
    /// one. Not set: every type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// No events whose type matches one of these globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types_except: Option<Vec<String>>,
    /// Only events whose subject matches one of these globs. Not set: any subject, or none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<String>>,
    /// No events whose subject matches one of these globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects_except: Option<Vec<String>>,
    /// Only events whose source matches one of these globs. Not set: any source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// No events whose source matches one of these globs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources_except: Option<Vec<String>>,
    /// Only events that have each of these extension attributes, and in it a text that matches one of its globs.
    #[schemars(schema_with = "attributes_schema", extend("examples" = [{ "region": ["eu-*"] }]))]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// No events that have one of these extension attributes, and in it a text that matches one of its globs.
    #[schemars(schema_with = "attributes_schema")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes_except: BTreeMap<String, Vec<String>>,
    /// The tenant whose hook it is: only events whose attribute `tenant` is this. Not set: the events of every tenant
    /// and of none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Only events whose `data` matches: a table with fields, each with a list of values or operators of which one has to
    /// match, as the event patterns of Amazon EventBridge have it. Not set: any data, or none.
    #[schemars(with = "Option<EventPattern>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Json>>,
    /// Extension attributes that are set on every event delivered: strings, integers or booleans.
    #[schemars(schema_with = "metadata_schema")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Limits of a batch. Where not set, the sink's own defaults hold.
    pub batch: BatchLimits,
    /// Retries of failed attempts.
    pub retry: RetryPolicy,
    /// Disables the hook after this time of nothing but failures: `"5d"`. It keeps its events, and is enabled again by an
    /// operator, or by a change of its sink. Counted while a process delivers it: a restart begins anew. Not set: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_after: Option<HumanDuration>,
    /// An endpoint that has accepted nothing for so long is said to fail: hooks that name the type
    /// `hooks.endpoint.failing` hear of it. Not set: 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_after: Option<HumanDuration>,
    /// Rate limit over all lanes: `requests`, `events` or both. Not set: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{ "requests": "10/s" }]))]
    pub rate_limit: Option<RateLimit>,
    /// Limits of what is held in memory. `hooks pipe` never drops: `overflow` is `"block"` there unless set.
    #[serde(skip_serializing_if = "is_unlimited")]
    pub queue: QueueLimits,
    /// Parallel workers. Events that share a `partitionkey`, else a `subject`, keep their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<NonZeroUsize>,
    /// A disabled hook delivers nothing. Where not set: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Start of a new hook on a bus with a log: `"end"`, `"earliest"` for everything it still has, `"2h"` for events of the
    /// last two hours, or a time such as `"2026-11-27T10:00:00Z"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<StartAt>,
}

/// The lists of patterns, by name.
pub(super) const PATTERNS: [&str; 6] =
    ["types", "types_except", "subjects", "subjects_except", "sources", "sources_except"];

/// The tables of lists of patterns by the name of an extension attribute.
pub(super) const ATTRIBUTES: [&str; 2] = ["attributes", "attributes_except"];

/// The options that are tables, by name.
pub(super) const TABLES: [&str; 4] = ["batch", "retry", "rate_limit", "queue"];

fn metadata_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9]+$" },
        "additionalProperties": { "type": ["string", "integer", "boolean"] },
    })
}

fn attributes_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9]+$" },
        "additionalProperties": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
    })
}

/// The limits of a queue that holds nothing back: the bus keeps the events itself.
pub(super) fn unlimited(queue: QueueLimits) -> QueueLimits {
    queue.max_events(NonZeroUsize::MAX).max_bytes(ByteSize::new(u64::MAX))
}

fn is_unlimited(queue: &QueueLimits) -> bool {
    *queue == unlimited(*queue)
}

impl HookOptions {
    /// The hook with these options, whether they make sense or not.
    ///
    /// # Errors
    /// When the metadata holds what is no extension attribute.
    pub(super) fn hook(self, id: HookId, sink: Arc<dyn SinkFactory>) -> Result<Hook, Vec<Fault>> {
        // Whole, so that none is forgotten.
        let Self {
            types,
            types_except,
            subjects,
            subjects_except,
            sources,
            sources_except,
            attributes,
            attributes_except,
            tenant,
            data,
            metadata,
            batch,
            retry,
            rate_limit,
            queue,
            lanes,
            enabled,
            disable_after,
            warn_after,
            from,
        } = self;
        let wrong = |(name, value): (&String, &serde_json::Value)| {
            let error = Metadata::new([(name.as_str(), value.clone())]).err()?;
            let place = format!("/metadata{}", pointer(name));
            Some(Fault::new(place, About::Name, format!("metadata: {error}")))
        };
        let faults: Vec<_> = metadata.iter().filter_map(wrong).collect();
        let Ok(metadata) = Metadata::new(metadata) else { return Err(faults) };
        let data = data.map(|data| EventPattern::new(&Json::Object(data))).transpose();
        let data = data.map_err(|error| {
            let fault = |fault: EventPatternFault| {
                Fault::new(
                    format!("/data{}", fault.pointer),
                    About::Value,
                    format!("{}: {}", fault.path("data"), fault.message),
                )
            };
            error.faults.into_iter().map(fault).collect::<Vec<_>>()
        })?;
        let patterns = |list: Vec<String>| list.into_iter().map(Pattern::new).collect::<Vec<_>>();
        let optional = |list: Option<Vec<String>>| list.map(patterns).unwrap_or_default();
        let by_name = |table: BTreeMap<String, Vec<String>>| {
            table.into_iter().map(|(name, list)| (name, patterns(list))).collect()
        };
        let mut hook = Hook::with_sink(id, sink);
        let rare = RareParts {
            types_except: optional(types_except),
            subjects_except: optional(subjects_except),
            sources: optional(sources),
            sources_except: optional(sources_except),
            attributes: by_name(attributes),
            attributes_except: by_name(attributes_except),
            data: data.map(Arc::new),
            not_about: None,
        };
        let (types, subjects) = (optional(types), optional(subjects));
        hook.filter = Arc::new(Filter { types, subjects, tenant, rare: rare.into() });
        hook.metadata = Arc::new(metadata);
        hook.batch = batch;
        if retry != *hook.retry {
            hook.retry = retry.into();
        }
        hook.disable_after = disable_after;
        hook.warn_after = warn_after;
        hook.queue = queue;
        hook.lanes = lanes.unwrap_or(hook.lanes);
        hook.enabled = enabled.unwrap_or(true);
        hook.rate_limit = rate_limit;
        Ok(hook.from(from.unwrap_or_default()))
    }
}
