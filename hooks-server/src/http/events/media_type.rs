//! The media type of a request's body.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::field::{is_token, split, unquote};

/// A media type with the one parameter that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    /// The type in lower case, without parameters.
    pub(super) essence: String,
    charset: Option<String>,
}

impl MediaType {
    /// The media type of a request; `None` where it says nothing.
    ///
    /// # Errors
    /// When it says several, or something else.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value).map(Some).ok_or_else(|| {
                "header `content-type` is no media type: `application/json` is one, for example".to_owned()
            }),
            (Some(_), Some(_)) => Err("header `content-type` stands twice".to_owned()),
        }
    }

    fn parse(value: &HeaderValue) -> Option<Self> {
        let mut parts = split(value.to_str().ok()?, ';');
        let essence = parts.next()?.to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let charset = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| plain(value.trim()))
        });
        Some(Self { essence, charset })
    }

    /// True if what is in this character set is UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        matches!(self.charset.as_deref(), None | Some("utf-8" | "utf8" | "us-ascii"))
    }

    /// `application/json`, `application/problem+json` and the like.
    pub(super) fn is_json(&self) -> bool {
        self.essence.ends_with("/json") || self.essence.ends_with("+json")
    }

    /// True if it is text for people.
    pub(super) fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
    }
}

/// A parameter's value in lower case, without quotes.
fn plain(value: &str) -> String {
    let plain = unquote(value.as_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&plain).to_ascii_lowercase()
}
