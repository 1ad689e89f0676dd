//! The events in a request's body.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a receiver sees of an event. Anything may be missing: it was written by somebody else.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) source: String,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) subject: Option<String>,
    pub(crate) partitionkey: Option<String>,
    pub(crate) sequence: Option<String>,
    pub(crate) time: Option<String>,
    /// As it was sent.
    pub(crate) data: Option<Box<RawValue>>,
}

/// The CloudEvents in a body: a batch, a single event, or one a line.
///
/// # Errors
/// When it is none of these, with what is wrong.
pub(crate) fn events(body: &[u8]) -> Result<Vec<Event>, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let text = text.trim();
    let parsed = match text.as_bytes().first() {
        None => return Err("the body is empty".to_owned()),
        Some(b'[') => serde_json::from_str(text),
        _ => text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect(),
    };
    parsed.or_else(|error| {
        // One event on several lines.
        serde_json::from_str(text).map(|event| vec![event]).map_err(|_| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(body: &str) -> Vec<String> {
        events(body.as_bytes()).unwrap().into_iter().map(|event| event.id).collect()
    }

    #[test]
    fn batches_single_events_and_lines() {
        let event = |id: &str| format!(r#"{{"id":"{id}","source":"s","type":"t","data":{{"a": 1.0}}}}"#);
        assert_eq!(ids(&format!("[{},{}]", event("1"), event("2"))), ["1", "2"]);
        assert_eq!(ids("[]"), [""; 0]);
        assert_eq!(ids(&event("1")), ["1"]);
        assert_eq!(ids(&event("1").replace(',', ",\n")), ["1"]);
        assert_eq!(ids(&format!("{}\n\n{}\n", event("1"), event("2"))), ["1", "2"]);
        let data = events(event("1").as_bytes()).unwrap().remove(0).data.unwrap();
        assert_eq!(data.get(), r#"{"a": 1.0}"#);
    }

    #[test]
    fn everything_else_says_why() {
        for (body, why) in [("", "empty"), ("hello", "expected value"), ("[{}]", "missing field"), ("[1", "")] {
            let error = events(body.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{body}: {error}");
        }
        assert!(events(b"\xff").is_err());
    }
}
