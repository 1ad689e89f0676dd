//! The filters that templates have beside those of the engine.

use jiff::Timestamp;
use minijinja::filters;
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};

use super::{format, marks};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("unix", unix);
    environment.add_filter("unix_nanos", unix_nanos);
    let of_texts = [
        ("string", Value::from_function(filters::string)),
        ("upper", Value::from_function(filters::upper)),
        ("lower", Value::from_function(filters::lower)),
        ("title", Value::from_function(filters::title)),
        ("capitalize", Value::from_function(filters::capitalize)),
        ("trim", Value::from_function(filters::trim)),
        ("replace", Value::from_function(filters::replace)),
        ("indent", Value::from_function(filters::indent)),
        ("escape", Value::from_function(filters::escape)),
        ("e", Value::from_function(filters::escape)),
        ("format", Value::from_function(filters::format)),
    ];
    for (name, filter) in of_texts {
        environment.add_filter(name, move |state: &mut State, arguments: Rest<Value>| {
            let texts = arguments.iter().map(as_text).collect::<Result<Vec<_>, _>>()?;
            filter.call(state, &texts)
        });
    }
    let join = Value::from_function(filters::join);
    environment.add_filter("join", move |state: &mut State, list: Value, how: Rest<Value>| {
        let is_list = matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable);
        let list = if is_list { list.try_iter()?.map(|item| as_text(&item)).collect::<Result<_, _>>()? } else { list };
        join.call(state, &[&[list], &how[..]].concat())
    });
}

/// What the engine would write in a way of its own, as JSON: `null`, not `None`.
fn as_text(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool => format::json(value).map(Value::from),
        _ => Ok(value.clone()),
    }
}

/// A value as JSON: in a JSON body what it would be without this, but for a text, which has its quotes in it.
fn to_json(state: &State, value: &Value) -> Result<Value, Error> {
    let json = format::json(value)?;
    if !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        return Ok(Value::from(json));
    }
    let mut marked = String::with_capacity(json.len() + 8);
    marks::json(&mut marked, &json)?;
    Ok(Value::from_safe_string(marked))
}

/// An RFC 3339 time as seconds since 1970.
fn unix(time: &str) -> Result<Value, Error> {
    let time = parsed(time)?;
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    Ok(if nanos == 0 { Value::from(seconds) } else { Value::from(time.as_nanosecond() as f64 / 1e9) })
}

/// The same in nanoseconds, exact.
fn unix_nanos(time: &str) -> Result<Value, Error> {
    let nanos = parsed(time)?.as_nanosecond();
    Ok(i64::try_from(nanos).map_or_else(|_| Value::from(nanos), Value::from))
}

fn parsed(time: &str) -> Result<Timestamp, Error> {
    let wrong = |error| Error::new(ErrorKind::InvalidOperation, format!("no time like 2026-11-23T10:00:00Z: {error}"));
    time.parse().map_err(wrong)
}
