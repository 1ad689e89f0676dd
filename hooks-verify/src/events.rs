//! The events in a body, and the answer that names those that are refused.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

/// An event of a request: a CloudEvent.
#[derive(Debug, Clone)]
pub struct Event {
    json: Box<RawValue>,
    id: String,
    source: String,
    event_type: String,
}

/// A body that holds no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body holds no CloudEvents in JSON: {0}")]
pub struct NoEvents(String);

/// What every CloudEvent has.
#[derive(Deserialize)]
struct Named {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
}

#[derive(Deserialize)]
struct WithData<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The events of a body that was verified: an array of CloudEvents, as `application/cloudevents-batch+json` has it, or one
/// alone. (The binary mode, where headers hold what is beside `data`, is another format.)
///
/// # Errors
/// When the body is not JSON, or holds something that is no event.
pub fn events(body: &[u8]) -> Result<Vec<Event>, NoEvents> {
    let is_array = body.trim_ascii_start().starts_with(b"[");
    let list: Result<Vec<Box<RawValue>>, _> =
        if is_array { serde_json::from_slice(body) } else { serde_json::from_slice(body).map(|one| vec![one]) };
    list.map_err(|error| NoEvents(error.to_string()))?.into_iter().map(Event::new).collect()
}

/// The body of an answer with status 200 that refuses these events, by their ids, and takes the others of the batch. With no
/// id at all, everything is taken.
pub fn refused<I: AsRef<str>>(ids: impl IntoIterator<Item = I>) -> String {
    let failures: Vec<_> = ids.into_iter().map(|id| json!({ "itemIdentifier": id.as_ref() })).collect();
    json!({ "batchItemFailures": failures }).to_string()
}

impl Event {
    fn new(json: Box<RawValue>) -> Result<Self, NoEvents> {
        let Named { id, source, event_type } =
            serde_json::from_str(json.get()).map_err(|error| NoEvents(error.to_string()))?;
        Ok(Self { json, id, source, event_type })
    }

    /// `id`, unique together with [`source`](Self::source).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `source`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// `type`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The whole event, byte for byte as it came.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// `data`, if there is any.
    ///
    /// # Errors
    /// When it is something else than `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        let WithData { data } = serde_json::from_str(self.json())?;
        data.map(|data| serde_json::from_str(data.get())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_and_one_alone() {
        let one = r#"{"specversion":"1.0", "id":"1","source":"/a","type":"t","data":{"x": 1.50}}"#;
        for body in [one.to_owned(), format!(" [{one}]"), format!("[{one},{one}]")] {
            let events = events(body.as_bytes()).unwrap();
            assert_eq!(events.len(), body.matches("specversion").count());
            assert!(events.iter().all(|event| event.json() == one));
            let event = &events[0];
            assert_eq!((event.id(), event.source(), event.event_type()), ("1", "/a", "t"));
            assert_eq!(event.data::<serde_json::Value>().unwrap().unwrap().to_string(), r#"{"x":1.5}"#);
            assert!(event.data::<String>().is_err());
        }
        assert_eq!(events(b"[]").unwrap().len(), 0);
        assert_eq!(events(br#"{"id":"1","source":"/a","type":"t"}"#).unwrap()[0].data::<u8>().unwrap(), None);
    }

    #[test]
    fn what_is_no_event_is_said() {
        for (body, why) in [
            ("", "EOF"),
            ("7", "expected struct"),
            ("[{}]", "missing field `id`"),
            (r#"{"id":"1","source":"/a"}"#, "missing field `type`"),
            ("[1,", "EOF"),
            ("\u{feff}[]", "expected value"),
        ] {
            let error = events(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{body}: {error}");
        }
    }

    #[test]
    fn refused_events_are_named() {
        assert_eq!(
            refused(["a", "\"b\""]),
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"\"b\""}]}"#
        );
        assert_eq!(refused::<&str>([]), r#"{"batchItemFailures":[]}"#);
    }
}
