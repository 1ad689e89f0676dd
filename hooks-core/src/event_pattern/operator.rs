//! Reading one alternative of a field: a value, or an operator.

use serde_json::{Map, Value as Json};

use super::EventPatternFault;
use super::alternative::{Alternative, Network, Test, Wildcard};
use super::read::describe;
use super::scalar::Number;
use crate::names::nearest;

/// The names of the operators.
pub(super) const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr"];

/// Those whose opposite `anything-but` may ask for.
const DENIABLE: [&str; 4] = ["prefix", "suffix", "equals-ignore-case", "wildcard"];

/// What is wrong, and where below the alternative.
struct Wrong(String, String);

type Read<T> = Result<T, Wrong>;

/// Reads an alternative that stands at this place. `None`: something is wrong with it.
pub(super) fn alternative(json: &Json, pointer: &str, faults: &mut Vec<EventPatternFault>) -> Option<Alternative> {
    let read = match json {
        Json::Object(operator) => operation(operator),
        Json::Array(_) => Err(wrong("a list within a list: write each alternative by itself")),
        _ => Ok(Alternative::Is(value(json))),
    };
    let fault = |Wrong(below, message)| EventPatternFault { pointer: format!("{pointer}{below}"), message };
    read.map_err(|wrong| faults.push(fault(wrong))).ok()
}

/// A value to be equal to.
fn value(json: &Json) -> Test {
    match json {
        Json::Bool(value) => Test::Bool(*value),
        Json::Number(number) => Test::Number(binary64(number)),
        Json::String(text) => Test::Text((**text).into()),
        _ => Test::Null,
    }
}

pub(super) fn binary64(number: &serde_json::Number) -> Number {
    Number::new(number.as_f64().unwrap_or(f64::INFINITY))
}

fn operation(operator: &Map<String, Json>) -> Read<Alternative> {
    let mut members = operator.iter();
    let (Some((name, operand)), None) = (members.next(), members.next()) else {
        let names = listed(&OPERATORS);
        let message = match operator.len() {
            0 => format!("expected an operator: one of {names}"),
            _ => "one object holds one operator: write each in an object of its own, and the field matches if one of them does".to_owned(),
        };
        return Err(wrong(message));
    };
    let below = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let read = match &**name {
        "anything-but" => anything_but(operand).map(|tests| Alternative::IsNot(tests.into())),
        "exists" => match operand {
            Json::Bool(true) => Ok(Alternative::Exists),
            Json::Bool(false) => Ok(Alternative::IsMissing),
            other => Err(expected("true or false", other)),
        },
        "numeric" => numeric(operand).map(Alternative::Is),
        "cidr" => cidr(operand).map(Alternative::Is),
        "prefix" | "suffix" if operand.is_object() => ignoring_case(name, operand).map(Alternative::Is),
        name if DENIABLE.contains(&name) => string(operand).and_then(|text| text_test(name, text)).map(Alternative::Is),
        _ => return Err(Wrong(below, unknown(name))),
    };
    read.map_err(|Wrong(deeper, message)| Wrong(below + &deeper, message))
}

