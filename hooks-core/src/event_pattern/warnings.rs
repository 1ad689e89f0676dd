//! Parts of a sound pattern that match nothing, or are not what they seem.

use serde_json::Value as Json;

use super::EventPatternFault;
use super::alternative::{Alternative, Test};
use super::operator::{self, OPERATORS, binary64};
use super::read::OR;
use crate::pointer::push_pointer;

pub(super) fn of(json: &Json) -> Vec<EventPatternFault> {
    let mut found = Vec::new();
    whole(json, &mut found);
    object(json, "", &mut found);
    found
}

/// What seems to be written for more than an event's `data`.
fn whole(json: &Json, found: &mut Vec<EventPatternFault>) {
    let Some(members) = json.as_object() else { return };
    if let Some(name) = ["detail-type", "detail"].into_iter().find(|name| members.contains_key(*name)) {
        let message = "this is a field of `data`. A pattern of EventBridge for a whole event has it on top: its `detail` \
                       is `data` here, its `detail-type` is `types`, and its `source` is `sources`";
        warn(found, &format!("/{name}"), message);
    }
    if members.len() == 1 && members.contains_key("data") {
        let message = "this is a field `data` within the event's `data`: is one too many?";
        warn(found, "/data", message);
    }
}

/// A name that may be meant to be something else.
fn name(name: &str, value: &Json, pointer: &str, found: &mut Vec<EventPatternFault>) {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    if letters.eq_ignore_ascii_case("or") && name != OR && value.is_array() {
        warn(found, pointer, format!("this is the name of a field here; alternatives between patterns are `{OR}`"));
    }
    if let Some((above, below)) = name.split_once('.') {
        let message = format!(
            "this is one name with a dot in it; the field `{below}` of `{above}` is `{{ \"{above}\": {{ \"{below}\": … }} }}`"
        );
        warn(found, pointer, message);
    }
}

/// A text with an asterisk, which is one only for `wildcard`.
fn asterisks(json: &Json, operator: &str, pointer: &str, found: &mut Vec<EventPatternFault>) {
    match json {
        Json::String(text) if text.contains('*') && operator != "wildcard" => {
            let how = if operator.is_empty() { "this value".to_owned() } else { format!("`{operator}`") };
            let message = format!("`*` is an asterisk for {how}; for any characters: `{{ \"wildcard\": {} }}`", json);
            warn(found, pointer, message);
        }
        Json::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, json)| asterisks(json, operator, &format!("{pointer}/{index}"), found));
        }
        Json::Object(members) => members.iter().for_each(|(name, json)| {
            let mut place = pointer.to_owned();
            push_pointer(&mut place, name);
            asterisks(json, name, &place, found);
        }),
        _ => {}
    }
}

fn warn(found: &mut Vec<EventPatternFault>, pointer: &str, message: impl Into<String>) {
    found.push(EventPatternFault { pointer: pointer.to_owned(), message: message.into() });
}

fn object(json: &Json, pointer: &str, found: &mut Vec<EventPatternFault>) {
    for (name, value) in json.as_object().into_iter().flatten() {
        let mut place = pointer.to_owned();
        push_pointer(&mut place, name);
        self::name(name, value, &place, found);
        match value {
            Json::Array(groups) if name == OR => {
                for (index, group) in groups.iter().enumerate() {
                    object(group, &format!("{place}/{index}"), found);
                }
            }
            Json::Array(list) => {
                if OPERATORS.contains(&&**name) {
                    let parent = pointer.rsplit('/').next().unwrap_or_default();
                    let how = format!("`\"{parent}\": [{{ \"{name}\": … }}]`");
                    warn(
                        found,
                        &place,
                        format!("this is the name of a field here; as an operator it stands in a list: {how}"),
                    );
                }
                alternatives(list, &place, found);
            }
            _ => object(value, &place, found),
        }
    }
}

