//! From a table to a typed struct, with everything that is wrong said at once.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

use super::problem::Findings;
use super::tree::{Node, Step};
use super::wording::{Redactor, Wording, word};

/// A table on its way to a struct.
pub(super) struct Section<'a> {
    /// The beginning of error messages, for example ``hook `orders`: ``.
    pub(super) label: &'a str,
    pub(super) node: &'a mut Node,
    pub(super) redactor: &'a Redactor,
    /// Names that belong into the table but are read elsewhere; suggested for misspelt ones.
    pub(super) elsewhere: &'a [&'a str],
}

impl Section<'_> {
    /// Reads the table. `prepare` may change its JSON. `None` when something is wrong.
    ///
    /// An error is noted, what it is about is taken out of the table, and the rest is read again.
    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        findings: &mut Findings,
        prepare: impl Fn(Json) -> Json,
    ) -> Option<T> {
        let mut sound = true;
        loop {
            let error = match serde_path_to_error::deserialize(prepare(self.node.json())) {
                Ok(value) => return sound.then_some(value),
                Err(error) => error,
            };
            sound = false;
            let path = steps(error.path());
            let text: serde_json::Error = error.into_inner();
            if !self.note(&path, &text.to_string(), findings) {
                return None;
            }
        }
    }

    /// Notes an error and takes what it is about out of the table. False when there is nothing to take.
    pub(super) fn note(&mut self, path: &[Step], text: &str, findings: &mut Findings) -> bool {
        let mut path = path.to_vec();
        let (message, of_key) = match word(text, if path.len() < 2 { self.elsewhere } else { &[] }) {
            Wording::UnknownField { field, message } => {
                if path.last() != Some(&Step::Key(field.clone())) {
                    path.push(Step::Key(field));
                }
                (message, true)
            }
            Wording::MissingField { field } => {
                let missing = [path.as_slice(), &[Step::Key(field.clone())]].concat();
                if !self.node.find(&missing).1 {
                    let (found, _) = self.node.find(&path);
                    findings.add(found.span(), format!("{}{}`{field}` is missing", self.label, place(&path)));
                }
                return false;
            }
            Wording::Value(message) => (message, false),
        };
        let (found, whole) = self.node.find(&path);
        let shown = if of_key { &path[..path.len() - 1] } else { &path };
        let message = format!("{}{}{}", self.label, place(shown), self.redactor.redact(&message));
        let span = if of_key { found.key.clone().unwrap_or_else(|| found.span()) } else { found.span() };
        if of_key {
            // It may be a secret that belongs elsewhere.
            found.node.strings(&mut |node, _| findings.mask(node.span.clone()));
        }
        findings.add(span, message);
        whole && !path.is_empty() && self.node.break_at(&path)
    }
}

/// A path as it is shown in front of a message: `batch.max_events: `, or nothing.
pub(super) fn place(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if text.is_empty() { text } else { text + ": " }
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

/// Reads a path as sinks write it, `tls.ca_file` or `headers[2]`. A key may hold dots: the longest one
/// that is in the table is meant.
pub(super) fn parse_path(node: &Node, path: &str) -> Vec<Step> {
    let (mut steps, mut rest, mut node) = (Vec::new(), path, Some(node));
    while !rest.is_empty() {
        let index = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let step = if let Some((index, after)) = index.and_then(|(index, after)| Some((index.parse().ok()?, after))) {
            rest = after;
            Step::Index(index)
        } else {
            let key = key(node, rest);
            rest = &rest[key.len()..];
            Step::Key(key.to_owned())
        };
        rest = rest.strip_prefix('.').unwrap_or(rest);
        steps.push(step);
        node = node.and_then(|node| {
            let (found, whole) = node.find(&steps[steps.len() - 1..]);
            whole.then_some(found.node)
        });
    }
    steps
}

fn key<'a>(node: Option<&Node>, path: &'a str) -> &'a str {
    let ends = |key: &&String| {
        let rest = path.strip_prefix(key.as_str());
        !key.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let keys = node.and_then(Node::table).into_iter().flat_map(|table| table.keys());
    let longest = keys.filter(ends).map(String::len).max();
    // At least one character, so that every path ends.
    let first = path.chars().next().map_or(0, char::len_utf8);
    let plain = path[first..].find(['.', '[']).map_or(path.len(), |at| first + at);
    &path[..longest.unwrap_or(plain)]
}
