//! How values are written into a result.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Error, ErrorKind, Output, State};
use serde::de::IgnoredAny;

use super::{marks, value};

/// The name of the escaping of JSON, which is one of our own.
const JSON: &str = "json";

/// Deepest nesting of lists and tables that a template may make.
const DEEPEST: usize = 128;

/// How what is filled into a body is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    /// As JSON, and the result has to be JSON.
    Json,
    /// As JSON, and the result has to be JSON values one behind the other.
    JsonLines,
    /// For HTML and XML.
    Html,
    /// Not at all.
    None,
}

impl Escaping {
    /// That of a media type.
    pub(super) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| essence.ends_with(end));
        if ends(&["/json", "+json"]) {
            Self::Json
        } else if ends(&["ndjson", "jsonl", "json-lines", "jsonlines"]) {
            Self::JsonLines
        } else if ends(&["/html", "/xml", "+xml"]) {
            Self::Html
        } else {
            Self::None
        }
    }

    /// As the engine knows it. Only the body's template is escaped.
    pub(super) fn of_template(self, is_body: bool) -> AutoEscape {
        match self {
            Self::Json | Self::JsonLines if is_body => AutoEscape::Custom(JSON.into()),
            Self::Html if is_body => AutoEscape::Html,
            _ => AutoEscape::None,
        }
    }

    /// A whole result as it is sent.
    ///
    /// # Errors
    /// When it is not what the media type says.
    pub(super) fn settled(self, result: String) -> Result<String, String> {
        if matches!(self, Self::Html | Self::None) {
            return Ok(result);
        }
        let json = marks::settle(&result).ok_or("its result has marks of its own")?;
        let mut values = serde_json::Deserializer::from_str(&json).into_iter::<IgnoredAny>();
        let faulty = values.by_ref().find_map(Result::err);
        let count = serde_json::Deserializer::from_str(&json).into_iter::<IgnoredAny>().count();
        match faulty {
            Some(error) => Err(format!("its result is not JSON: {error}")),
            None if count == 0 => Err("its result is empty".to_owned()),
            None if count > 1 && self == Self::Json => Err(format!("its result is not JSON, but {count} values")),
            None => Ok(json),
        }
    }
}

/// Writes the value of a `{{ … }}`.
pub(super) fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if let (true, Some(text)) = (value.is_safe(), value.as_str()) {
        return Ok(out.write_str(text)?);
    }
    match (state.auto_escape(), value.kind()) {
        (AutoEscape::Custom(_), ValueKind::String) => {
            let json = quoted(value.as_str().unwrap_or_default());
            Ok(marks::text(out, &json[1..json.len() - 1])?)
        }
        (AutoEscape::Custom(_), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) => {
            Ok(marks::json(out, &json(value)?)?)
        }
        (AutoEscape::Html, _) => escape_html(out, &plain(value)?),
        _ => Ok(out.write_str(&plain(value)?)?),
    }
}

fn escape_html(out: &mut Output, text: &str) -> Result<(), Error> {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    Ok(out.write_str(rest)?)
}

/// A value as text: a string as it is, all else as JSON.
fn plain(value: &Value) -> Result<Cow<'_, str>, Error> {
    match (value.kind(), value.as_str()) {
        (ValueKind::Undefined, _) => Ok(Cow::Borrowed("")),
        (_, Some(text)) => Ok(Cow::Borrowed(text)),
        _ => json(value).map(Cow::Owned),
    }
}

/// A value as JSON. Lists and tables of an event as they came.
pub(super) fn json(value: &Value) -> Result<String, Error> {
    let mut json = String::new();
    write_json(value, 0, &mut json)?;
    Ok(json)
}

fn write_json(value: &Value, depth: usize, json: &mut String) -> Result<(), Error> {
    let no_json = |what: &str| Error::new(ErrorKind::InvalidOperation, format!("{what} can't be written"));
    if depth > DEEPEST {
        return Err(no_json("what nests so deep"));
    }
    if let Some(raw) = value::raw(value) {
        json.push_str(raw);
        return Ok(());
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => json.push_str("null"),
        ValueKind::Bool => json.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => write!(json, "{value}")?,
        ValueKind::Number => {
            let number = f64::try_from(value.clone())?;
            let number = serde_json::Number::from_f64(number).ok_or_else(|| no_json("a number without end"))?;
            write!(json, "{number}")?;
        }
        ValueKind::String => json.push_str(&quoted(value.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => {
            json.push('[');
            for (at, item) in value.try_iter()?.enumerate() {
                separate(at, json);
                write_json(&item, depth + 1, json)?;
            }
            json.push(']');
        }
        ValueKind::Map => {
            json.push('{');
            for (at, key) in value.try_iter()?.enumerate() {
                separate(at, json);
                json.push_str(&quoted(&plain(&key)?));
                json.push(':');
                write_json(&value.get_item(&key)?, depth + 1, json)?;
            }
            json.push('}');
        }
        other => return Err(no_json(&other.to_string())),
    }
    Ok(())
}

fn separate(at: usize, json: &mut String) {
    if at > 0 {
        json.push(',');
    }
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
