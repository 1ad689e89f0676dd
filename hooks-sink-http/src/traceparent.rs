//! W3C Trace Context: `traceparent: 00-<trace id>-<span id>-<flags>`.

use std::borrow::Cow;

use http::HeaderValue;
use ring::digest;
use serde::Deserialize;

/// The trace context of an event.
#[derive(Debug, Default, Deserialize)]
struct Traced<'a> {
    #[serde(borrow)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tracestate: Option<Cow<'a, str>>,
}

/// The headers `traceparent` and `tracestate` of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) parent: HeaderValue,
    pub(crate) state: Option<HeaderValue>,
}

impl TraceContext {
    /// Continues the trace of this event (its JSON), if it has one, with this span.
    pub(crate) fn of_event(event: &str, span: u64) -> Option<Self> {
        if !event.contains("\"traceparent\"") {
            return None;
        }
        let Traced { traceparent, tracestate } = serde_json::from_str(event).ok()?;
        let (trace, flags) = parse(&traceparent?)?;
        let state = tracestate.and_then(|state| HeaderValue::from_str(&state).ok());
        Some(Self { parent: parent(&trace, span, flags), state })
    }

    /// The trace of a batch: the same for all its attempts, each of which is a span of its own.
    pub(crate) fn of_batch(id: &str, span: u64) -> Self {
        let trace = hex(&digest::digest(&digest::SHA256, id.as_bytes()).as_ref()[..16]);
        // Nobody decided against recording it.
        Self { parent: parent(&trace, span, 1), state: None }
    }
}

/// Two digits for each byte. Without `format!`, which takes as long as all else of a trace.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    String::from_utf8(text).expect("digits are text")
}

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The trace id and the flags. Of later versions that much is known to be the same.
fn parse(traceparent: &str) -> Option<(String, u8)> {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_id = |text: &&str, length| text.len() == length && hex(text) && text.bytes().any(|byte| byte != b'0');
    let mut parts = traceparent.split('-');
    let version = parts.next().filter(|version| version.len() == 2 && hex(version) && *version != "ff")?;
    let trace = parts.next().filter(|trace| is_id(trace, 32))?;
    parts.next().filter(|span| is_id(span, 16))?;
    let flags = parts.next().filter(|flags| flags.len() == 2 && hex(flags))?;
    let complete = version != "00" || parts.next().is_none();
    complete.then_some((trace.to_owned(), u8::from_str_radix(flags, 16).ok()?))
}

fn parent(trace: &str, span: u64, flags: u8) -> HeaderValue {
    let mut text = Vec::with_capacity(LENGTH);
    for part in ["00-", trace, "-"] {
        text.extend_from_slice(part.as_bytes());
    }
    push_hex(&mut text, &span.to_be_bytes());
    text.push(b'-');
    // Of the flags, those that version 00 knows: sampled, and (level 2) random.
    push_hex(&mut text, &[flags & 3]);
    HeaderValue::try_from(text).expect("hex and dashes are legal in a header")
}

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(traceparent: &str) -> Option<String> {
        let event = serde_json::json!({ "id": "1", "data": { "a": [1] }, "traceparent": traceparent }).to_string();
        TraceContext::of_event(&event, 7).map(|context| context.parent.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_events_trace_goes_on_with_a_span_of_its_own() {
        assert_eq!(of(PARENT).unwrap(), "00-0af7651916cd43dd8448eb211c80319c-0000000000000007-01");
        let later = of(&format!("cc-{}-what-else", &PARENT[3..])).unwrap();
        assert_eq!(later, "00-0af7651916cd43dd8448eb211c80319c-0000000000000007-01");
        assert!(of(&PARENT.replace("-01", "-00")).unwrap().ends_with("-00"), "whether it is sampled stays");
    }

    #[test]
    fn what_is_no_trace_is_not_continued() {
        for bad in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &PARENT[..54],
            &format!("{PARENT}-x"),
            &format!("ff{}", &PARENT[2..]),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(TraceContext::of_event(r#"{"id":"1"}"#, 7), None);
        assert_eq!(TraceContext::of_event(r#"{"data":{"traceparent":"x"}}"#, 7), None);
    }

    #[test]
    fn state_comes_along() {
        let event = format!(r#"{{"traceparent":"{PARENT}","tracestate":"a=1,b=2"}}"#);
        assert_eq!(TraceContext::of_event(&event, 7).unwrap().state.unwrap(), "a=1,b=2");
    }

    #[test]
    fn a_batch_is_one_trace() {
        let (first, second) = (TraceContext::of_batch("a", 1).parent, TraceContext::of_batch("a", 2).parent);
        let part = |value: &HeaderValue, at| value.to_str().unwrap().split('-').nth(at).unwrap().to_owned();
        assert_eq!(part(&first, 1), part(&second, 1));
        assert_ne!(part(&first, 2), part(&second, 2));
        assert_ne!(part(&first, 1), part(&TraceContext::of_batch("a_0", 1).parent, 1));
        assert_eq!(first.len(), PARENT.len());
    }
}
