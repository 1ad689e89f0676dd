//! The format of a request's body, as its headers say.

use http::HeaderMap;

use super::binary;
use super::media_type::MediaType;
use crate::http::answer::Refusal;

/// The kind of a request to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The body has whole events.
    Structured(Format),
    /// The body is the data of one event, whose attributes are headers.
    Binary,
}

/// The format of the events in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One event.
    Single,
    /// A JSON array of events.
    Batch,
    /// One event a line.
    Lines,
    /// One event or an array, as its first character says.
    Json,
}

/// For `Accept` of a 415.
const ACCEPTED: &str =
    "application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, application/json";

/// The media type of an array of events.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

/// The prefix of the media types of all of CloudEvents' formats, those that are not known here, too.
const OF_CLOUDEVENTS: &str = "application/cloudevents";

impl Kind {
    /// The kind by the head alone (CloudEvents 1.0, HTTP protocol binding, §3).
    ///
    /// # Errors
    /// When it is neither, or does not say which.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let media = MediaType::of(headers).map_err(Refusal::NoEvent)?;
        if media.as_ref().is_some_and(|media| media.essence.starts_with(OF_CLOUDEVENTS)) {
            // Attributes may stand in headers too; those in the body count.
        } else if binary::is_complete(headers) {
            return Ok(Self::Binary);
        } else if let Some(name) = binary::first_attribute(headers) {
            return Err(Refusal::NoEvent(format!(
                "header `{name}` without header `ce-specversion`: add `ce-specversion: 1.0` where the body is the event's data, leave `{name}` out where it has whole events"
            )));
        }
        media.and_then(Format::of).map(Self::Structured).ok_or(Refusal::MediaType(ACCEPTED))
    }
}

impl Format {
    fn of(media: MediaType) -> Option<Self> {
        if !media.is_utf8() {
            return None;
        }
        Some(match media.essence.as_str() {
            "application/cloudevents+json" => Self::Single,
            BATCH => Self::Batch,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Self::Lines,
            "application/json" => Self::Json,
            _ => return None,
        })
    }

    /// The format of `application/json`.
    pub(super) fn resolve(self, body: &[u8]) -> Self {
        match (self, body.trim_ascii_start().first()) {
            (Self::Json, Some(b'[')) => Self::Batch,
            (Self::Json, _) => Self::Single,
            (format, _) => format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kind that headers mean, or the refusal.
    fn kind(headers: &[(&'static str, &'static str)]) -> Result<Kind, (u16, String)> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Kind::of(&headers).map_err(|refusal| (refusal.status().as_u16(), refusal.error()))
    }

    #[test]
    fn media_types() {
        for (value, expected) in [
            ("application/cloudevents+json", Some(Format::Single)),
            ("Application/CloudEvents-Batch+JSON; charset=UTF-8", Some(Format::Batch)),
            ("application/x-ndjson;charset=\"utf-8\"", Some(Format::Lines)),
            ("application/json", Some(Format::Json)),
            ("application/json; x=\";charset=latin1\"", Some(Format::Json)),
            ("application/json; charset=latin1", None),
            ("application/json; x=\"a\\\";b\"; charset=latin1", None),
            ("text/plain", None),
            ("application/cloudevents+xml", None),
        ] {
            let expected = expected.map(Kind::Structured).ok_or(415);
            assert_eq!(kind(&[("content-type", value)]).map_err(|(status, _)| status), expected, "{value}");
        }
        assert_eq!(kind(&[]).unwrap_err().0, 415);
    }

    #[test]
    fn a_content_type_is_one_media_type() {
        for value in ["", "json", "a/b/c", "application/json, text/plain", "application/ json", "/", "text/\u{e9}"] {
            let (status, error) = kind(&[("content-type", value)]).unwrap_err();
            assert!(status == 400 && error.contains("`content-type`"), "{value}: {status} {error}");
        }
        let twice = kind(&[("content-type", "application/json"), ("content-type", "text/plain")]).unwrap_err();
        assert_eq!(twice, (400, "header `content-type` stands twice".to_owned()));
    }

    #[test]
    fn what_has_a_specversion_is_binary_unless_it_says_that_it_is_an_event() {
        let specversion = ("ce-specversion", "1.0");
        assert_eq!(kind(&[specversion]), Ok(Kind::Binary));
        for media in ["application/json", "application/x-ndjson", "application/jsonl", "text/plain", "application/xml"]
        {
            assert_eq!(kind(&[specversion, ("content-type", media)]), Ok(Kind::Binary), "{media}");
        }
        let structured = ("content-type", "application/cloudevents+json");
        assert_eq!(kind(&[specversion, structured]), Ok(Kind::Structured(Format::Single)));
        assert_eq!(kind(&[("ce-type", "a"), structured]), Ok(Kind::Structured(Format::Single)));
        for media in [
            "application/cloudevents",
            "application/cloudevents+avro",
            "application/cloudevents+protobuf",
            "application/cloudevents+xml",
            "application/cloudevents-batch+protobuf",
            "application/cloudevents+json; charset=utf-16",
        ] {
            let (status, error) = kind(&[specversion, ("content-type", media)]).unwrap_err();
            assert!(status == 415 && error.contains("Content-Type"), "{media}: {status} {error}");
        }
    }

    #[test]
    fn binary_mode_that_is_not_complete_is_refused_by_name() {
        for name in ["ce-type", "ce-id", "ce-partitionkey", "ce-cloudeventsversion", "ce-", "ce_specversion", "ce_type"]
        {
            for media in ["application/json", "application/x-ndjson", "text/plain"] {
                let (status, error) = kind(&[(name, "1"), ("content-type", media)]).unwrap_err();
                assert!(status == 400 && error.contains(&format!("`{name}`")), "{name}: {status} {error}");
                assert!(error.contains("ce-specversion"), "{error}");
            }
            assert_eq!(kind(&[(name, "1")]).unwrap_err().0, 400);
        }
        assert!(kind(&[("cell", "1"), ("content-type", "application/json")]).is_ok());
    }
}