fn alternatives(list: &[Json], pointer: &str, found: &mut Vec<EventPatternFault>) {
    if list.iter().filter(|alternative| alternative.get("anything-but").is_some()).count() > 1 {
        let message =
            "one of several `anything-but` matches nearly always, and one is enough: put what they deny into one list";
        warn(found, pointer, message);
    }
    for (index, alternative) in list.iter().enumerate() {
        let place = format!("{pointer}/{index}");
        numbers(alternative, &place, found);
        asterisks(alternative, "", &place, found);
        let read = operator::alternative(alternative, &place, &mut Vec::new());
        if let Some(Alternative::Is(Test::Range(from, to))) = read
            && from > to
        {
            warn(found, &format!("{place}/numeric"), format!("matches nothing: no number is {}", bounds(alternative)));
        }
    }
}

fn bounds(alternative: &Json) -> String {
    let list = alternative.get("numeric").and_then(Json::as_array).into_iter().flatten();
    let words: Vec<_> = list.map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
    words.chunks(2).map(|bound| bound.join(" ")).collect::<Vec<_>>().join(" and ")
}

/// Integers that binary64 does not tell from others.
fn numbers(json: &Json, pointer: &str, found: &mut Vec<EventPatternFault>) {
    match json {
        Json::Number(number) => {
            let exact = number.as_i128();
            let Some(exact) = exact.filter(|exact| exact.unsigned_abs() >= 1 << 53) else { return };
            let neighbours = [exact - 1, exact + 1].map(|near| super::scalar::number(&near.to_string()));
            if neighbours.contains(&binary64(number)) {
                let message = format!(
                    "{exact} is compared as binary64, and matches numbers beside it as well: publish such numbers as strings"
                );
                warn(found, pointer, message);
            }
        }
        Json::Array(list) => {
            list.iter().enumerate().for_each(|(index, json)| numbers(json, &format!("{pointer}/{index}"), found));
        }
        Json::Object(members) => members.iter().for_each(|(name, json)| {
            let mut place = pointer.to_owned();
            push_pointer(&mut place, name);
            numbers(json, &place, found);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_meant_for_something_else_is_warned_of() {
        let warned = |json: Json| of(&json).iter().map(ToString::to_string).collect::<Vec<_>>();
        for (json, text) in [
            (
                json!({ "region": ["eu-*"] }),
                "region[0]: `*` is an asterisk for this value; for any characters: `{ \"wildcard\": \"eu-*\" }`",
            ),
            (json!({ "region": [{ "prefix": "eu-*" }] }), "region[0].prefix: `*` is an asterisk for `prefix`"),
            (
                json!({ "region": [{ "anything-but": ["x", "eu-*"] }] }),
                "region[0].anything-but[1]: `*` is an asterisk for `anything-but`",
            ),
            (
                json!({ "region": [{ "prefix": { "equals-ignore-case": "eu-*" } }] }),
                "region[0].prefix.equals-ignore-case: `*` is",
            ),
            (json!({ "data": { "region": ["eu-1"] } }), "data: this is a field `data` within the event's `data`"),
            (
                json!({ "source": ["aws.ec2"], "detail-type": ["x"], "detail": { "state": ["running"] } }),
                "detail-type: this is a field of `data`. A pattern of EventBridge",
            ),
            (
                json!({ "detail": { "state": ["running"] } }),
                "detail: this is a field of `data`. A pattern of EventBridge",
            ),
            (
                json!({ "a": { "customer.id": ["x"] } }),
                "a.customer.id: this is one name with a dot in it; the field `id` of `customer` is `{ \"customer\": { \"id\": … } }`",
            ),
            (
                json!({ "or": [{ "prefix": "x" }] }),
                "or: this is the name of a field here; alternatives between patterns are `$or`",
            ),
            (json!({ "a": { "$$or": ["x", "y"] } }), "a.$$or: this is the name of a field here"),
        ] {
            let warned = warned(json);
            assert!(warned.len() == 1 && warned[0].starts_with(text), "{text}: {warned:?}");
        }
        let fine = [
            json!({ "data": { "a": ["x"] }, "total": [1] }),
            json!({ "a": [{ "wildcard": "eu-*" }, { "anything-but": { "wildcard": ["*x", "y*"] } }] }),
            json!({ "source": ["x"], "order": ["y"], "$or": [{ "a": ["x"] }, { "b": ["y"] }] }),
        ];
        fine.into_iter().for_each(|json| assert_eq!(warned(json), [""; 0]));
    }
}
