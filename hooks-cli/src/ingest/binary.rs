//! Events in CloudEvents' binary mode: attributes in `ce-…` headers, the data in the body
//! (CloudEvents 1.0, HTTP protocol binding, §3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::value::RawValue;

use super::format::MediaType;

const PREFIX: &str = "ce-";

/// Whether a request is in binary mode.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The event as JSON, still to be checked like any other.
///
/// # Errors
/// What can't be said in JSON.
pub(super) fn to_json(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut json = vec![b'{'];
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(PREFIX) {
            if name == "datacontenttype" || name.starts_with("data") && name != "dataschema" {
                return Err(format!("header `ce-{name}`: data and its type are the body and its Content-Type"));
            }
            member(&mut json, name, &text(name, value)?);
        }
    }
    if let Some(value) = headers.get(CONTENT_TYPE) {
        member(&mut json, "datacontenttype", &text("content-type", value)?);
    }
    data(&mut json, headers.get(CONTENT_TYPE).and_then(MediaType::of), body)?;
    json.push(b'}');
    Ok(json)
}

fn data(json: &mut Vec<u8>, media: Option<MediaType>, body: &[u8]) -> Result<(), String> {
    if body.is_empty() {
        return Ok(());
    }
    let is_json = media.as_ref().is_none_or(MediaType::is_json);
    let plain = media.is_some_and(|media| media.essence.starts_with("text/") && media.is_utf8());
    if is_json {
        // Nothing but one value: anything else could add attributes.
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
        name(json, "data");
        json.extend_from_slice(raw.get().as_bytes());
    } else if let (true, Ok(text)) = (plain, std::str::from_utf8(body)) {
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

/// A header's value, with `%` and two digits for each byte that a header can't hold.
fn text(name: &str, value: &HeaderValue) -> Result<String, String> {
    let bytes = value.as_bytes();
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
    String::from_utf8(plain).map_err(|_| format!("header `{name}` is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(headers: &[(&'static str, &'static str)], body: &[u8]) -> Result<String, String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        to_json(&headers, body).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn headers_become_attributes_and_the_body_data() {
        let headers = [("ce-type", "a"), ("ce-subject", "Euro%20%E2%82%AC%20\"x\" 100%"), ("host", "x")];
        let with = |media| [headers.as_slice(), &[("content-type", media)]].concat();
        assert_eq!(json(&headers, b"").unwrap(), r#"{"type":"a","subject":"Euro € \"x\" 100%"}"#);
        assert_eq!(
            json(&with("application/json"), b" {\"n\": 1.0} ").unwrap(),
            r#"{"type":"a","subject":"Euro € \"x\" 100%","datacontenttype":"application/json","data":{"n": 1.0}}"#
        );
        assert!(json(&with("text/plain"), b"hi").unwrap().ends_with(r#","data":"hi"}"#));
        assert!(json(&with("image/png"), &[0, 255]).unwrap().ends_with(r#","data_base64":"AP8="}"#));
        assert!(json(&with("text/plain"), &[0, 255]).unwrap().ends_with(r#","data_base64":"AP8="}"#));
    }

    #[test]
    fn a_body_can_not_add_attributes() {
        let error = json(&[("content-type", "application/json")], br#"1,"type":"b""#).unwrap_err();
        assert!(error.starts_with("the body is not JSON: "), "{error}");
        assert!(json(&[("ce-data", "1")], b"").is_err());
        assert!(json(&[("ce-type", "%FF")], b"").unwrap_err().contains("not UTF-8"));
    }
}
