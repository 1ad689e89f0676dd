//! The filters that templates have beside those of the engine.

use jiff::Timestamp;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};

use super::{format, marks};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("tojson", to_json);
    environment.add_filter("unix", unix);
    environment.add_filter("unix_nanos", unix_nanos);
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
