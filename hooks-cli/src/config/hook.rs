//! Reading `[[hooks]]`: one table each, over what `[defaults]` has.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use hooks_core::{
    BatchLimits, BoxError, ByteSize, Filter, Hook, HookId, Metadata, Pattern, Sink,
    sink::{SinkContext, SinkFactory},
};
use serde_json::{Value as Json, json};

use super::bus::ConfiguredBus;
use super::plugin::{Place, kinds};
use super::problem::Findings;
use super::read::Section;
use super::settings::{HookSettings, PATTERNS};
use super::shape::Shapes;
use super::tree::{Node, Step, Value};
use super::wording::Redactor;
use super::written::Written;

/// A sink, as it is written.
const SINK: &str = "sink = { kind = \"file\", path = \"/tmp/out.jsonl\" }";

/// A hook as the file has it.
pub(super) struct ReadHook {
    pub(super) hook: Hook,
    /// The place where `queue.overflow` is set, if it is.
    pub(super) overflow: Option<Range<usize>>,
    pub(super) written: Written,
}

/// Reads all hooks. Those with something wrong are left out; what is wrong is noted.
pub(super) fn read_all(
    list: &mut [Node],
    defaults: &Node,
    bus: Option<&ConfiguredBus>,
    findings: &mut Findings,
) -> Vec<ReadHook> {
    let mut ids = BTreeMap::new();
    let mut hooks = Vec::new();
    let mut shapes = Shapes::default();
    for (index, node) in list.iter_mut().enumerate() {
        let number = index + 1;
        if node.table().is_none() {
            if !node.is_broken() {
                findings.add(node.span.clone(), format!("hook {number}: expected a table, found {}", node.describe()));
            }
            continue;
        }
        let id = id(node, number, &mut ids, findings);
        let label = id.as_ref().map_or_else(|| format!("hook {number}: "), |id| format!("hook `{id}`: "));
        hooks.extend(read(id, &label, node, defaults, bus, &mut shapes, findings));
    }
    hooks
}

fn id(node: &mut Node, number: usize, ids: &mut BTreeMap<HookId, usize>, findings: &mut Findings) -> Option<HookId> {
    let whole = node.span.clone();
    let Some(entry) = node.table_mut().and_then(|table| table.remove("id")) else {
        findings.add(whole, format!("hook {number}: `id` is missing"));
        return None;
    };
    if entry.node.is_broken() {
        return None;
    }
    let span = entry.node.span.clone();
    let Some(text) = entry.node.text() else {
        findings.add(span, format!("hook {number}: id: expected a string, found {}", entry.node.describe()));
        return None;
    };
    match HookId::new(text) {
        Ok(id) => {
            if let Some(first) = ids.insert(id.clone(), number) {
                ids.insert(id.clone(), first);
                findings.add(
                    span,
                    format!("hook `{id}`: this id is taken: hook {first} has it, and this is hook {number}"),
                );
            }
            Some(id)
        }
        Err(error) => {
            let redactor = Redactor::default().variables(&entry.node);
            findings.add(span, format!("hook {number}: id: {}", redactor.redact(&error.to_string())));
            None
        }
    }
}

fn read(
    id: Option<HookId>,
    label: &str,
    node: &mut Node,
    defaults: &Node,
    bus: Option<&ConfiguredBus>,
    shapes: &mut Shapes,
    findings: &mut Findings,
) -> Option<ReadHook> {
    let whole = node.span.clone();
    let whole_sink = node.table().and_then(|table| table.get("sink")).map(|entry| entry.node.json());
    let factory = match node.table_mut().and_then(|table| table.remove("sink")) {
        Some(mut entry) => {
            let place = Place { label: &format!("{label}sink"), example: SINK };
            place.read::<dyn SinkFactory>(&mut entry, shapes, findings)
        }
        None => {
            findings.add(
                whole.clone(),
                format!("{label}`sink` is missing; kinds linked into this binary: {}", kinds::<dyn SinkFactory>()),
            );
            None
        }
    };
    node.merge_under(defaults);
    let written = Written::new(json!([node.json(), whole_sink]));
    let sound = patterns(label, node, findings) & !misplaced(label, node, bus, findings);
    let base = factory.as_ref().map_or_else(BatchLimits::default, |factory| factory.batch_limits());
    let metadata = metadata(label, node, findings);
    let settings = settings(label, node, base, findings)?;
    let metadata = metadata?;
    let complete = id.is_some() && factory.is_some() && sound;
    let id = id.or_else(|| HookId::new("x").ok())?;
    let known = factory.is_some();
    let hook = hook(Hook::with_sink(id, factory.unwrap_or_else(|| Arc::new(Unread))), settings, metadata);
    let mut hook = hook;
    // Without a queue nothing contradicts it.
    let has_queue = bus.and_then(ConfiguredBus::has_queues).unwrap_or_else(|| setting(node, "queue").is_some());
    if !has_queue {
        hook.queue = hook.queue.max_events(NonZeroUsize::MAX).max_bytes(ByteSize::new(u64::MAX));
    }
    let contradicts = contradictions(label, node, &hook, known, whole, findings);
    let overflow = setting(node, "queue.overflow").map(|entry| entry.1);
    (complete && !contradicts).then_some(ReadHook { hook, overflow, written })
}

