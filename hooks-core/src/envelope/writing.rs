//! The text of an event as it is written: an application's event, and members that are set in a text.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::SystemTime;

use jiff::Timestamp;

use super::error::EnvelopeError;
use crate::event::Event;
use crate::id::uuid_v7;

/// Members to replace in and to add to an object's text.
#[derive(Debug, Default)]
pub(super) struct Edits {
    front: String,
    replaced: Vec<(Range<usize>, String)>,
}

impl Edits {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        let _ = write!(self.front, "\"{name}\":{value},");
    }

    pub(super) fn replace(&mut self, span: Range<usize>, value: String) {
        self.replaced.push((span, value));
    }

    /// The text of an object that has at least one member, edited.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.replaced.sort_by_key(|(span, _)| span.start);
        let open = text.find('{').map_or(0, |at| at + 1);
        let extra: usize = self.replaced.iter().map(|(_, value)| value.len()).sum();
        let mut edited = String::with_capacity(text.len() + self.front.len() + extra);
        edited.push_str(&text[..open]);
        edited.push_str(&self.front);
        let mut at = open;
        for (span, value) in &self.replaced {
            edited.push_str(&text[at..span.start]);
            edited.push_str(value);
            at = span.end;
        }
        edited.push_str(&text[at..]);
        edited
    }
}

/// An application's event as CloudEvents JSON.
pub(super) fn encode(event: &dyn Event, source: &str) -> Result<String, EnvelopeError> {
    let data = event.data().map_err(EnvelopeError::Encode)?;
    let id = event.id().map_or_else(|| uuid_v7().to_string(), str::to_owned);
    let time = Timestamp::try_from(event.time().unwrap_or_else(SystemTime::now)).map_err(|_| {
        EnvelopeError::Illegal { name: "time".to_owned(), expected: "between the years -9999 and 9999" }
    })?;
    let mut json = format!(
        r#"{{"specversion":"1.0","id":{},"source":{},"type":{},"#,
        json_string(&id),
        json_string(event.source().unwrap_or(source)),
        json_string(event.event_type()),
    );
    if let Some(subject) = event.subject() {
        let _ = write!(json, "\"subject\":{},", json_string(subject));
    }
    for (name, value) in event.extensions() {
        let _ = write!(json, "{}:{value},", json_string(name));
    }
    let _ = write!(json, r#""time":"{time}""#);
    if let Some(data) = data {
        let _ = write!(json, r#","datacontenttype":"application/json","data":{}"#, data.get());
    }
    json.push('}');
    Ok(json)
}

pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
