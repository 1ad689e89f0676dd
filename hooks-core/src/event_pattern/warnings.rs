//! Parts of a sound pattern that match nothing, or are not what they seem.

use serde_json::Value as Json;

use super::EventPatternFault;
use super::alternative::{Alternative, Test};
use super::operator::{self, OPERATORS, binary64};
use super::read::OR;
use crate::pointer::push_pointer;

pub(super) fn of(json: &Json) -> Vec<EventPatternFault> {
    let mut found = Vec::new();
    object(json, "", &mut found);
    found
}

fn warn(found: &mut Vec<EventPatternFault>, pointer: &str, message: impl Into<String>) {
    found.push(EventPatternFault { pointer: pointer.to_owned(), message: message.into() });
}

fn object(json: &Json, pointer: &str, found: &mut Vec<EventPatternFault>) {
    for (name, value) in json.as_object().into_iter().flatten() {
        let mut place = pointer.to_owned();
        push_pointer(&mut place, name);
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
