//! Schemas as clients need them.

use hooks_core::settings::summary;
use serde_json::{Map, Value as Json, json};

/// A hook's name. One that is made is none that clients take out of a URL: `.` and `..`.
pub(in crate::admin) fn hook_id(is_made: bool) -> Json {
    let pattern = if is_made { "^(\\.{3,}|\\.*[A-Za-z0-9_-][A-Za-z0-9_.-]*)$" } else { "^[A-Za-z0-9_.-]+$" };
    json!({ "type": "string", "pattern": pattern, "minLength": 1, "maxLength": 64, "examples": ["orders"] })
}

/// A position in the log, or another number that counts on from 0.
pub(in crate::admin) fn position() -> Json {
    json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
}

/// The schema of a merge patch (RFC 7396): nothing has to be there, and `null` removes what need not.
pub(super) fn patch_of(mut schema: Json) -> Json {
    let Json::Object(members) = &mut schema else { return schema };
    let needed = members.remove("required").unwrap_or_default();
    // What is left out stays as it is.
    members.remove("default");
    // Without what has to be there several may fit.
    if let Some(forms) = members.remove("oneOf") {
        members.insert("anyOf".to_owned(), forms);
    }
    if let Some(Json::Array(forms)) = members.get_mut("anyOf") {
        forms.iter_mut().for_each(|form| *form = patch_of(form.take()));
    }
    for place in ["properties", "additionalProperties"] {
        match (place, members.get_mut(place)) {
            ("properties", Some(Json::Object(options))) => {
                for (name, option) in options {
                    let patch = patch_of(option.take());
                    let is_needed = needed.as_array().is_some_and(|needed| needed.iter().any(|needed| needed == name));
                    *option = if is_needed { patch } else { nullable(patch) };
                }
            }
            (_, Some(option @ Json::Object(_))) => *option = nullable(patch_of(option.take())),
            _ => {}
        }
    }
    schema
}

fn nullable(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Writes for clients what was written for those who read code, and takes out what is about Rust.
pub(super) fn polish(schema: &mut Json) {
    match schema {
        Json::Object(members) => {
            if let Some(Json::String(text)) = members.get_mut("description") {
                *text = without_links(&summary(text));
            }
            if let Some(pattern) = members.remove("x-pattern") {
                members.entry("pattern").or_insert(pattern);
            }
            polish_number(members);
            members
                .iter_mut()
                .filter(|(name, _)| !VALUES.contains(&name.as_str()))
                .for_each(|(_, member)| polish(member));
        }
        Json::Array(items) => items.iter_mut().for_each(polish),
        _ => {}
    }
}

/// The words in a schema behind which stand values, and no schemas.
const VALUES: [&str; 4] = ["const", "default", "enum", "examples"];

fn polish_number(members: &mut Map<String, Json>) {
    let greatest = match members.get("format").and_then(Json::as_str) {
        Some("uint8" | "uint16") => None,
        Some("uint32") => Some(u64::from(u32::MAX)),
        Some("uint" | "uint64") => Some(u64::MAX),
        _ => return,
    };
    members.remove("format");
    if let Some(greatest) = greatest {
        members.entry("maximum").or_insert(greatest.into());
    }
}

/// Without the links of code: what links to a type by a name in brackets has the name.
fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, after)) = after.split_once("`]") else { break };
        plain.push_str(before);
        plain.push_str(&format!("`{name}`"));
        rest = after.strip_prefix('(').and_then(|link| link.split_once(')')).map_or(after, |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_code_are_names() {
        assert_eq!(without_links("a [`Bus`](crate::Bus), or a [`Sink`] (x) [y]"), "a `Bus`, or a `Sink` (x) [y]");
        assert_eq!(without_links("[`a"), "[`a");
    }

    #[test]
    fn a_patch_may_leave_out_everything_and_remove_what_need_not_be_there() {
        let schema = json!({
            "properties": { "a": { "type": "string" }, "t": { "properties": { "b": {}, "c": {} }, "required": ["b"] } },
            "required": ["a"],
        });
        let nothing = json!({ "type": "null" });
        let table = json!({ "properties": { "b": {}, "c": { "anyOf": [{}, nothing] } } });
        let expected = json!({
            "properties": { "a": { "type": "string" }, "t": { "anyOf": [table, nothing] } },
        });
        assert_eq!(patch_of(schema), expected);
    }
}
