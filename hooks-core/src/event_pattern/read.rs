//! Reading a pattern, with everything that is wrong said at once.

use serde_json::{Map, Value as Json};

use super::EventPatternFault;
use super::branch::Field;
use super::operator::{self, OPERATORS};
use super::paths::{PathId, Paths, ROOT};
use crate::envelope::MAX_DEPTH;
use crate::pointer::push_pointer;

/// The name that alternatives between whole patterns have.
pub(super) const OR: &str = "$or";

/// A pattern while it is read.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) paths: Paths,
    pub(super) fields: Vec<Field>,
    /// The place of each field in the pattern.
    pub(super) pointers: Vec<String>,
    pub(super) faults: Vec<EventPatternFault>,
}

/// Conditions that have to hold together.
pub(super) type Clauses = Vec<Clause>;

pub(super) enum Clause {
    /// That of the field with this index.
    Field(u32),
    /// One of these groups.
    Or(Vec<Clauses>),
}

/// Where something stands in the pattern.
#[derive(Clone, Copy)]
struct Place<'a> {
    pointer: &'a str,
    path: PathId,
    /// Number of fields that lead here.
    depth: u32,
    is_in_or: bool,
}

impl Reader {
    pub(super) fn pattern(&mut self, json: &Json) -> Clauses {
        self.object(json, Place { pointer: "", path: ROOT, depth: 0, is_in_or: false })
    }

    fn object(&mut self, json: &Json, place: Place<'_>) -> Clauses {
        let Json::Object(members) = json else {
            self.fault(place.pointer, format!("expected an object with the names of fields, found {}", describe(json)));
            return Vec::new();
        };
        if members.is_empty() {
            let message = match place.depth {
                0 => "an empty object names no field: leave it out to match everything",
                _ => "an empty object names no field: write fields of it, or `[{ \"exists\": true }]` for any value",
            };
            self.fault(place.pointer, message.to_owned());
        }
        self.members(members, place)
    }

    fn members(&mut self, members: &Map<String, Json>, place: Place<'_>) -> Clauses {
        let mut clauses = Vec::new();
        for (name, value) in members {
            let mut pointer = place.pointer.to_owned();
            push_pointer(&mut pointer, name);
            if name == OR {
                clauses.extend(self.or(value, Place { pointer: &pointer, ..place }));
            } else if matches!(&**name, "or" | "$$or" | "$OR") && holds_patterns(value) {
                self.fault(
                    &pointer,
                    format!("`{name}` is a field like any other: patterns of which one is enough stand in `{OR}`"),
                );
            } else if place.is_in_or && OPERATORS.contains(&&**name) {
                let message =
                    format!("`{name}` is an operator: `$or` holds patterns, each an object with the names of fields");
                self.fault(&pointer, message);
            } else {
                let path = self.paths.at(place.path, name);
                clauses.extend(self.field(value, Place { pointer: &pointer, path, depth: place.depth + 1, ..place }));
            }
        }
        clauses
    }

    fn field(&mut self, json: &Json, place: Place<'_>) -> Clauses {
        // An event has its own level around `data`.
        if place.depth > MAX_DEPTH - 2 {
            self.fault(place.pointer, format!("deeper than events may be, which have {MAX_DEPTH} levels at most"));
            return Vec::new();
        }
        match json {
            Json::Object(_) => self.object(json, place),
            Json::Array(list) => self.alternatives(list, place).into_iter().collect(),
            _ => {
                let found = describe(json);
                let message = format!(
                    "expected a list of alternatives, `[…]`, or an object with the fields below it, found {found}"
                );
                self.fault(place.pointer, message);
                Vec::new()
            }
        }
    }

    fn alternatives(&mut self, list: &[Json], place: Place<'_>) -> Option<Clause> {
        if list.is_empty() {
            self.fault(
                place.pointer,
                "an empty list matches nothing: leave the field out to match whatever it is".to_owned(),
            );
        }
        let mut alternatives = Vec::new();
        for (index, json) in list.iter().enumerate() {
            let pointer = format!("{}/{index}", place.pointer);
            alternatives.extend(operator::alternative(json, &pointer, &mut self.faults));
        }
        self.paths.set_compared(place.path);
        self.fields.push(Field { path: place.path, alternatives: alternatives.into() });
        self.pointers.push(place.pointer.to_owned());
        u32::try_from(self.fields.len() - 1).ok().map(Clause::Field)
    }

    fn or(&mut self, json: &Json, place: Place<'_>) -> Option<Clause> {
        let Some(list) = json.as_array().filter(|list| list.len() > 1) else {
            let message = format!("expected a list of two patterns or more, found {}", describe(json));
            self.fault(place.pointer, message);
            return None;
        };
        let groups = list.iter().enumerate().map(|(index, json)| {
            let pointer = format!("{}/{index}", place.pointer);
            self.object(json, Place { pointer: &pointer, is_in_or: true, ..place })
        });
        Some(Clause::Or(groups.collect()))
    }

    fn fault(&mut self, pointer: &str, message: String) {
        self.faults.push(EventPatternFault { pointer: pointer.to_owned(), message });
    }
}

/// True if this is a list as in `$or`, and not one of operators.
fn holds_patterns(json: &Json) -> bool {
    let is_pattern = |entry: &Json| {
        let mut names = entry.as_object().into_iter().flat_map(Map::keys);
        names.next().is_some_and(|name| !OPERATORS.contains(&&**name))
    };
    json.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_pattern))
}

/// The kind of a value.
pub(super) fn describe(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(list) => match list.len() {
            0 => "an empty list",
            1 => "a list with one entry",
            _ => "a list",
        },
        Json::Object(_) => "an object",
    }
}
