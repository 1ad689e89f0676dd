//! Reading a hook that has nothing wrong, as nearly all have, at a part of what it costs to find all that is wrong.
//!
//! It takes nothing that the thorough way would refuse, and makes the same of what it takes: a test compares them.

use serde::Deserialize as _;
use serde::de::value::MapDeserializer;
use serde_json::{Map, Value as Json};

use super::draft::Draft;
use super::hook::{HookSettings, SinkSettings};
use super::hook_reader::{HookReader, with_limits};
use super::options::{HookOptions, PATTERNS, TABLES};
use crate::batcher::BatchLimits;
use crate::sink::SinkPlugin;

impl HookReader<'_> {
    /// Reads the table of a hook. `None`: something is wrong with it.
    pub(super) fn read_sound(&self, draft: &Draft) -> Option<HookSettings> {
        if draft.is_damaged() || self.misplaced(draft).is_some() {
            return None;
        }
        let table = draft.value().as_object()?;
        let sink = self.sound_sink(table.get("sink")?)?;
        let mut options = options(table, sink.factory.batch_limits())?;
        let faults = self.contradictions(draft, &mut options, Some(&sink));
        faults.is_empty().then_some(HookSettings { options, sink })
    }

    fn sound_sink(&self, table: &Json) -> Option<SinkSettings> {
        let mut table = table.as_object()?.clone();
        let Json::String(kind) = table.remove("kind")? else { return None };
        if self.strangers.as_ref().is_some_and(|strangers| !strangers.sinks.contains_key(&kind)) {
            return None;
        }
        let plugin = SinkPlugin::find(&kind)?;
        let shape = self.shapes.of(plugin);
        let table = Json::Object(table);
        if !shape.fits(&table) {
            return None;
        }
        let shown = shape.shown(&table, plugin.kind());
        let factory = self.parse(plugin, &shape, table).ok()?;
        Some(SinkSettings { factory, shown })
    }
}

/// The options in a hook's table, where nothing is wrong; `limits` are those of a batch where the table does not set them.
fn options(table: &Map<String, Json>, limits: BatchLimits) -> Option<HookOptions> {
    let is_list = |name: &&str| table.get(*name).is_some_and(Json::is_array);
    if TABLES.iter().any(is_list) || !PATTERNS.iter().all(|name| matches_something(table.get(*name))) {
        return None;
    }
    let options = table.iter().filter(|(name, _)| *name != "sink");
    if limits == BatchLimits::default() {
        let options = options.map(|(name, value)| (name.as_str(), value));
        return HookOptions::deserialize(MapDeserializer::<_, serde_json::Error>::new(options)).ok();
    }
    let options = options.map(|(name, value)| (name.clone(), value.clone())).collect();
    HookOptions::deserialize(with_limits(options, limits)).ok()
}

/// False of a list of patterns that holds none, or an empty one.
fn matches_something(list: Option<&Json>) -> bool {
    let Some(Json::Array(list)) = list else { return true };
    !list.is_empty() && !list.iter().any(|pattern| pattern == "")
}
