//! Options that a plugin's author marked as safe for strangers, by the plugin's JSON Schema.
//!
//! Everything that is not seen to be safe is refused: an option without a mark, one that the schema does not list (an
//! alias, say), and one that only some forms of a table mark.

use serde_json::{Map, Value as Json};

use super::UntrustedLimits;
use crate::config_problem::ConfigProblem;

/// The word in the schema of an option that is safe: `#[schemars(extend("x-untrusted" = true))]`.
const MARK: &str = "x-untrusted";

/// References that lead to references end somewhere; a schema that goes round in circles does not.
const DEEPEST: usize = 16;

/// The tables of free names and the lists nest no deeper than this.
const DEEPEST_VALUE: usize = 16;

/// Takes out of a table what strangers may not set, and says what that was. `taken` is what the operator sets for all.
pub(crate) fn refuse_unmarked(
    table: &mut Json,
    schema: &Json,
    taken: &Map<String, Json>,
    limits: &UntrustedLimits,
) -> Vec<ConfigProblem> {
    let text = text_bytes(table) as u64;
    let mut walk = Walk { root: schema, limits, problems: Vec::new() };
    if text > limits.sink_bytes.bytes() {
        let most = limits.sink_bytes;
        walk.problem("", format!("{text} bytes of options are more than {most}, the most for a hook like this"));
    }
    walk.value(table, &[schema], Some(taken), "", 0);
    walk.problems
}

struct Walk<'a> {
    root: &'a Json,
    limits: &'a UntrustedLimits,
    problems: Vec<ConfigProblem>,
}