fn unknown(name: &str) -> String {
    match nearest(name, OPERATORS) {
        Some(near) => format!("unknown operator `{name}`, did you mean `{near}`?"),
        None => format!("unknown operator `{name}`; known: {}", listed(&OPERATORS)),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn wrong(message: impl Into<String>) -> Wrong {
    Wrong(String::new(), message.into())
}

fn expected(what: &str, found: &Json) -> Wrong {
    wrong(format!("expected {what}, found {}", describe(found)))
}

fn string(json: &Json) -> Read<&str> {
    json.as_str().ok_or_else(|| expected("a string", json))
}

/// An operator that compares a text.
fn text_test(operator: &str, text: &str) -> Read<Test> {
    Ok(match operator {
        "prefix" => Test::Prefix(text.into()),
        "suffix" => Test::Suffix(text.into()),
        "equals-ignore-case" => Test::IgnoreCase(lowered(text)),
        _ => Test::Wildcard(Wildcard::parse(text).map_err(wrong)?),
    })
}

fn lowered(text: &str) -> Box<str> {
    text.chars().flat_map(char::to_lowercase).collect::<String>().into()
}

/// `{ "prefix": { "equals-ignore-case": … } }`
fn ignoring_case(operator: &str, operand: &Json) -> Read<Test> {
    let text = match operand.as_object().map(|object| (object.len(), object.get("equals-ignore-case"))) {
        Some((1, Some(text))) => {
            string(text).map_err(|Wrong(_, message)| Wrong("/equals-ignore-case".to_owned(), message))?
        }
        _ => return Err(expected("a string, or `{ \"equals-ignore-case\": \"…\" }`", operand)),
    };
    let text = lowered(text);
    Ok(if operator == "prefix" { Test::PrefixIgnoreCase(text) } else { Test::SuffixIgnoreCase(text) })
}

fn anything_but(operand: &Json) -> Read<Vec<Test>> {
    match operand {
        Json::String(_) | Json::Number(_) => Ok(vec![value(operand)]),
        Json::Array(list) => {
            let is_one_kind = list.iter().all(Json::is_string) || list.iter().all(Json::is_number);
            if list.is_empty() || !is_one_kind {
                return Err(expected("a list of strings alone, or of numbers alone", operand));
            }
            Ok(list.iter().map(value).collect())
        }
        Json::Object(operator) => denied(operator),
        _ => Err(expected("a string, a number, a list of either, or an operator", operand)),
    }
}

/// `{ "anything-but": { "prefix": … } }`: a text or a list of texts.
fn denied(operator: &Map<String, Json>) -> Read<Vec<Test>> {
    let mut members = operator.iter();
    let (Some((name, operand)), None) = (members.next(), members.next()) else {
        return Err(wrong(format!("expected one operator: {}", listed(&DENIABLE))));
    };
    if !DENIABLE.contains(&&**name) {
        return Err(wrong(format!("`{name}` has no opposite here; known: {}", listed(&DENIABLE))));
    }
    let texts = match operand {
        Json::Array(list) => &list[..],
        _ => std::slice::from_ref(operand),
    };
    if texts.is_empty() {
        return Err(Wrong(format!("/{name}"), "an empty list denies nothing: write `{ \"exists\": true }`".to_owned()));
    }
    let read = |(index, json): (usize, &Json)| {
        let test = string(json).and_then(|text| match (&**name, text) {
            ("prefix" | "suffix", "") => Err(wrong("every string begins and ends so: nothing would match")),
            _ => text_test(name, text),
        });
        let entry = if operand.is_array() { format!("/{index}") } else { String::new() };
        test.map_err(|Wrong(_, message)| Wrong(format!("/{name}{entry}"), message))
    };
    texts.iter().enumerate().map(read).collect()
}

/// `[">", 0, "<=", 5]`
fn numeric(operand: &Json) -> Read<Test> {
    let how = "`[\">\", 0, \"<=\", 5]`: a comparison (`=`, `<`, `<=`, `>`, `>=`) and its number, or a lower bound and then an upper one";
    let Json::Array(list) = operand else { return Err(expected(how, operand)) };
    let bound = |at: usize| {
        let (sign, number) = (list.get(at)?.as_str()?, list.get(at + 1)?);
        Some((sign, binary64(number.as_number()?)))
    };
    // Behind the last number there is none.
    let (high, low) = (
        |number: Number| number.below().unwrap_or(Number::MIN),
        |number: Number| number.above().unwrap_or(Number::MAX),
    );
    let range = match (list.len(), bound(0), bound(2)) {
        (2, Some(("=", number)), None) => return Ok(Test::Number(number)),
        (2, Some(("<", number)), None) => (Number::MIN, high(number)),
        (2, Some(("<=", number)), None) => (Number::MIN, number),
        (2, Some((">", number)), None) => (low(number), Number::MAX),
        (2, Some((">=", number)), None) => (number, Number::MAX),
        (4, Some((from @ (">" | ">="), first)), Some((to @ ("<" | "<="), last))) => {
            (if from == ">" { low(first) } else { first }, if to == "<" { high(last) } else { last })
        }
        _ => return Err(wrong(format!("expected {how}"))),
    };
    Ok(Test::Range(range.0, range.1))
}

fn cidr(operand: &Json) -> Read<Test> {
    let text = string(operand)?;
    Network::parse(text)
        .map(Test::Cidr)
        .ok_or_else(|| wrong(format!("`{text}` is no network: write `10.0.0.0/24` or `2001:db8::/32`")))
}
