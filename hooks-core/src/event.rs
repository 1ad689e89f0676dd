use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::RawValue;

/// Something that happened, as an application sees it.
///
/// Only the type is required. What is left out is filled in when the event is encoded:
/// a new id (UUIDv7), the publisher's source, the present time.
///
/// The trait is dyn-compatible, so a `Vec<Box<dyn Event>>` of different events can be published.
///
/// ```
/// use hooks_core::{EncodeError, Envelope, Event, RawValue};
///
/// #[derive(serde::Serialize)]
/// struct InvoicePaid { number: u32 }
///
/// impl Event for InvoicePaid {
///     fn event_type(&self) -> &str { "invoice.paid" }
///     fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> { hooks_core::encode(self) }
/// }
///
/// let envelope = Envelope::from_event(&InvoicePaid { number: 7 }, "/billing")?;
/// assert_eq!(envelope.event_type(), "invoice.paid");
/// assert_eq!(envelope.data(), Some(r#"{"number":7}"#));
/// # Ok::<(), hooks_core::EnvelopeError>(())
/// ```
pub trait Event {
    /// The type of the event, for example `invoice.paid`. Filters match it. Types under `hooks.` are reserved for the
    /// dispatcher.
    fn event_type(&self) -> &str;

    /// The payload, encoded. `None`: the event has none.
    ///
    /// # Errors
    /// When the payload can't be encoded as JSON; [`encode`] makes the right error.
    fn data(&self) -> Result<Option<Box<RawValue>>, EncodeError> {
        Ok(None)
    }

    /// The id, unique together with the source. `None`: a new UUIDv7.
    fn id(&self) -> Option<&str> {
        None
    }

    /// The source of the event, a URI reference. `None`: the publisher's source.
    fn source(&self) -> Option<&str> {
        None
    }

    /// The subject of the event, for example `invoice/7`. Filters match it, and lanes keep the order of events that
    /// share it.
    fn subject(&self) -> Option<&str> {
        None
    }

    /// The time of the event. `None`: now.
    fn time(&self) -> Option<SystemTime> {
        None
    }

    /// Extension attributes: `partitionkey`, whose events keep their order over lanes, `traceparent`, or your own.
    /// Names are lower-case letters and digits; values are texts, integers or booleans.
    fn extensions(&self) -> Vec<(&str, serde_json::Value)> {
        Vec::new()
    }
}

/// Encodes any serializable value as event data.
///
/// # Errors
/// When the value does not serialize to JSON (a map with keys that are no strings, say).
pub fn encode<T: serde::Serialize + ?Sized>(value: &T) -> Result<Option<Box<RawValue>>, EncodeError> {
    serde_json::value::to_raw_value(value).map(Some).map_err(|error| EncodeError(Arc::new(error)))
}

/// An application's event did not serialize.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(Arc<serde_json::Error>);

impl PartialEq for EncodeError {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for EncodeError {}
