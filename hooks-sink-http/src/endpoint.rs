//! The address of a receiver, which may hold secrets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hooks_core::Secret;
use http::HeaderValue;
use serde::{Deserialize, Deserializer};
use url::Url;

/// The address of a receiver as the operator wrote it. Credentials and query often hold secrets, so
/// only scheme, host and path are ever printed.
///
/// ```
/// let endpoint = hooks_sink_http::Endpoint::new("https://me:open-sesame@example.com/hooks?token=t0p");
/// assert_eq!(endpoint.to_string(), "https://example.com/hooks");
/// assert_eq!(format!("{endpoint:?}"), "\"https://example.com/hooks\"");
/// ```
#[derive(Clone)]
pub struct Endpoint(Secret);

impl Endpoint {
    /// Takes the text as it is; it is checked with the rest of the settings.
    pub fn new(url: impl Into<String>) -> Self {
        Self(Secret::new(url))
    }

    /// The text as it was written.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// True if it is an address of this scheme, provided that it is [one that can be posted to](Self::parts).
    pub(crate) fn has_scheme(&self, scheme: &str) -> bool {
        let own = self.0.expose().split_once(':');
        own.is_some_and(|(own, _)| own.eq_ignore_ascii_case(scheme))
    }

    /// The parts, if this is an address that can be posted to. The error says what is wrong with it and
    /// shows nothing of it.
    pub(crate) fn parts(&self) -> Result<Parts, String> {
        let text = self.0.expose();
        if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            // The parser would take them out without a word.
            return Err("a URL holds no spaces or line breaks".to_owned());
        }
        let mut url = Url::parse(text).map_err(|error| format!("not a URL ({error}): write https://host/path"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{}` is not supported: use http:// or https://", url.scheme()));
        }
        if url.fragment().is_some() {
            return Err("what follows the # is never sent: remove it".to_owned());
        }
        let authorization = authorization(&url);
        let stripped = url.set_username("").and_then(|()| url.set_password(None));
        stripped.map_err(|()| "credentials without a host".to_owned())?;
        Ok(Parts { url, authorization })
    }
}

/// An address, taken apart.
pub(crate) struct Parts {
    /// Without credentials.
    pub(crate) url: Url,
    /// The credentials as basic authentication.
    pub(crate) authorization: Option<HeaderValue>,
}

/// Scheme and host, and whether there is a path: what errors say, and with them logs, status, history and events. Of many
/// receivers the path is the secret.
pub(crate) fn without_path(url: &Url) -> String {
    let path = if url.path() == "/" { "/" } else { "/\u{2026}" };
    url.origin().ascii_serialization() + path
}

/// Scheme, host and path: for those who may see the settings, and test them.
pub(crate) fn printable(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Refused only where there is no host, and then there are no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    basic(&percent_decoded(url.username()), &percent_decoded(url.password().unwrap_or_default()))
}

/// Credentials as basic authentication (RFC 7617).
pub(crate) fn basic(user: &[u8], password: &[u8]) -> Option<HeaderValue> {
    let encoded = STANDARD.encode([user, b":", password].concat());
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.split_at_checked(2).filter(|_| first == b'%');
        let byte = escape.and_then(|(hex, after)| Some((hex_byte(hex)?, after)));
        let (byte, after) = byte.unwrap_or((first, after));
        decoded.push(byte);
        rest = after;
    }
    decoded
}

/// The byte that two digits stand for.
pub(crate) fn hex_byte(hex: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Ok(parts) => f.write_str(&printable(&parts.url)),
            Err(_) => f.write_str("[not a URL]"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Secret::deserialize(deserializer) {
            Ok(text) => Ok(Self(text)),
            Err(_) => Err(serde::de::Error::custom("expected a URL in quotes")),
        }
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for Endpoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Url".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uri", "pattern": "^[hH][tT][tT][pP][sS]?:", "examples": ["https://example.com/hooks"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(url: &str) -> String {
        match Endpoint::new(url).parts() {
            Ok(parts) => panic!("{url} is {}", parts.url),
            Err(problem) => problem,
        }
    }

    fn basic(url: &str) -> Option<String> {
        let value = Endpoint::new(url).parts().unwrap().authorization?;
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        Some(String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap())
    }

    #[test]
    fn what_is_no_receiver() {
        for (url, part) in [
            ("", "not a URL"),
            ("example.com/hooks", "not a URL"),
            ("https://", "not a URL"),
            ("https://a:99999/", "not a URL"),
            ("ftp://example.com/", "`ftp` is not supported"),
            ("file:///etc/passwd", "`file` is not supported"),
            ("mailto:me@example.com", "`mailto` is not supported"),
            ("https://example.com/#part", "never sent"),
            ("https://example.com/a b", "no spaces"),
            ("https://example.com/\r\nhost: other", "no spaces"),
        ] {
            let problem = problem(url);
            assert!(problem.contains(part), "{url:?}: {problem}");
        }
    }

    #[test]
    fn credentials_become_basic_authentication() {
        assert_eq!(basic("https://example.com"), None);
        assert_eq!(basic("https://me:p%40ss%3A%C3%A9@example.com").as_deref(), Some("me:p@ss:é"));
        assert_eq!(basic("https://me@example.com").as_deref(), Some("me:"));
        assert_eq!(basic("https://:key@example.com").as_deref(), Some(":key"));
        assert_eq!(basic("https://me:100%@example.com").as_deref(), Some("me:100%"));
        let parts = Endpoint::new("https://me:pass@example.com/x?y=z").parts().unwrap();
        assert_eq!(parts.url.as_str(), "https://example.com/x?y=z");
    }

    #[test]
    fn only_scheme_host_and_path_are_printed() {
        let printed = Endpoint::new("http://me:pass@127.0.0.1:8080/in?token=t0p").to_string();
        assert_eq!(printed, "http://127.0.0.1:8080/in");
        assert_eq!(Endpoint::new("se cret").to_string(), "[not a URL]");
    }
}
