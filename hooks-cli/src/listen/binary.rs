//! An event in CloudEvents' binary mode, for showing: attributes in `ce-…` headers, the data in the body.

use std::fmt::Write as _;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::request::Request;

/// The event as JSON, right or wrong; `None` where the request is not in binary mode.
pub(super) fn to_json(request: &Request) -> Option<String> {
    let Request { head, body, .. } = request;
    head.header("ce-specversion")?;
    let mut json = "{".to_owned();
    for (name, value) in head.headers() {
        let attribute = if name == "content-type" { Some("datacontenttype") } else { name.strip_prefix("ce-") };
        if let Some(attribute) = attribute {
            let _ = write!(json, "{}:{},", Json::from(attribute), Json::from(plain(value)));
        }
    }
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) if serde_json::from_str::<&RawValue>(text).is_ok() => json.extend(["\"data\":", text]),
        Ok(text) => json.extend(["\"data\":", &Json::from(text).to_string()]),
        Err(_) => json.push_str(&format!("\"data\":\"({} bytes that are no text)\"", body.len())),
    }
    Some(json.trim_end_matches(',').to_owned() + "}")
}

/// A header's value without percent-encoding.
fn plain(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
