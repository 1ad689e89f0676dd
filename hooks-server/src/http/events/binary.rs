//! Events in CloudEvents' binary mode: attributes in `ce-…` headers, the data in the body
//! (CloudEvents 1.0, HTTP protocol binding, §3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::{EnvelopeError, Slice, TenantId};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::media_type::MediaType;
use super::wording::without_place;
use crate::Settings;
use crate::field::unquote;
use crate::http::answer::{Fault, Refusal};

const PREFIX: &str = "ce-";

/// Other bindings' spelling of it, and what reads like it.
const NEARLY: &str = "ce_";

/// True if a request says that it is in binary mode.
pub(super) fn is_complete(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The first header that is an attribute, or is meant as one, as errors name it.
pub(super) fn first_attribute(headers: &HeaderMap) -> Option<&str> {
    let mut names = headers.keys().map(HeaderName::as_str);
    names.find(|name| name.starts_with(PREFIX) || name.starts_with(NEARLY)).map(shown)
}

/// As much of a header's name as an error has room for. It is ASCII.
fn shown(name: &str) -> &str {
    name.get(..64).unwrap_or(name)
}

/// The one event of a request.
///
/// # Errors
/// When there is none; headers at fault are named.
pub(super) fn decode(
    headers: &HeaderMap,
    body: &[u8],
    settings: &Settings,
    tenant: Option<&TenantId>,
) -> Result<Slice, Refusal> {
    // An event is longer than its data.
    let (bytes, limit) = (body.trim_ascii().len(), settings.max_event_bytes);
    if bytes > limit {
        return Err(Refusal::NoEvent(EnvelopeError::TooLarge { bytes, limit }.to_string()));
    }
    let json = to_json(headers, body).map_err(Refusal::NoEvent)?;
    let mut slice = settings.slice(tenant);
    slice.push_json(&json).map_err(|error| match error {
        EnvelopeError::OtherTenant { .. } => Refusal::OtherTenant(vec![of_headers(&error)], 0),
        error => Refusal::NoEvent(by_header(&error)),
    })?;
    Ok(slice.finish())
}

/// A fault of the one event, which stands in the headers.
fn of_headers(error: &EnvelopeError) -> Fault {
    Fault { index: Some(0), line: 1, column: 1, reason: by_header(error) }
}

/// The fault of the event, said of what it was made from.
fn by_header(error: &EnvelopeError) -> String {
    match error {
        EnvelopeError::Missing(name) => format!("header `ce-{name}` is missing"),
        EnvelopeError::Duplicate(name) => format!("header `ce-{name}` stands twice"),
        EnvelopeError::IllegalName(name) => {
            format!("header `ce-{name}`: the name of an attribute has lower-case letters and digits only")
        }
        EnvelopeError::Illegal { name, expected } if name == "datacontenttype" => {
            format!("header `content-type` must be {expected}")
        }
        EnvelopeError::Illegal { name, expected } => format!("header `ce-{name}` must be {expected}"),
        EnvelopeError::OtherTenant { .. } => format!("header `ce-tenant`: {error}"),
        EnvelopeError::Reserved(_) => format!("header `ce-type`: {error}"),
        EnvelopeError::TooDeep { column } => format!("the body: {}", without_place(error, *column)),
        other => other.to_string(),
    }
}

/// The event as JSON, still to be checked like any other.
///
/// # Errors
/// A value that can't be said in JSON.
fn to_json(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut json = vec![b'{'];
    for (name, value) in headers {
        let name = name.as_str();
        if let Some(attribute) = name.strip_prefix(PREFIX) {
            if matches!(attribute, "data" | "data_base64" | "datacontenttype") {
                return Err(format!("header `{name}`: the data is the body, and its type is the Content-Type"));
            }
            member(&mut json, attribute, &text(name, value)?);
        } else if name.starts_with(NEARLY) {
            return Err(format!("header `{}`: headers that are attributes begin with `{PREFIX}`", shown(name)));
        }
    }
    let media = MediaType::of(headers)?;
    if let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        member(&mut json, "datacontenttype", value);
    }
    data(&mut json, media.as_ref(), body)?;
    json.push(b'}');
    Ok(json)
}

fn data(json: &mut Vec<u8>, media: Option<&MediaType>, body: &[u8]) -> Result<(), String> {
    if body.is_empty() {
        return Ok(());
    }
    let is_utf8 = media.is_none_or(MediaType::is_utf8);
    if is_utf8 && media.is_none_or(MediaType::is_json) {
        if body.starts_with(b"\xEF\xBB\xBF") {
            return Err(format!("the body {}", EnvelopeError::ByteOrderMark));
        }
        // Nothing but one value: anything else could add attributes.
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| match media {
            Some(_) => format!("the body is not JSON: {error}"),
            None => format!("header `content-type` is missing, and the body is not JSON: {error}"),
        })?;
        name(json, "data");
        json.extend_from_slice(raw.get().as_bytes());
    } else if let (true, Ok(text)) = (is_utf8 && media.is_some_and(MediaType::is_text), std::str::from_utf8(body)) {
        member(json, "data", text);
    } else {
        member(json, "data_base64", &STANDARD.encode(body));
    }
    Ok(())
}

fn name(json: &mut Vec<u8>, name: &str) {
    if json.len() > 1 {
        json.push(b',');
    }
    json.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
    json.push(b':');
}

fn member(json: &mut Vec<u8>, key: &str, value: &str) {
    name(json, key);
    json.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
}

/// An attribute's value (§3.1.3.2): without the quotes that may be around it, and with `%` and two digits for each
/// byte that a header can't hold.
fn text(name: &str, value: &HeaderValue) -> Result<String, String> {
    let bytes = unquote(value.as_bytes()).ok_or_else(|| {
        let name = shown(name);
        format!("header `{name}` begins with a quote and is no string in quotes: send a `\"` of the value as %22")
    })?;
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).map_err(|_| format!("header `{}` is not UTF-8", shown(name)))
}

#[cfg(test)]
mod tests;
