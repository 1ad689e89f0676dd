//! A config file as a tree in which every value knows its place, with variables filled in.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::{Variable, Variables, expand, has_bare_name};

/// A value and where it stands in the file. No `Debug`: it may hold secrets.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    /// No list and no table. With the variables that were filled in.
    Leaf(Json, Vec<Variable>),
    List(Vec<Node>),
    Table(Table),
    /// Something is wrong with it, which has been said: treated as if it were not there, but not missed.
    Broken,
}

pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Range<usize>,
    pub(super) node: Node,
}

/// One step from a table or list to what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The node that a path leads to.
pub(super) struct Found<'a> {
    /// The key of the last table entry on the way.
    pub(super) key: Option<Range<usize>>,
    pub(super) node: &'a Node,
}

impl Found<'_> {
    /// The value where it stands in one place, the key of a table or list.
    pub(super) fn span(&self) -> Range<usize> {
        match (&self.node.value, &self.key) {
            (Value::Table(_) | Value::List(_), Some(key)) => key.clone(),
            _ => self.node.span.clone(),
        }
    }
}

/// The tree of a table, and the strings in it that may want a variable without saying so. What can't be used is
/// broken in the tree and said through `problem`.
pub(super) fn tree(
    table: Spanned<DeTable<'_>>,
    text: &str,
    variables: &Variables<'_>,
    problem: &mut dyn FnMut(Range<usize>, String),
) -> (Node, Vec<Range<usize>>) {
    let span = table.span();
    let mut builder = Builder { text, variables, problem, bare: Vec::new() };
    (builder.table(span, table.into_inner()), builder.bare)
}

struct Builder<'a> {
    text: &'a str,
    variables: &'a Variables<'a>,
    problem: &'a mut dyn FnMut(Range<usize>, String),
    bare: Vec<Range<usize>>,
}

impl Builder<'_> {
    fn table(&mut self, span: Range<usize>, table: DeTable<'_>) -> Node {
        let entries = table.into_iter().map(|(key, value)| {
            let entry = Entry { key: key.span(), node: self.node(value) };
            (key.into_inner().into_owned(), entry)
        });
        Node { value: Value::Table(entries.collect()), span }
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let json = match value.into_inner() {
            DeValue::Table(table) => return self.table(span, table),
            DeValue::Array(list) => {
                let list = list.into_iter().map(|value| self.node(value)).collect();
                return Node { span, value: Value::List(list) };
            }
            DeValue::String(text) => return self.string(span, &text),
            DeValue::Boolean(value) => Some(Json::from(value)),
            DeValue::Datetime(value) => Some(Json::from(value.to_string())),
            DeValue::Integer(value) => {
                let (digits, radix) = (value.as_str(), value.radix());
                let signed = i64::from_str_radix(digits, radix).map(Json::from);
                signed.or_else(|_| u64::from_str_radix(digits, radix).map(Json::from)).ok()
            }
            DeValue::Float(value) => {
                let float = value.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                float.map(Json::Number)
            }
        };
        let value = json.map_or_else(
            || {
                (self.problem)(span.clone(), "this number is out of range".to_owned());
                Value::Broken
            },
            |json| Value::Leaf(json, Vec::new()),
        );
        Node { span, value }
    }

    fn string(&mut self, span: Range<usize>, text: &str) -> Node {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        if has_bare_name(text) {
            self.bare.push(span.clone());
        }
        let value = match expand(text, self.variables) {
            Ok((filled, mut variables)) => {
                if !variables.is_empty() {
                    variables.push(Variable { written: text.to_owned(), value: filled.clone() });
                }
                Value::Leaf(Json::from(filled), variables)
            }
            Err(faults) => {
                for fault in faults {
                    // Escapes in the string move its characters, so the place is looked up in the file.
                    let at = raw.find(&fault.written).map(|at| span.start + at);
                    let place = at.map_or(span.clone(), |at| at..at + fault.written.len());
                    (self.problem)(place, fault.message);
                }
                Value::Broken
            }
        };
        Node { span, value }
    }
}

