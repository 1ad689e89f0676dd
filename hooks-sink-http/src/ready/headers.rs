//! The headers that are the same in every request.

use http::header::{self, ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::contents;
use super::problems::Problems;
use crate::config::{Body, Compression, HttpConfig};
use crate::content::SPECVERSION;
use crate::endpoint;
use crate::features;
use crate::header_names::{IDEMPOTENCY_KEY, REQUEST_ORIGIN, TRACEPARENT, TRACESTATE};

/// The same for as long as the version is.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static(concat!("hooks/", env!("CARGO_PKG_VERSION")));
/// An answer that is compressed could not be read.
const PLAIN: HeaderValue = HeaderValue::from_static("identity");

/// Headers that describe the request or the connection: the sink or the HTTP client sets them.
const RESERVED: [HeaderName; 13] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::HOST,
    header::USER_AGENT,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
];

pub(super) fn all(config: &HttpConfig, in_url: Option<HeaderValue>, problems: &mut Problems) -> HeaderMap {
    let mut headers = named(config, problems);
    for (path, value) in [("url", in_url), ("basic", basic(config, problems)), ("bearer", bearer(config, problems))] {
        if let Some(value) = value
            && headers.insert(AUTHORIZATION, value).is_some()
        {
            problems.add(path, "another setting sets the header `authorization`, too: only one of them can");
        }
    }
    let set_by_option = [
        (IDEMPOTENCY_KEY, config.idempotency_key, "idempotency_key"),
        (TRACEPARENT, config.traceparent, "traceparent"),
        (TRACESTATE, config.traceparent, "traceparent"),
    ];
    for (name, _, option) in set_by_option.into_iter().filter(|(name, is_set, _)| *is_set && headers.contains_key(name))
    {
        problems.add(format!("headers.{name}"), format!("`{option}` sets this header: remove one of them"));
    }
    headers.extend(contents::content_type(config, problems).map(|content_type| (CONTENT_TYPE, content_type)));
    headers.extend((matches!(config.body, Body::Binary)).then_some(SPECVERSION));
    headers.extend([(USER_AGENT, AGENT), (ACCEPT_ENCODING, PLAIN)]);
    headers.extend(origin(config, problems).map(|origin| (REQUEST_ORIGIN, origin)));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if config.compression != Compression::None {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(features::name(config.compression)));
    }
    headers
}

/// The sender's name.
fn origin(config: &HttpConfig, problems: &mut Problems) -> Option<HeaderValue> {
    let Some(origin) = config.origin.as_deref() else {
        if config.verify.is_some() {
            problems.add("origin", "it is missing: `verify` asks the receiver in the name of a sender");
        }
        return None;
    };
    let is_label = |label: &str| {
        let legal = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        legal && !label.is_empty() && label.len() <= 63
    };
    if origin.len() > 253 || !origin.split('.').all(is_label) {
        problems.add("origin", "expected a DNS name, for example \"events.example.com\", without https:// and port");
        return None;
    }
    HeaderValue::from_str(origin).ok()
}

/// A header's name that is free for operators to use.
pub(super) fn free_name(name: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "not a legal header name".to_owned())?;
    let text = name.as_str();
    if RESERVED.contains(&name) || text.starts_with("webhook-") || text.starts_with("proxy-") {
        return Err("the sink sets this header itself, or it makes no sense here: remove it".to_owned());
    }
    Ok(name)
}

/// Those under `headers`.
fn named(config: &HttpConfig, problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(config.headers.len() + 8);
    for (name, value) in &config.headers {
        let path = format!("headers.{name}");
        let (Some(name), Some(value)) =
            (problems.take(&path, free_name(name)), problems.take(&path, header_value(value.expose())))
        else {
            continue;
        };
        if headers.insert(name, value).is_some() {
            problems.add(path, "it is there twice: upper and lower case mean the same header");
        }
    }
    headers
}

fn basic(config: &HttpConfig, problems: &mut Problems) -> Option<HeaderValue> {
    let basic = config.basic.as_deref()?;
    problems.file("basic.password_file", basic.password.is_some(), basic.password_file.as_deref());
    problems.unmarked("basic.password", basic.password.as_ref());
    if basic.user.contains(':') {
        problems.add("basic.user", "a user holds no colon: it ends at the first one");
    }
    if basic.user.chars().any(char::is_control) {
        problems.add("basic.user", "a user holds no control characters");
    }
    // With a password in a file, this one is made anew once it was read.
    let password = basic.password.as_ref().map_or("", |password| password.expose());
    if password.chars().any(char::is_control) {
        problems.add("basic.password", "a password holds no control characters");
    }
    endpoint::basic(basic.user.as_bytes(), password.as_bytes())
}

fn bearer(config: &HttpConfig, problems: &mut Problems) -> Option<HeaderValue> {
    problems.file("bearer_file", config.bearer.is_some(), config.bearer_file.as_deref());
    let token = match (&config.bearer, &config.bearer_file) {
        (Some(token), _) => token.expose(),
        // Stands in for what will be read.
        (None, Some(_)) => "x",
        (None, None) => return None,
    };
    if token.is_empty() || token.contains(' ') {
        problems.add("bearer", "expected a token, without `Bearer` before it");
        return None;
    }
    let value = problems.take("bearer", header_value(token))?;
    let mut value = HeaderValue::try_from([b"Bearer ", value.as_bytes()].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The value of a header, which may be a secret.
pub(super) fn header_value(value: &str) -> Result<HeaderValue, String> {
    hooks_core::secret::without_mark(value.as_bytes())?;
    if value.contains(['\r', '\n', '\0']) {
        return Err("a header's value holds no line breaks and no NUL".to_owned());
    }
    if value.trim() != value {
        return Err("a header's value neither begins nor ends with a space".to_owned());
    }
    // The HTTP types would take other text, too, which receivers read in different ways.
    let mut value = HeaderValue::from_str(value)
        .ok()
        .filter(|_| value.is_ascii())
        .ok_or("a header's value holds printable ASCII only")?;
    value.set_sensitive(true);
    Ok(value)
}
