//! Reading the settings of hooks, with everything that is wrong said at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::draft::{Draft, parse_path};
use super::fault::{About, Fault, pointer};
use super::hook::{HookSettings, SinkSettings};
use super::options::{ATTRIBUTES, HookOptions, PATTERNS, TABLES, unlimited};
use super::plugin::Place;
use super::read::Reading;
use super::shape::{Shape, Shapes};
use super::wording::Notation;
use crate::BoxError;
use crate::batcher::BatchLimits;
use crate::bus::{BusTraits, QueueLimits};
use crate::config_problem::ConfigProblem;
use crate::envelope::Metadata;
use crate::event_pattern::EventPattern;
use crate::filter::no_attribute;
use crate::hook::Hook;
use crate::id::HookId;
use crate::policy::{BESIDE_SCHEDULE, RetryPolicy};
use crate::sink::{Sink, SinkContext, SinkFactory, SinkPlugin};
use crate::untrusted::UntrustedLimits;

/// What strangers may set: the hooks of a service's customers, for example.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Strangers {
    /// The kinds of sinks that they may use, each with the options that the operator sets for all of them, marked or not.
    pub sinks: BTreeMap<String, Map<String, Json>>,
    /// Upper bounds.
    pub limits: UntrustedLimits,
}

impl Strangers {
    /// Strangers who may use these kinds of sinks, within the default limits.
    pub fn with_sinks(sinks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { sinks: sinks.into_iter().map(|kind| (kind.into(), Map::new())).collect(), ..Self::default() }
    }

    fn refuse(&self, draft: &Draft) -> Option<Fault> {
        let kind = draft.value().get("kind")?.as_str()?;
        if self.sinks.contains_key(kind) {
            return None;
        }
        let allowed: Vec<_> = self.sinks.keys().map(|sink| format!("`{sink}`")).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        let message = format!("sink: kind `{kind}` is for the operator's own hooks only; allowed here: {allowed}");
        SinkPlugin::find(kind).map(|_| Fault::new("/sink/kind", About::Value, message))
    }
}

/// Reads hooks' settings, and knows what makes sense where they will run. Keep it for many hooks: it looks at the schemas
/// of their sinks once.
#[derive(Default)]
pub struct HookReader<'a> {
    pub(super) bus: Option<(Cow<'a, str>, BusTraits)>,
    is_bus_open: bool,
    elsewhere: Vec<&'a str>,
    pub(super) strangers: Option<Strangers>,
    pub(super) shapes: Shapes,
}

impl fmt::Debug for HookReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookReader").field("bus", &self.bus).finish_non_exhaustive()
    }
}

impl<'a> HookReader<'a> {
    /// For a bus with queues in memory.
    pub fn new() -> Self {
        Self { elsewhere: vec!["sink"], ..Self::default() }
    }

    /// For this kind of bus, which may have no use for some settings.
    #[must_use]
    pub fn on_bus(mut self, kind: impl Into<Cow<'a, str>>, traits: BusTraits) -> Self {
        self.bus = Some((kind.into(), traits));
        self
    }

    /// For a bus of any kind: a queue matters where its limits are set.
    #[must_use]
    pub fn on_any_bus(mut self) -> Self {
        self.is_bus_open = true;
        self
    }

    /// For hooks that strangers write.
    #[must_use]
    pub fn for_strangers(mut self, strangers: Strangers) -> Self {
        self.strangers = Some(strangers);
        self
    }

