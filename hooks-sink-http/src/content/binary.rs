//! CloudEvents' binary mode (CloudEvents 1.0, HTTP protocol binding, §3.1): the body is the data, and each attribute a
//! header.

use std::ops::Range;

use bytes::Bytes;
use hooks_core::sink::Batch;
use http::{HeaderName, HeaderValue};

use super::data::{Data, string};
use super::{Content, Unfit};

/// What the names of all attributes' headers begin with.
pub(crate) const PREFIX: &str = "ce-";

/// Names longer than this are no headers for the HTTP types, nor for any receiver.
const LONGEST_NAME: usize = 1024;

/// The one event, taken apart.
pub(super) fn content(batch: &Batch) -> Result<Content, Unfit> {
    let Some(event) = batch.events().next() else { return Ok(Content::default()) };
    let mut data = Data::default();
    let mut attributes: Vec<(HeaderName, Range<usize>)> = Vec::with_capacity(10);
    // All values stand in one piece of memory.
    let mut values = Vec::with_capacity(256);
    for (name, value) in batch.members(event) {
        if data.takes(name, value) || value == "null" {
            continue;
        }
        let start = values.len();
        encode(&string(name, value)?, &mut values);
        attributes.push((header(name)?, start..values.len()));
    }
    let mut content = data.content()?;
    let values = Bytes::from(values);
    content.headers.reserve(attributes.len());
    for (name, span) in attributes {
        let value = HeaderValue::from_maybe_shared(values.slice(span));
        content.headers.push((name, value.map_err(|error| Unfit(error.to_string()))?));
    }
    Ok(content)
}

fn header(attribute: &str) -> Result<HeaderName, Unfit> {
    Ok(HeaderName::from_static(match attribute {
        "specversion" => "ce-specversion",
        "id" => "ce-id",
        "source" => "ce-source",
        "type" => "ce-type",
        "time" => "ce-time",
        "subject" => "ce-subject",
        "dataschema" => "ce-dataschema",
        other => {
            let name = if other.len() <= LONGEST_NAME { format!("{PREFIX}{other}") } else { String::new() };
            let unfit = |_| Unfit("the name of an attribute is too long for a header".to_owned());
            return HeaderName::try_from(name).map_err(unfit);
        }
    }))
}

/// Writes a text as a header's value: what is no visible ASCII, and `"` and `%`, as `%` and two digits for each byte.
fn encode(text: &str, value: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !matches!(byte, b'!' | b'#' | b'$' | b'&'..=b'~')) {
        let byte = rest[at];
        value.extend_from_slice(&rest[..at]);
        value.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        rest = &rest[at + 1..];
    }
    value.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooks_core::Envelope;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn sent(json: &str) -> (BTreeMap<String, String>, Bytes) {
        let batch = Batch::for_test([Envelope::from_json(json.as_bytes()).unwrap()]);
        let Content { body, headers } = content(&batch).unwrap();
        let named = headers.into_iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (named.collect(), body)
    }

    fn encoded(text: &str) -> String {
        let mut value = Vec::new();
        encode(text, &mut value);
        String::from_utf8(value).unwrap()
    }

    /// The examples of the specification (§3.1.3.2), and its rules.
    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(encoded("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encoded("100% \"sure\"\u{7f}"), "100%25%20%22sure%22%7F");
        let visible: String = ('!'..='~').filter(|char| !matches!(char, '"' | '%')).collect();
        assert_eq!(encoded(&visible), visible);
    }

    #[test]
    fn attributes_are_headers_and_the_data_is_the_body() {
        let (headers, body) = sent(
            r#"{"specversion":"1.0","id":"a b","source":"/s","type":"t.\u00e9","time":"2026-11-23T10:00:00Z","subject":null,
                "datacontenttype":"application/json","dataschema":"https://x/y","data": {"n": 1.0},"n":-7,"yes":true,"empty":""}"#,
        );
        let expected = [
            ("ce-dataschema", "https://x/y"),
            ("ce-empty", ""),
            ("ce-id", "a%20b"),
            ("ce-n", "-7"),
            ("ce-source", "/s"),
            ("ce-specversion", "1.0"),
            ("ce-time", "2026-11-23T10:00:00Z"),
            ("ce-type", "t.%C3%A9"),
            ("ce-yes", "true"),
            ("content-type", "application/json"),
        ];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, expected);
        assert_eq!(body, r#"{"n": 1.0}"#);
    }

    #[test]
    fn a_name_that_no_header_can_have_is_the_events_fault() {
        let json = format!(r#"{{"type":"t","{}":1}}"#, "x".repeat(70_000));
        let batch = Batch::for_test([Envelope::from_json(json.as_bytes()).unwrap()]);
        assert!(content(&batch).unwrap_err().0.contains("too long"));
    }

    fn decoded(value: &str) -> String {
        let bytes = value.as_bytes();
        let (mut plain, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            if bytes[at] == b'%' {
                plain.push(u8::from_str_radix(&value[at + 1..at + 3], 16).unwrap());
                at += 3;
            } else {
                plain.push(bytes[at]);
                at += 1;
            }
        }
        String::from_utf8(plain).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(text in any::<String>()) {
            let value = encoded(&text);
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'));
            prop_assert_eq!(decoded(&value), text);
        }
    }
}