/// Reads the settings; `base` is what the batch limits are where the table does not set them.
pub(super) fn settings(
    label: &str,
    node: &mut Node,
    base: BatchLimits,
    findings: &mut Findings,
) -> Option<HookSettings> {
    let redactor = Redactor::default().variables(node);
    let mut section = Section { label, node, redactor: &redactor, elsewhere: &["id", "sink"] };
    section.read(findings, |mut json| {
        let BatchLimits { max_events, max_bytes, max_age, .. } = base;
        let mut batch =
            json!({ "max_events": max_events, "max_bytes": max_bytes.bytes(), "max_age": max_age.to_string() });
        match (json.get_mut("batch"), batch.as_object_mut()) {
            (Some(Json::Object(set)), Some(batch)) => {
                batch.extend(std::mem::take(set));
                *set = std::mem::take(batch);
            }
            (None, _) => json["batch"] = batch,
            _ => {}
        }
        json
    })
}

/// A setting that the bus has no use for. True when there is one.
fn misplaced(label: &str, node: &Node, bus: Option<&ConfiguredBus>, findings: &mut Findings) -> bool {
    let Some((name, why)) = bus.and_then(ConfiguredBus::misplaced) else { return false };
    let Some((_, span)) = setting(node, name) else { return false };
    findings.add(span, format!("{label}{name}: {why}"));
    true
}

/// Lists that would not mean what they seem to. They are taken out.
fn patterns(label: &str, node: &mut Node, findings: &mut Findings) -> bool {
    let mut sound = true;
    for name in PATTERNS {
        let Some(entry) = node.table_mut().and_then(|table| table.get_mut(name)) else { continue };
        let Value::List(list) = &entry.node.value else { continue };
        let mut problem = |span: &Range<usize>, message: String| {
            findings.add(span.clone(), format!("{label}{name}{message}"));
            sound = false;
        };
        if list.is_empty() {
            let all = if name.ends_with("except") { "make no exception" } else { "match everything" };
            problem(&entry.node.span, format!(": an empty list: leave it out to {all}"));
        }
        for (index, node) in list.iter().enumerate().filter(|(_, node)| node.text() == Some("")) {
            problem(&node.span, format!("[{index}]: an empty pattern matches nothing"));
        }
        if list.iter().all(|node| node.text() == Some("")) {
            entry.node.value = Value::Broken;
        }
    }
    sound
}

/// The metadata as attributes. `None` when something is wrong with it, which is taken out.
fn metadata(label: &str, node: &mut Node, findings: &mut Findings) -> Option<Metadata> {
    let Some(entry) = node.table_mut().and_then(|table| table.get_mut("metadata")) else {
        return Some(Metadata::default());
    };
    // Anything but a table is refused with the other settings.
    let table = entry.node.table_mut()?;
    let mut attributes = Vec::new();
    for (name, entry) in table.iter_mut().filter(|(_, entry)| !entry.node.is_broken()) {
        let attribute = (name.as_str(), entry.node.json());
        if let Err(error) = Metadata::new([attribute.clone()]) {
            findings.add(entry.key.clone(), format!("{label}metadata: {error}"));
            entry.node.value = Value::Broken;
        }
        attributes.push(attribute);
    }
    Metadata::new(attributes).ok()
}

fn hook(mut hook: Hook, settings: HookSettings, metadata: Metadata) -> Hook {
    let patterns = |list: Option<Vec<String>>| list.unwrap_or_default().into_iter().map(Pattern::new).collect();
    hook.filter = Arc::new(Filter {
        types: patterns(settings.types),
        types_except: patterns(settings.types_except),
        subjects: patterns(settings.subjects),
        subjects_except: patterns(settings.subjects_except),
    });
    hook.metadata = Arc::new(metadata);
    hook.batch = settings.batch;
    hook.retry = settings.retry;
    hook.queue = settings.queue;
    hook.lanes = settings.lanes.unwrap_or(hook.lanes);
    hook.enabled = settings.enabled.unwrap_or(true);
    hook.rate_limit = settings.rate_limit;
    hook.from = settings.from.unwrap_or_default();
    hook
}

/// Reports the problems that the hook itself finds in its settings. True if there are any.
fn contradictions(
    label: &str,
    node: &Node,
    hook: &Hook,
    sink_known: bool,
    whole: Range<usize>,
    findings: &mut Findings,
) -> bool {
    // Without its sink the hook's batch limits are not known, so nor is what is wrong with its queue.
    let problems = hook.problems().into_iter().filter(|(path, _)| sink_known || !path.starts_with("queue"));
    let mut any = false;
    for (path, message) in problems {
        any = true;
        let other = path.replace("queue", "batch");
        let found = [path, other.as_str(), "lanes", "queue", "batch"].into_iter().find_map(|path| setting(node, path));
        findings.add(found.map_or(whole.clone(), |(_, span)| span), format!("{label}{path}: {message}"));
    }
    any
}

/// The place of a setting, if it is set.
fn setting<'a>(node: &'a Node, path: &str) -> Option<(&'a Node, Range<usize>)> {
    let path: Vec<_> = path.split('.').map(|key| Step::Key(key.to_owned())).collect();
    let (found, whole) = node.find(&path);
    whole.then(|| (found.node, found.span()))
}

/// Checks `[defaults]` by itself, so that what is wrong there is said once, and takes it out.
pub(super) fn defaults(node: &mut Node, findings: &mut Findings) {
    let label = "defaults: ";
    for (name, why) in [("id", "every hook has its own"), ("sink", "every hook has its own")] {
        if let Some(entry) = node.table_mut().and_then(|table| table.remove(name)) {
            findings.add(entry.key, format!("{label}`{name}` has no default: {why}"));
        }
    }
    patterns(label, node, findings);
    metadata(label, node, findings);
    settings(label, node, BatchLimits::default(), findings);
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