impl Node {
    /// The table, if it is one.
    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub(super) fn table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text, if it is a string.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Leaf(json, _) => json.as_str(),
            _ => None,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.value, Value::Broken)
    }

    /// True if anything in it is broken.
    pub(super) fn has_broken(&self) -> bool {
        match &self.value {
            Value::Leaf(..) => false,
            Value::List(list) => list.iter().any(Self::has_broken),
            Value::Table(table) => table.values().any(|entry| entry.node.has_broken()),
            Value::Broken => true,
        }
    }

    /// The value as JSON, without what is broken.
    pub(super) fn json(&self) -> Json {
        match &self.value {
            Value::Leaf(json, _) => json.clone(),
            Value::List(list) => list.iter().filter(|node| !node.is_broken()).map(Self::json).collect(),
            Value::Table(table) => {
                let sound = table.iter().filter(|(_, entry)| !entry.node.is_broken());
                sound.map(|(key, entry)| (key.clone(), entry.node.json())).collect()
            }
            Value::Broken => Json::Null,
        }
    }

    /// The kind of value, in words.
    pub(super) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Leaf(Json::String(_), _) => "a string",
            Value::Leaf(Json::Bool(_), _) => "a boolean",
            Value::Leaf(..) => "a number",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Broken => "nothing",
        }
    }

    /// The node at the path's end, or as far as it goes; and whether it goes to its end.
    pub(super) fn find(&self, path: &[Step]) -> (Found<'_>, bool) {
        let mut found = Found { key: None, node: self };
        for step in path {
            match (step, &found.node.value) {
                (Step::Key(key), Value::Table(table)) if table.contains_key(key) => {
                    let entry = &table[key];
                    found = Found { key: Some(entry.key.clone()), node: &entry.node };
                }
                // What is broken does not count in JSON, so not in paths either.
                (Step::Index(index), Value::List(list)) => {
                    let Some(node) = list.iter().filter(|node| !node.is_broken()).nth(*index) else {
                        return (found, false);
                    };
                    found.node = node;
                }
                _ => return (found, false),
            }
        }
        (found, true)
    }

    /// Marks what the path leads to as broken. False when there is nothing, or it is broken already.
    pub(super) fn break_at(&mut self, path: &[Step]) -> bool {
        let mut node = self;
        for step in path {
            let next = match (step, &mut node.value) {
                (Step::Key(key), Value::Table(table)) => table.get_mut(key).map(|entry| &mut entry.node),
                (Step::Index(index), Value::List(list)) => list.iter_mut().filter(|node| !node.is_broken()).nth(*index),
                _ => None,
            };
            let Some(next) = next else { return false };
            node = next;
        }
        !std::mem::replace(&mut node.value, Value::Broken).is_broken()
    }

    /// Takes from `under` what is not set here; tables are merged entry by entry.
    pub(super) fn merge_under(&mut self, under: &Self) {
        let (Value::Table(table), Value::Table(under)) = (&mut self.value, &under.value) else { return };
        for (key, entry) in under {
            match table.get_mut(key) {
                Some(own) => own.node.merge_under(&entry.node),
                None => {
                    table.insert(key.clone(), entry.clone());
                }
            }
        }
    }

    /// Every variable in it.
    pub(super) fn variables(&self, into: &mut Vec<Variable>) {
        match &self.value {
            Value::Leaf(_, variables) => into.extend_from_slice(variables),
            Value::List(list) => list.iter().for_each(|node| node.variables(into)),
            Value::Table(table) => table.values().for_each(|entry| entry.node.variables(into)),
            Value::Broken => {}
        }
    }

    /// Each string in it, with its place.
    pub(super) fn strings(&self, visit: &mut dyn FnMut(&Self, &str)) {
        match &self.value {
            Value::Leaf(Json::String(text), _) => visit(self, text),
            Value::Leaf(..) | Value::Broken => {}
            Value::List(list) => list.iter().for_each(|node| node.strings(visit)),
            Value::Table(table) => table.values().for_each(|entry| entry.node.strings(visit)),
        }
    }
}

impl Value {
    fn is_broken(&self) -> bool {
        matches!(self, Self::Broken)
    }
}