    /// Names that stand in the table, too, and were read before: they are suggested for misspelt ones.
    #[must_use]
    pub fn beside(mut self, names: &[&'a str]) -> Self {
        self.elsewhere.splice(0..0, names.iter().copied());
        self
    }

    /// Reads the table of a hook.
    ///
    /// # Errors
    /// Everything that is wrong; nothing where all of it was [said before](Draft::add_broken).
    pub fn read(&self, draft: Draft) -> Result<HookSettings, Vec<Fault>> {
        self.read_sound(&draft).map_or_else(|| self.read_thoroughly(draft), Ok)
    }

    /// The same, also where something is wrong.
    pub(super) fn read_thoroughly(&self, mut draft: Draft) -> Result<HookSettings, Vec<Fault>> {
        check_table(&draft)?;
        let mut faults = Vec::new();
        let mut sound = !draft.is_damaged();
        let sink = self.sink(&mut draft).map_err(|wrong| faults.extend(wrong)).ok();
        let misplaced = self.misplaced(&draft);
        sound &= misplaced.is_none();
        faults.extend(misplaced);
        let limits = sink.as_ref().map_or_else(BatchLimits::default, |sink| sink.factory.batch_limits());
        let options = self.read_options(&mut draft, limits, &mut faults);
        let Some(mut options) = options else { return Err(faults) };
        faults.extend(self.contradictions(&draft, &mut options, sink.as_ref()));
        match sink {
            Some(sink) if sound && faults.is_empty() => Ok(HookSettings { options, sink }),
            _ => Err(faults),
        }
    }

    /// Reads a table with options for many hooks, which have ids and sinks of their own.
    ///
    /// # Errors
    /// Everything that is wrong; nothing where all of it was [said before](Draft::add_broken).
    pub fn defaults(&self, mut draft: Draft) -> Result<HookOptions, Vec<Fault>> {
        check_table(&draft)?;
        let mut faults = Vec::new();
        let options = self.read_options(&mut draft, BatchLimits::default(), &mut faults);
        options.filter(|_| faults.is_empty() && !draft.is_damaged()).ok_or(faults)
    }

    fn sink(&self, draft: &mut Draft) -> Result<SinkSettings, Vec<Fault>> {
        let example = match draft.notation() {
            Notation::Json => "\"sink\": { \"kind\": \"file\", \"path\": \"/tmp/out.jsonl\" }",
            Notation::Toml => "sink = { kind = \"file\", path = \"/tmp/out.jsonl\" }",
        };
        let allowed = self.strangers.as_ref().map(|strangers| strangers.sinks.keys().map(String::as_str).collect());
        let place = Place { name: "sink", example, allowed };
        let Some(table) = draft.take("sink") else {
            let message = format!("`sink` is missing; kinds {}", place.kinds::<dyn SinkFactory>());
            return Err(vec![Fault::new("/sink", About::Missing, message)]);
        };
        if let Some(fault) = self.strangers.as_ref().and_then(|strangers| strangers.refuse(&table)) {
            return Err(vec![fault]);
        }
        let parse = |plugin: &SinkPlugin, shape: &Shape, table| self.parse(plugin, shape, table);
        let read = place.read(table, &self.shapes, parse);
        let (factory, shown) =
            read.map_err(|faults| faults.into_iter().map(|fault| fault.under("sink")).collect::<Vec<_>>())?;
        Ok(SinkSettings { factory, shown })
    }

    /// Reads the table of a sink.
    pub(super) fn parse(
        &self,
        plugin: &SinkPlugin,
        shape: &Shape,
        table: Json,
    ) -> Result<Arc<dyn SinkFactory>, Vec<ConfigProblem>> {
        let Some(Strangers { sinks, limits }) = &self.strangers else { return plugin.parse(table) };
        let none = Map::new();
        let fixed = sinks.get(plugin.kind()).unwrap_or(&none);
        plugin.parse_marked(shape.whole(), table, fixed, limits)
    }

    /// Reads the options; `limits` are those of a batch where the table does not set them.
    fn read_options(&self, draft: &mut Draft, limits: BatchLimits, faults: &mut Vec<Fault>) -> Option<HookOptions> {
        let mut reading = Reading { elsewhere: &self.elsewhere, ..Reading::new(draft) };
        TABLES.into_iter().for_each(|name| reading.refuse_list(&pointer(name)));
        patterns(&mut reading);
        let sound =
            metadata(&mut reading) & ATTRIBUTES.iter().all(|name| attributes(&mut reading, name)) & data(&mut reading);
        let options = reading.read(|json| with_limits(json, limits));
        faults.append(&mut reading.faults);
        options.filter(|_| sound)
    }

    /// What is wrong with the options where each by itself is right.
    pub(super) fn contradictions(
        &self,
        draft: &Draft,
        options: &mut HookOptions,
        sink: Option<&SinkSettings>,
    ) -> Vec<Fault> {
        // Without a queue nothing contradicts it.
        let queue = options.queue;
        if !self.has_queue(draft) {
            options.queue = unlimited(options.queue);
        }
        let mut faults = schedule(draft, &options.retry);
        faults.extend(match hook(options.clone(), sink) {
            Ok(hook) => self.problems(draft, hook, queue, sink.is_some()),
            Err(wrong) => wrong,
        });
        faults
    }

    /// What is more than strangers may set, and the contradictions that the hook itself finds in its settings.
    fn problems(&self, draft: &Draft, mut hook: Hook, queue: QueueLimits, has_sink: bool) -> Vec<Fault> {
        // Without its sink the hook's batch limits are not known, so nor is what is wrong with its queue.
        let contradictions: Vec<_> =
            hook.problems().into_iter().filter(|found| has_sink || !found.path.starts_with("queue")).collect();
        hook.queue = queue;
        let limits = self.strangers.as_ref().map(|strangers| &strangers.limits);
        let beyond = limits.map(|limits| limits.problems(&hook)).unwrap_or_default();
        beyond.iter().chain(&contradictions).map(|found| problem(draft, &found.path, &found.message)).collect()
    }

    /// A setting that the bus has no use for.
    pub(super) fn misplaced(&self, draft: &Draft) -> Option<Fault> {
        let (kind, traits) = self.bus.as_ref()?;
        let (name, because) = if traits.keeps_events {
            ("queue", "whose log keeps the events that a hook has not received")
        } else {
            ("from", "which keeps no events to begin with")
        };
        let why = || format!("has no effect on the `{kind}` bus, {because}");
        draft.is_set_here(name).then(|| draft.fault(&pointer(name), About::Value, &why()))
    }

    fn has_queue(&self, draft: &Draft) -> bool {
        self.bus.as_ref().map_or(!self.is_bus_open || draft.is_set_here("queue"), |(_, traits)| !traits.keeps_events)
    }
}

fn check_table(draft: &Draft) -> Result<(), Vec<Fault>> {
    if draft.is_broken() {
        return Err(Vec::new());
    }
    draft.no_table(None).map_or(Ok(()), |message| Err(vec![Fault::new("", About::Value, message)]))
}

/// What is wrong with a schedule as it is written, and can't be seen in the policy: it is empty, or beside a setting that
/// is written out and has its default.
fn schedule(draft: &Draft, policy: &RetryPolicy) -> Vec<Fault> {
    let Some(written) = draft.value().pointer("/retry/schedule") else { return Vec::new() };
    if written.as_array().is_some_and(Vec::is_empty) {
        let message = format!("{}: leave it out to wait as `initial` and `max` say", draft.notation().empty_list());
        return vec![problem(draft, "retry.schedule", &message)];
    }
    let defaults = RetryPolicy::default();
    let waits = [("initial", policy.initial == defaults.initial), ("max", policy.max == defaults.max)];
    let beside = waits.into_iter().filter(|(name, is_default)| *is_default && draft.is_set(&format!("/retry/{name}")));
    beside.map(|(name, _)| problem(draft, &format!("retry.{name}"), BESIDE_SCHEDULE)).collect()
}

/// The table, over these limits of a batch.
pub(super) fn with_limits(mut json: Json, limits: BatchLimits) -> Json {
    let BatchLimits { max_events, max_bytes, max_age } = limits;
    let mut batch = json!({ "max_events": max_events, "max_bytes": max_bytes.bytes(), "max_age": max_age.to_string() });
    match (json.get_mut("batch"), batch.as_object_mut()) {
        (Some(Json::Object(set)), Some(batch)) => {
            batch.extend(std::mem::take(set));
            *set = std::mem::take(batch);
        }
        (None, _) => json["batch"] = batch,
        _ => {}
    }
    json
}

/// Notes lists that would not mean what they seem to, and takes them out.
fn patterns(reading: &mut Reading<'_>) {
    for name in PATTERNS {
        let place = pointer(name);
        let Some(Json::Array(list)) = reading.draft.value().get(name) else { continue };
        let empty: Vec<_> = (0..list.len()).filter(|index| list[*index] == "").collect();
        let (none, useless) = (list.is_empty(), empty.len() == list.len());
        if none {
            let all = if name.ends_with("except") { "make no exception" } else { "match everything" };
            let list = reading.draft.notation().empty_list();
            reading.plain_fault(&place, &place, About::Value, &format!("{list}: leave it out to {all}"));
        }
        for index in &empty {
            let place = format!("{place}/{index}");
            reading.plain_fault(&place, &place, About::Value, "an empty pattern matches nothing");
        }
        if useless {
            reading.draft.take_out(&place);
        }
    }
}

/// Notes metadata that are no attributes, and takes them out. False if there are any.
fn metadata(reading: &mut Reading<'_>) -> bool {
    // Anything but a table is refused with the other settings.
    let Some(Json::Object(table)) = reading.draft.value().get("metadata") else { return true };
    let wrong = |(name, value): (&String, &Json)| {
        let error = Metadata::new([(name.as_str(), value.clone())]).err()?;
        Some((format!("/metadata{}", pointer(name)), error.to_string()))
    };
    let wrong: Vec<_> = table.iter().filter_map(wrong).collect();
    for (place, error) in &wrong {
        reading.plain_fault("/metadata", place, About::Name, error);
        reading.draft.take_out(place);
    }
    wrong.is_empty()
}

/// Notes names that are no extension attributes and lists that match nothing, and takes them out. False if there are any.
fn attributes(reading: &mut Reading<'_>, setting: &str) -> bool {
    let Some(Json::Object(table)) = reading.draft.value().get(setting) else { return true };
    let empty_list = reading.draft.notation().empty_list();
    let wrong = |(name, list): (&String, &Json)| {
        let place = format!("{}{}", pointer(setting), pointer(name));
        match no_attribute(name) {
            Some(message) => Some((place, About::Name, message)),
            None if list.as_array().is_some_and(Vec::is_empty) => {
                Some((place, About::Value, format!("{empty_list} matches nothing: leave it out")))
            }
            None => None,
        }
    };
    let wrong: Vec<_> = table.iter().filter_map(wrong).collect();
    for (place, about, message) in &wrong {
        let shown = if *about == About::Name { pointer(setting) } else { place.clone() };
        reading.plain_fault(&shown, place, *about, message);
        reading.draft.take_out(place);
    }
    wrong.is_empty()
}

/// Notes what is wrong with an event pattern, and takes it out. False if anything is.
fn data(reading: &mut Reading<'_>) -> bool {
    // Anything but a table is refused with the other settings.
    let Some(pattern @ Json::Object(_)) = reading.draft.value().get("data") else { return true };
    let faults = EventPattern::new(pattern).map_or_else(|error| error.faults, |_| Vec::new());
    // What lacks a part about which something was said may be sound with it.
    let is_broken = reading.draft.is_broken_within("/data");
    for fault in faults.iter().filter(|_| !is_broken) {
        let place = format!("/data{}", fault.pointer);
        reading.fault(&place, &place, About::Value, &fault.message);
    }
    if !faults.is_empty() {
        reading.draft.take_out("/data");
    }
    faults.is_empty()
}

fn hook(options: HookOptions, sink: Option<&SinkSettings>) -> Result<Hook, Vec<Fault>> {
    let factory = sink.map_or_else(|| Arc::new(Unread) as Arc<dyn SinkFactory>, |sink| sink.factory.clone());
    // Any name: nothing looks at it.
    HookId::new("x").map_or_else(|_| Err(Vec::new()), |id| options.hook(id, factory))
}

/// A problem of a hook, at the setting that it is about, or one that has to do with it.
fn problem(draft: &Draft, path: &str, message: &str) -> Fault {
    let place = |path: &str| parse_path(draft.value(), path);
    let own = place(path);
    let other = place(&path.replace("queue", "batch"));
    let places = [own.clone(), other, "/lanes".to_owned(), "/queue".to_owned(), "/batch".to_owned()];
    let set = places.into_iter().find(|place| draft.is_set(place));
    let about = if set.is_some() { About::Value } else { About::Missing };
    Fault::new(draft.place(&set.unwrap_or(own)).0, about, format!("{path}: {message}"))
}

/// Stands in for a sink with something wrong, so that the rest of its hook can be checked.
#[derive(Debug)]
struct Unread;

impl SinkFactory for Unread {
    fn kind(&self) -> &str {
        "unread"
    }

    fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Err("the sink's settings are wrong".into())
    }
}