impl<'a> Walk<'a> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(ConfigProblem::new(path, message));
    }

    fn value(
        &mut self,
        value: &mut Json,
        schemas: &[&'a Json],
        taken: Option<&Map<String, Json>>,
        path: &str,
        depth: usize,
    ) {
        if depth > DEEPEST_VALUE {
            return self.problem(path, "nests too deep");
        }
        let mut forms = Vec::new();
        schemas.iter().for_each(|schema| all_forms(self.root, schema, &mut forms, 0));
        let has_names = forms.iter().any(|form| form.get("properties").is_some());
        match value {
            Json::Object(members) if has_names => self.table(members, &forms, taken, path, depth),
            Json::Object(members) => {
                self.count(members.len(), path);
                let free: Vec<_> = forms.iter().filter_map(|form| form.get("additionalProperties")).collect();
                for (name, member) in members {
                    let place = below(path, name);
                    if taken.is_some_and(|taken| taken.contains_key(name)) {
                        self.problem(&place, TAKEN);
                    }
                    self.value(member, &free, None, &place, depth + 1);
                }
            }
            Json::Array(items) => {
                self.count(items.len(), path);
                let of_items: Vec<_> = forms.iter().filter_map(|form| form.get("items")).collect();
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(item, &of_items, None, &format!("{path}[{index}]"), depth + 1);
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, entries: usize, path: &str) {
        let most = self.limits.sink_entries;
        if entries > most {
            self.problem(path, format!("{entries} entries are more than {most}, the most for a hook like this"));
        }
    }

    /// A table whose names the schema lists.
    fn table(
        &mut self,
        members: &mut Map<String, Json>,
        forms: &[&'a Json],
        taken: Option<&Map<String, Json>>,
        path: &str,
        depth: usize,
    ) {
        let mut refused = Vec::new();
        for (name, member) in members.iter_mut() {
            let options: Vec<&Json> = forms.iter().filter_map(|form| form.get("properties")?.get(name)).collect();
            let taken = taken.and_then(|taken| taken.get(name));
            let place = below(path, name);
            if options.is_empty() {
                self.problem(&place, unknown(name, forms));
            } else if !options.iter().all(|option| is_marked(option)) {
                self.problem(&place, UNMARKED);
            } else if taken.is_some_and(|taken| taken != member && (!taken.is_object() || !member.is_object())) {
                self.problem(&place, TAKEN);
            } else {
                self.value(member, &options, taken.and_then(Json::as_object), &place, depth + 1);
                continue;
            }
            refused.push(name.clone());
        }
        members.retain(|name, _| !refused.contains(name));
    }
}

const UNMARKED: &str = "may be set by the operator only: it is not among the options that are safe for strangers";
const TAKEN: &str = "the operator sets this for all hooks like this: leave it out";

/// The mark stands beside a reference, never behind it: a type is not safe by itself.
fn is_marked(option: &Json) -> bool {
    option.get(MARK) == Some(&Json::Bool(true))
}

/// All forms that a value may have, with references followed.
fn all_forms<'a>(root: &'a Json, schema: &'a Json, forms: &mut Vec<&'a Json>, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    forms.push(schema);
    let reference = schema.get("$ref").and_then(Json::as_str).and_then(|name| name.strip_prefix('#'));
    if let Some(referred) = reference.and_then(|pointer| root.pointer(pointer)) {
        all_forms(root, referred, forms, depth + 1);
    }
    for composed in ["anyOf", "oneOf", "allOf"] {
        for form in schema.get(composed).and_then(Json::as_array).into_iter().flatten() {
            all_forms(root, form, forms, depth + 1);
        }
    }
}

/// The paths of the options that are marked, and of those in tables that are.
pub(crate) fn marked_options(schema: &Json) -> Vec<String> {
    let mut paths = Vec::new();
    marked_below(schema, &[schema], "", &mut paths, 0);
    paths
}

fn marked_below(root: &Json, schemas: &[&Json], path: &str, paths: &mut Vec<String>, depth: usize) {
    let mut forms = Vec::new();
    schemas.iter().for_each(|schema| all_forms(root, schema, &mut forms, 0));
    let tables = || forms.iter().filter_map(|form| form.get("properties")?.as_object());
    let names: std::collections::BTreeSet<_> = tables().flat_map(Map::keys).collect();
    // A text, perhaps where a table may stand, too.
    let is_text = forms.iter().any(|form| form.get("type").is_some_and(|kind| kind == "string"));
    if (names.is_empty() || is_text) && !path.is_empty() {
        paths.push(path.to_owned());
    }
    for name in names {
        let options: Vec<_> = tables().filter_map(|table| table.get(name)).collect();
        if depth < DEEPEST && options.iter().all(|option| is_marked(option)) {
            marked_below(root, &options, &below(path, name), paths, depth + 1);
        }
    }
}

/// Takes out of a schema what [`refuse_unmarked`] refuses in a table. The schema has no references: types are inlined.
pub(crate) fn keep_marked(schema: &mut Json, taken: &Map<String, Json>, limits: &UntrustedLimits) {
    let Json::Object(members) = schema else { return };
    members.remove(MARK);
    for composed in ["anyOf", "oneOf", "allOf"] {
        let forms = members.get_mut(composed).and_then(Json::as_array_mut);
        forms.into_iter().flatten().for_each(|form| keep_marked(form, taken, limits));
    }
    let none = Map::new();
    if let Some(Json::Object(options)) = members.get_mut("properties") {
        options.retain(|name, option| is_marked(option) && taken.get(name).is_none_or(Json::is_object));
        for (name, option) in options.iter_mut() {
            keep_marked(option, taken.get(name).and_then(Json::as_object).unwrap_or(&none), limits);
        }
        let names: Vec<_> = options.keys().cloned().collect();
        if let Some(Json::Array(required)) = members.get_mut("required") {
            required.retain(|name| names.iter().any(|known| name == known));
        }
        members.insert("additionalProperties".to_owned(), false.into());
    } else if members.contains_key("additionalProperties") {
        members.insert("maxProperties".to_owned(), limits.sink_entries.into());
    }
    if let Some(items) = members.get_mut("items") {
        keep_marked(items, &none, limits);
        members.insert("maxItems".to_owned(), limits.sink_entries.into());
    }
}

/// The words for a name that the schema has not, as serde has them.
fn unknown(name: &str, forms: &[&Json]) -> String {
    let tables = forms.iter().filter_map(|form| form.get("properties")?.as_object());
    let marked = tables.flatten().filter(|(_, option)| is_marked(option));
    let names: Vec<String> = marked.map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => format!("unknown field `{name}`, there are no fields"),
        names => format!("unknown field `{name}`, expected one of {}", names.join(", ")),
    }
}

/// Adds the members of a table to another. Those that the other has stay, and tables in both are joined.
pub(crate) fn add(table: &mut Map<String, Json>, more: &Map<String, Json>) {
    for (name, value) in more {
        match (table.get_mut(name), value) {
            (Some(Json::Object(table)), Json::Object(more)) => add(table, more),
            (Some(_), _) => {}
            (None, value) => {
                table.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The value at a path like `tls.ca_file` or `secret[1]`.
pub(crate) fn find<'a>(value: &'a Json, path: &str) -> Option<&'a Json> {
    if path.is_empty() {
        return Some(value);
    }
    // A name may hold dots.
    let mut ends: Vec<usize> = path.match_indices(['.', '[']).map(|(at, _)| at).chain([path.len()]).collect();
    ends.retain(|end| *end > 0);
    if let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) {
        return find(value.get(index.parse::<usize>().ok()?)?, rest.strip_prefix('.').unwrap_or(rest));
    }
    ends.into_iter().find_map(|end| {
        let rest = &path[end..];
        find(value.get(&path[..end])?, rest.strip_prefix('.').unwrap_or(rest))
    })
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Bytes of all names and strings.
fn text_bytes(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(text_bytes).sum(),
        Json::Object(members) => members.iter().map(|(name, member)| name.len() + text_bytes(member)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Marks: `a`, the table `t` with `t.a`, the map `m`, the list `l` of tables with `a`, and the choice `c`, which marks
    /// `a` in one of its forms and `b` in both.
    fn schema() -> Json {
        let marked = json!({ "x-untrusted": true });
        let table = json!({ "type": "object", "properties": { "a": marked, "b": {} } });
        json!({
            "properties": {
                "a": marked,
                "b": { "type": "string" },
                "t": { "x-untrusted": true, "anyOf": [{ "$ref": "#/$defs/table" }, { "type": "null" }] },
                "u": { "$ref": "#/$defs/marked" },
                "m": { "x-untrusted": true, "additionalProperties": { "type": "string" } },
                "l": { "x-untrusted": true, "items": { "$ref": "#/$defs/table" } },
                "c": {
                    "x-untrusted": true,
                    "oneOf": [
                        { "properties": { "a": marked, "b": marked } },
                        { "properties": { "a": {}, "b": marked } },
                    ]
                },
            },
            "$defs": { "table": table, "marked": { "x-untrusted": true, "type": "string" } },
        })
    }

    /// What is left of a table, and the paths of what is wrong with it.
    fn checked(mut table: Json, fixed: Json, limits: &UntrustedLimits) -> (Json, Vec<String>) {
        let problems = refuse_unmarked(&mut table, &schema(), fixed.as_object().unwrap(), limits);
        (table, problems.into_iter().map(|problem| problem.path).collect())
    }

    fn refused(table: Json) -> Vec<String> {
        checked(table, json!({}), &UntrustedLimits::default()).1
    }

    #[test]
    fn only_what_is_marked_is_taken() {
        let table = json!({
            "a": 1, "b": 2, "t": { "a": 1, "b": 2, "x": 3 }, "u": "u", "m": { "any": "thing" }, "alias": 5,
            "l": [{ "a": 1 }, { "b": 2 }], "c": { "a": 1, "b": 2 },
        });
        let (left, paths) = checked(table, json!({}), &UntrustedLimits::default());
        assert_eq!(paths, ["alias", "b", "c.a", "l[1].b", "t.b", "t.x", "u"]);
        let taken = json!({ "a": 1, "t": { "a": 1 }, "m": { "any": "thing" }, "l": [{ "a": 1 }, {}], "c": { "b": 2 } });
        assert_eq!(left, taken);
    }

    #[test]
    fn the_schema_for_strangers_has_what_is_taken() {
        let mut table = json!({ "type": "object", "properties": { "a": { "x-untrusted": true }, "b": {} }, "required": ["a", "b"] });
        let only_a =
            json!({ "type": "object", "properties": { "a": {} }, "required": ["a"], "additionalProperties": false });
        let mut schema = json!({
            "properties": { "m": { "x-untrusted": true, "additionalProperties": {} }, "l": { "x-untrusted": true, "items": table } },
        });
        schema["properties"]["t"] = json!({ "x-untrusted": true, "anyOf": [table, { "type": "null" }] });
        let limits = UntrustedLimits::default();
        keep_marked(&mut table, &Map::new(), &limits);
        assert_eq!(table, only_a);
        let taken = json!({ "m": "", "t": { "a": 1 } });
        keep_marked(&mut schema, taken.as_object().unwrap(), &limits);
        let t = json!({ "type": "object", "properties": {}, "required": [], "additionalProperties": false });
        let expected = json!({
            "properties": { "l": { "items": only_a, "maxItems": 32 }, "t": { "anyOf": [t, { "type": "null" }] } },
            "additionalProperties": false,
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn a_null_is_refused_like_any_value() {
        assert_eq!(refused(json!({ "a": null, "b": null })), ["b"]);
    }

    #[test]
    fn a_schema_that_goes_round_in_circles_ends() {
        let schema = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }] } } });
        let (mut table, limits) = (json!({ "a": 1 }), UntrustedLimits::default());
        assert_eq!(refuse_unmarked(&mut table, &schema, &Map::new(), &limits), []);
    }

    #[test]
    fn what_the_operator_sets_is_not_for_strangers() {
        // Who set it before the operator did goes on.
        let fixed = json!({ "a": 1 });
        assert_eq!(checked(json!({ "a": 1 }), fixed, &UntrustedLimits::default()).1, [""; 0]);
        let fixed = json!({ "a": 1, "t": { "b": 2 }, "m": { "x": "" } });
        let table = json!({ "a": 2, "t": { "a": 1 }, "m": { "x": "1", "y": "" } });
        assert_eq!(checked(table, fixed, &UntrustedLimits::default()).1, ["a", "m.x"]);
    }

    #[test]
    fn entries_and_text_are_limited() {
        let limits = UntrustedLimits { sink_entries: 2, sink_bytes: crate::ByteSize::new(10), ..Default::default() };
        let (two, three) = (json!({ "1": "", "2": "" }), json!({ "1": "", "2": "", "3": "" }));
        assert_eq!(checked(json!({ "m": two, "l": [{}, {}] }), json!({}), &limits).1, [""; 0]);
        assert_eq!(checked(json!({ "m": three, "l": [{}, {}, {}] }), json!({}), &limits).1, ["l", "m"]);
        assert_eq!(checked(json!({ "a": "0123456789" }), json!({}), &limits).1, [""]);
    }

    #[test]
    fn paths_lead_to_values() {
        let value = json!({ "a": { "b.c": [1, { "d": 2 }] } });
        assert_eq!(find(&value, "a.b.c[1].d"), Some(&json!(2)));
        assert_eq!(find(&value, "a.b.c[0]"), Some(&json!(1)));
        assert_eq!((find(&value, ""), find(&value, "a.b"), find(&value, "a.b.c[2]")), (Some(&value), None, None));
    }
}
