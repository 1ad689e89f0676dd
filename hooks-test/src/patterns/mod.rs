//! Event patterns written down as plainly as possible, and random ones with events that they may match.
//!
//! An event is flattened into its values, each with the names that lead to it and its place in the arrays around it; a
//! pattern into the combinations of its `$or`. A combination matches if a value can be chosen for each field, or the field
//! be missing, so that no two chosen values are in different elements of one array.

mod making;

use std::collections::BTreeMap;
use std::net::IpAddr;

use hooks_core::serde_json::Value as Json;

pub use making::{Made, Random, event_of, pattern_for, pattern_of, text_of};

/// Half a surrogate pair, which no [`Json`] can hold, stands in events as this character. Patterns don't have it.
pub const HALF: char = '\u{e000}';

/// A number beyond binary64 stands in events as this one. Patterns don't have it.
pub const HUGE: f64 = 1e308;

/// Returns true if an event with this `data` matches.
pub fn matches(pattern: &Json, data: Option<&Json>) -> bool {
    let mut values = Vec::new();
    if let Some(data) = data {
        flatten(data, &mut Vec::new(), &BTreeMap::new(), &mut 0, &mut values);
    }
    combinations(pattern, &[]).iter().any(|fields| choose(fields, &values, &BTreeMap::new(), &mut Vec::new()))
}

type Names = Vec<String>;

/// The elements that a value is in, by the number of their array.
type Elements = BTreeMap<usize, usize>;

struct Value<'a> {
    names: Names,
    value: &'a Json,
    elements: Elements,
}

fn flatten<'a>(
    json: &'a Json,
    names: &mut Names,
    elements: &Elements,
    arrays: &mut usize,
    values: &mut Vec<Value<'a>>,
) {
    match json {
        Json::Object(members) => {
            for (name, value) in members {
                names.push(name.clone());
                flatten(value, names, elements, arrays, values);
                names.pop();
            }
        }
        Json::Array(list) => {
            *arrays += 1;
            let array = *arrays;
            for (index, json) in list.iter().enumerate() {
                let mut within = elements.clone();
                if json.is_object() || json.is_array() {
                    within.insert(array, index);
                }
                flatten(json, names, &within, arrays, values);
            }
        }
        // `data` itself is no field.
        _ if names.is_empty() => {}
        value => values.push(Value { names: names.clone(), value, elements: elements.clone() }),
    }
}

type Field<'a> = (Names, &'a Vec<Json>);

fn combinations<'a>(pattern: &'a Json, above: &[String]) -> Vec<Vec<Field<'a>>> {
    let mut all = vec![Vec::new()];
    for (name, value) in pattern.as_object().unwrap() {
        let below = || [above, std::slice::from_ref(name)].concat();
        let groups: Vec<Vec<Field<'a>>> = match value {
            Json::Array(groups) if name == "$or" => {
                groups.iter().flat_map(|group| combinations(group, above)).collect()
            }
            Json::Array(list) => vec![vec![(below(), list)]],
            object => combinations(object, &below()),
        };
        all = all.iter().flat_map(|one| groups.iter().map(|group| [&one[..], group].concat())).collect();
    }
    all
}

fn choose(fields: &[Field<'_>], values: &[Value<'_>], chosen: &Elements, missing: &mut Vec<Names>) -> bool {
    let Some(((names, alternatives), rest)) = fields.split_first() else {
        let is_there = |value: &Value<'_>| missing.contains(&value.names) && agree(chosen, &value.elements);
        return !values.iter().any(is_there);
    };
    for value in values.iter().filter(|value| value.names == *names && agree(chosen, &value.elements)) {
        if alternatives.iter().any(|alternative| is(alternative, value.value)) {
            let with = chosen.iter().chain(&value.elements).map(|(array, index)| (*array, *index)).collect();
            if choose(rest, values, &with, missing) {
                return true;
            }
        }
    }
    if !alternatives.iter().any(|alternative| alternative.get("exists") == Some(&Json::Bool(false))) {
        return false;
    }
    missing.push(names.clone());
    let found = choose(rest, values, chosen, missing);
    missing.pop();
    found
}

/// True if no array has both in different elements.
fn agree(a: &Elements, b: &Elements) -> bool {
    a.iter().all(|(array, index)| b.get(array).is_none_or(|other| other == index))
}

fn is(alternative: &Json, value: &Json) -> bool {
    let Json::Object(operator) = alternative else { return equals(alternative, value) };
    let (name, operand) = operator.iter().next().unwrap();
    match (&**name, value) {
        ("exists", _) => *operand == Json::Bool(true),
        ("anything-but", _) => {
            let list = |json: &Json| json.as_array().cloned().unwrap_or_else(|| vec![json.clone()]);
            match operand.as_object().and_then(|operator| operator.iter().next()) {
                Some((name, texts)) => !list(texts).iter().any(|text| value.is_string() && compares(name, text, value)),
                None => !list(operand).iter().any(|denied| equals(denied, value)),
            }
        }
        ("numeric", Json::Number(number)) => {
            let number = number.as_f64().unwrap();
            operand.as_array().unwrap().chunks(2).all(|bound| {
                let limit = bound[1].as_f64().unwrap();
                match bound[0].as_str().unwrap() {
                    "=" => number == limit,
                    "<" => number < limit,
                    "<=" => number <= limit,
                    ">" => number > limit,
                    _ => number >= limit,
                }
            })
        }
        ("cidr", Json::String(text)) => text.parse().is_ok_and(|address| is_in(address, operand.as_str().unwrap())),
        (name, Json::String(_)) => compares(name, operand, value),
        _ => false,
    }
}

fn equals(own: &Json, value: &Json) -> bool {
    match (own, value) {
        (Json::Number(own), Json::Number(value)) => own.as_f64() == value.as_f64(),
        _ => own == value,
    }
}

fn compares(operator: &str, operand: &Json, value: &Json) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    let value = value.as_str().unwrap();
    if let Some(text) = operand.get("equals-ignore-case").and_then(Json::as_str) {
        return if operator == "prefix" {
            lower(value).starts_with(&lower(text))
        } else {
            lower(value).ends_with(&lower(text))
        };
    }
    let text = operand.as_str().unwrap_or_default();
    match operator {
        "prefix" => value.starts_with(text),
        "suffix" => value.ends_with(text),
        "equals-ignore-case" => lower(value) == lower(text),
        "wildcard" => wildcard(&text.chars().collect::<Vec<_>>(), &value.chars().collect::<Vec<_>>()),
        _ => false,
    }
}

fn wildcard(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|taken| wildcard(rest, &text[taken..])),
        ['\\', char, rest @ ..] | [char, rest @ ..] => text.first() == Some(char) && wildcard(rest, &text[1..]),
    }
}

fn is_in(address: IpAddr, network: &str) -> bool {
    let (own, bits) = network.split_once('/').unwrap();
    let binary = |address: IpAddr| match address {
        IpAddr::V4(address) => format!("4{:032b}", u32::from(address)),
        IpAddr::V6(address) => format!("6{:0128b}", u128::from(address)),
    };
    let count = 1 + bits.parse::<usize>().unwrap();
    binary(address)[..count] == binary(own.parse().unwrap())[..count]
}
