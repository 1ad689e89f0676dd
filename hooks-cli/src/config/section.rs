//! Sections that are one struct.

use hooks_core::settings::{Draft, read};

use super::problem::Findings;
use super::tree::{Entry, Node, Table, Value};

/// Reads a plain section, and gives its places back.
pub(super) fn section<T: serde::de::DeserializeOwned>(
    name: &str,
    entry: Option<Entry>,
    findings: &mut Findings,
) -> Option<(T, Node)> {
    let node = entry.map_or_else(empty, |entry| entry.node);
    let read = section_of(name, &node, node.draft(), findings);
    read.map(|read| (read, node))
}

/// Reads a plain section from its draft.
pub(super) fn section_of<T: serde::de::DeserializeOwned>(
    name: &str,
    node: &Node,
    draft: Draft,
    findings: &mut Findings,
) -> Option<T> {
    read(draft).map_err(|faults| findings.add_faults(&format!("{name}: "), None, node, faults)).ok()
}

/// The place of a setting in a section.
pub(super) fn place_of(node: &Node, name: &str) -> std::ops::Range<usize> {
    node.find(&format!("/{name}")).0.span()
}

/// A section that is not there.
pub(super) fn empty() -> Node {
    Node { span: 0..0, value: Value::Table(Table::new()) }
}
