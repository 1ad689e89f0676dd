//! Sections that are one struct.

use super::problem::Findings;
use super::read::Section;
use super::tree::{Entry, Node, Step, Table, Value};
use super::wording::Redactor;

/// Reads a plain section, and gives its places back.
pub(super) fn section<T: serde::de::DeserializeOwned>(
    name: &str,
    entry: Option<Entry>,
    findings: &mut Findings,
) -> Option<(T, Node)> {
    let mut node = entry.map_or_else(empty, |entry| entry.node);
    let redactor = Redactor::default().variables(&node);
    let label = format!("{name}: ");
    if node.table().is_none() {
        if !node.is_broken() {
            findings.add(node.span.clone(), format!("{label}expected a table, found {}", node.describe()));
        }
        return None;
    }
    let mut section = Section { label: &label, node: &mut node, redactor: &redactor, elsewhere: &[] };
    let read = section.read(findings, |json| json);
    read.map(|read| (read, node))
}

/// The place of a setting in a section.
pub(super) fn place_of(node: &Node, name: &str) -> std::ops::Range<usize> {
    node.find(&[Step::Key(name.to_owned())]).0.span()
}

/// A section that is not there.
pub(super) fn empty() -> Node {
    Node { span: 0..0, value: Value::Table(Table::new()) }
}
