//! What a request says its body is.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// How events stand in a body.
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
pub(super) const ACCEPTED: &str =
    "application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, application/json";

/// The media type of an array of events.
pub(super) const BATCH: &str = "application/cloudevents-batch+json";

impl Format {
    /// By the media type.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let media = MediaType::of(headers.get(CONTENT_TYPE)?)?;
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

    /// What `application/json` is.
    pub(super) fn resolve(self, body: &[u8]) -> Self {
        match (self, body.trim_ascii_start().first()) {
            (Self::Json, Some(b'[')) => Self::Batch,
            (Self::Json, _) => Self::Single,
            (format, _) => format,
        }
    }
}

/// A media type with the one parameter that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    /// In lower case, without parameters.
    pub(super) essence: String,
    charset: Option<String>,
}

impl MediaType {
    pub(super) fn of(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        Some(Self { essence, charset })
    }

    pub(super) fn is_utf8(&self) -> bool {
        matches!(self.charset.as_deref(), None | Some("utf-8" | "utf8" | "us-ascii"))
    }

    /// `application/json`, `application/problem+json` and the like.
    pub(super) fn is_json(&self) -> bool {
        self.essence.ends_with("/json") || self.essence.ends_with("+json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(value: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, value.parse().unwrap());
        Format::of(&headers)
    }

    #[test]
    fn media_types() {
        for (value, expected) in [
            ("application/cloudevents+json", Some(Format::Single)),
            ("Application/CloudEvents-Batch+JSON; charset=UTF-8", Some(Format::Batch)),
            ("application/x-ndjson;charset=\"utf-8\"", Some(Format::Lines)),
            ("application/json", Some(Format::Json)),
            ("application/json; charset=latin1", None),
            ("text/plain", None),
            ("application/cloudevents+xml", None),
            ("", None),
        ] {
            assert_eq!(format(value), expected, "{value}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), None);
    }
}
