//! CloudEvents' binary mode (CloudEvents 1.0, HTTP protocol binding, §3.1): the body is the data, and each attribute a
//! header.

use bytes::BytesMut;
use hooks_core::sink::Batch;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::data::{Data, string};
use super::{Content, Unfit};

/// What the names of all attributes' headers begin with.
pub(crate) const PREFIX: &str = "ce-";

/// Names longer than this are no headers for the HTTP types, nor for any receiver.
const LONGEST_NAME: usize = 1024;

/// The same in every request: there is but one version.
pub(crate) const SPECVERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("ce-specversion"), HeaderValue::from_static("1.0"));
// Known when compiled: to read and check a name takes longer than to send it.
const ID: HeaderName = HeaderName::from_static("ce-id");
const SOURCE: HeaderName = HeaderName::from_static("ce-source");
const TYPE: HeaderName = HeaderName::from_static("ce-type");
const TIME: HeaderName = HeaderName::from_static("ce-time");
const SUBJECT: HeaderName = HeaderName::from_static("ce-subject");
const DATASCHEMA: HeaderName = HeaderName::from_static("ce-dataschema");
const TRACEPARENT: HeaderName = HeaderName::from_static("ce-traceparent");

/// Headers of one event, as many as most have.
const HEADERS: usize = 12;

/// The one event, taken apart: without its [version](SPECVERSION).
pub(super) fn content(batch: &Batch) -> Result<Content, Unfit> {
    let Some(event) = batch.events().next() else { return Ok(Content::default()) };
    let mut data = Data::default();
    let mut headers = Vec::with_capacity(HEADERS);
    // All values stand in one piece of memory, unless they are long.
    let mut values = BytesMut::with_capacity(256);
    for (name, raw) in batch.members(event) {
        if !data.takes(name, raw) && raw != "null" && name != "specversion" {
            headers.push((header(name)?, value(name, raw, &mut values)?));
        }
    }
    data.content(headers)
}

/// True if these are the headers of an event with a trace of its own.
pub(crate) fn is_traced(headers: &HeaderMap) -> bool {
    headers.contains_key(TRACEPARENT)
}

fn header(attribute: &str) -> Result<HeaderName, Unfit> {
    Ok(match attribute {
        "id" => ID,
        "source" => SOURCE,
        "type" => TYPE,
        "time" => TIME,
        "subject" => SUBJECT,
        "dataschema" => DATASCHEMA,
        other => {
            let name = if other.len() <= LONGEST_NAME { format!("{PREFIX}{other}") } else { String::new() };
            let unfit = |_| Unfit("the name of an attribute is too long for a header".to_owned());
            return HeaderName::try_from(name).map_err(unfit);
        }
    })
}

/// The raw JSON value of an attribute as a header's. `memory` is for its bytes.
fn value(name: &str, raw: &str, memory: &mut BytesMut) -> Result<HeaderValue, Unfit> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw).as_bytes();
    // Most are as they will be sent. To look at each byte takes less than to ask at each whether to go on.
    if inner.iter().fold(true, |plain, byte| plain & AS_IT_IS[usize::from(*byte)]) {
        memory.extend_from_slice(inner);
    } else {
        encode(&string(name, raw)?, memory);
    }
    HeaderValue::from_maybe_shared(memory.split().freeze()).map_err(|error| Unfit(error.to_string()))
}

/// The bytes of a raw JSON value that stand for themselves in a header's: visible ASCII without `"`, `%` and `\`.
const AS_IT_IS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = byte != b'"' && byte != b'%' && byte != b'\\';
        byte += 1;
    }
    table
};

/// Writes a text as a header's value: what does not stand for itself as `%` and two digits for each byte.
fn encode(text: &str, value: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if AS_IT_IS[usize::from(byte)] || byte == b'\\' {
            value.extend_from_slice(&[byte]);
        } else {
            value.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
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
        let raw = serde_json::to_string(text).unwrap();
        let value = value("x", &raw, &mut BytesMut::new()).unwrap();
        value.to_str().unwrap().to_owned()
    }

    /// The examples of the specification (§3.1.3.2), and its rules.
    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(encoded("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encoded("100% \"sure\"\u{7f}"), "100%25%20%22sure%22%7F");
        let visible: String = ('!'..='~').filter(|char| !matches!(char, '"' | '%')).collect();
        assert_eq!(encoded(&visible), visible);
        assert_eq!(encoded(r"a\b"), r"a\b");
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
