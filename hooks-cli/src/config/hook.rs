//! Reading `[[hooks]]`: one table each, over what `[defaults]` has.

use std::collections::BTreeMap;
use std::ops::Range;

use hooks_core::settings::HookReader;
use hooks_core::{Hook, HookId};

use super::bus::ConfiguredBus;
use super::problem::Findings;
use super::tree::Node;
use super::written::Written;

/// What follows `/v1/hooks/` in the API and is no hook.
const NO_HOOK: &str = "match";

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
    let reader = reader(bus);
    let tables = tables(list, defaults, findings);
    let read = tables.into_iter().filter_map(|(id, number, node)| {
        let hook = read_one(id, number, node, &reader, findings)?;
        let (overflow, is_set) = node.find("/queue/overflow");
        Some(ReadHook { hook, overflow: is_set.then(|| overflow.span()), written: Written::new(node.json()) })
    });
    read.collect()
}

/// Reads all hooks for a daemon, whose bus decides what has no use there. Those with something wrong are left out; what
/// is wrong is noted.
pub(super) fn read_for_daemon(mut list: Vec<Node>, defaults: &Node, findings: &mut Findings) -> Vec<(Hook, Node)> {
    let reader = reader(None);
    let tables = tables(&mut list, defaults, findings);
    let read = tables.into_iter();
    read.filter_map(|(id, number, node)| Some((read_one(id, number, node, &reader, findings)?, node.clone()))).collect()
}

/// The tables of hooks over the defaults, each with its id, if that is right, and its number.
fn tables<'a>(
    list: &'a mut [Node],
    defaults: &Node,
    findings: &mut Findings,
) -> Vec<(Option<HookId>, usize, &'a mut Node)> {
    let mut ids = BTreeMap::new();
    let mut tables = Vec::new();
    for (index, node) in list.iter_mut().enumerate() {
        let number = index + 1;
        if node.table().is_none() {
            if !node.is_broken() {
                findings.add(node.span.clone(), format!("hook {number}: expected a table, found {}", node.describe()));
            }
            continue;
        }
        let id = id(node, number, &mut ids, findings);
        if let (sink, true) = node.find("/sink") {
            findings.mask_plugin(sink.node);
        }
        node.merge_under(defaults);
        tables.push((id, number, node));
    }
    tables
}

/// A reader that knows what the bus has no use for.
fn reader(bus: Option<&ConfiguredBus>) -> HookReader<'_> {
    let reader = HookReader::new().beside(&["id"]);
    match bus.filter(|bus| bus.is_decided()) {
        Some(bus) => reader.on_bus(bus.kind(), bus.traits()),
        None => reader.on_any_bus(),
    }
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
        Ok(id) if id.as_str() == NO_HOOK => {
            let why = format!(
                "hook {number}: id: `{id}` is no hook's name: the API has a route at its place. Choose another"
            );
            findings.add(span, why);
            None
        }
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
            findings.add(span, format!("hook {number}: id: {}", entry.node.draft().redact(&error.to_string())));
            None
        }
    }
}

fn read_one(
    id: Option<HookId>,
    number: usize,
    node: &Node,
    reader: &HookReader<'_>,
    findings: &mut Findings,
) -> Option<Hook> {
    let settings = reader.read(node.draft());
    let hook = settings.and_then(|settings| id.clone().map(|id| settings.into_hook(id)).transpose());
    let label = || id.map_or_else(|| format!("hook {number}: "), |id| format!("hook `{id}`: "));
    hook.map_err(|faults| findings.add_faults(&label(), None, node, faults)).ok()?
}

/// Checks `[defaults]` by itself, so that what is wrong there is said once, and takes it out.
pub(super) fn defaults(node: &mut Node, findings: &mut Findings) {
    let label = "defaults: ";
    for (name, why) in [("id", "every hook has its own"), ("sink", "every hook has its own")] {
        if let Some(entry) = node.table_mut().and_then(|table| table.remove(name)) {
            findings.add(entry.key, format!("{label}`{name}` has no default: {why}"));
        }
    }
    if let Err(faults) = reader(None).defaults(node.draft()) {
        let wrong: Vec<_> = faults.iter().map(|fault| fault.pointer.clone()).collect();
        findings.add_faults(label, None, node, faults);
        wrong.iter().for_each(|pointer| node.break_at(pointer));
    }
}
