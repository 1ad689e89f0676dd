//! A config file as a tree in which every value knows its place, with variables filled in.

use std::collections::BTreeMap;
use std::ops::Range;

use hooks_core::settings::{Draft, Notation, push_pointer, tokens};
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

/// The node that a pointer leads to.
pub(super) struct Found<'a> {
    /// The key of the last table entry on the way.
    pub(super) key: Option<Range<usize>>,
    pub(super) node: &'a Node,
}

impl Found<'_> {
    /// The value where it stands in one place, the key of a table or list that may go on for many lines.
    pub(super) fn span(&self) -> Range<usize> {
        match (&self.node.value, &self.key) {
            (Value::Table(_), Some(key)) => key.clone(),
            (Value::List(list), Some(key)) if !list.is_empty() => key.clone(),
            _ => self.node.span.clone(),
        }
    }

    /// The key that leads to it.
    pub(super) fn key(&self) -> Range<usize> {
        self.key.clone().unwrap_or_else(|| self.node.span.clone())
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

    /// The table on its way to a struct, with what is hidden and what is broken.
    pub(super) fn draft(&self) -> Draft {
        let mut draft = Draft::new(self.json()).written_in(Notation::Toml);
        self.visit(&mut |pointer, node| match &node.value {
            Value::Broken => draft.add_broken(pointer),
            Value::Leaf(_, variables) => {
                variables.iter().for_each(|variable| draft.hide(pointer, &variable.value, &variable.written));
            }
            Value::List(_) | Value::Table(_) => {}
        });
        draft
    }

    /// Each node in it, with the pointer that leads to it.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&str, &Self)) {
        self.visit_at(&mut String::new(), visit);
    }

    fn visit_at(&self, at: &mut String, visit: &mut dyn FnMut(&str, &Self)) {
        visit(at, self);
        let end = at.len();
        match &self.value {
            Value::Leaf(..) | Value::Broken => {}
            Value::List(list) => {
                for (index, node) in list.iter().enumerate() {
                    push_pointer(at, &index.to_string());
                    node.visit_at(at, visit);
                    at.truncate(end);
                }
            }
            Value::Table(table) => {
                for (name, entry) in table {
                    push_pointer(at, name);
                    entry.node.visit_at(at, visit);
                    at.truncate(end);
                }
            }
        }
    }

    /// The node that the JSON pointer leads to, or as far as it goes; and whether it goes to its end.
    pub(super) fn find(&self, pointer: &str) -> (Found<'_>, bool) {
        let mut found = Found { key: None, node: self };
        for token in tokens(pointer) {
            match &found.node.value {
                Value::Table(table) => {
                    let Some(entry) = table.get(&token) else { return (found, false) };
                    found = Found { key: Some(entry.key.clone()), node: &entry.node };
                }
                Value::List(list) => {
                    let Some(node) = token.parse().ok().and_then(|index: usize| list.get(index)) else {
                        return (found, false);
                    };
                    found.node = node;
                }
                _ => return (found, false),
            }
        }
        (found, true)
    }

    /// Marks what the JSON pointer leads to as broken, if there is something.
    pub(super) fn break_at(&mut self, pointer: &str) {
        let mut node = self;
        for token in tokens(pointer) {
            let next = match &mut node.value {
                Value::Table(table) => table.get_mut(&token).map(|entry| &mut entry.node),
                Value::List(list) => token.parse().ok().and_then(|index: usize| list.get_mut(index)),
                _ => None,
            };
            let Some(next) = next else { return };
            node = next;
        }
        node.value = Value::Broken;
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
