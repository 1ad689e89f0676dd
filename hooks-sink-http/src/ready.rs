//! From what an operator wrote to ready objects. No I/O: whatever is wrong is found before anything runs.

use std::time::Duration;

use hooks_core::ConfigProblem;
use http::header::{self, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use crate::client::ClientSettings;
use crate::config::{HttpConfig, SigningSecrets};
use crate::keys::SigningKey;
use crate::sign::{self, Signer};

/// The form of a body: a CloudEvents JSON batch.
const BATCH: HeaderValue = HeaderValue::from_static("application/cloudevents-batch+json");
/// The same for as long as the version is.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("hooks/", env!("CARGO_PKG_VERSION")));
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

/// Settings that were checked, in the form in which they are used.
pub(crate) struct Ready {
    /// Where to, without credentials.
    pub(crate) url: Url,
    /// All headers that are the same in every request.
    pub(crate) headers: HeaderMap,
    /// Makes those that are not.
    pub(crate) signer: Signer,
    /// Most bytes of an answer's body.
    pub(crate) max_response_bytes: usize,
    /// Which client.
    pub(crate) client: ClientSettings,
}

impl Ready {
    /// Everything that is wrong, or none of it.
    pub(crate) fn new(config: &HttpConfig) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Problems::default();
        let mut headers = headers(config, &mut problems);
        let endpoint = problems.take("url", config.url.parts());
        if let Some(authorization) = endpoint.as_ref().and_then(|parts| parts.authorization.clone())
            && headers.insert(AUTHORIZATION, authorization).is_some()
        {
            problems.add("url", "the credentials in it and the header `authorization` exclude each other");
        }
        let signer = Signer {
            standard: config.secret.as_ref().map_or_else(Vec::new, |secrets| standard(secrets, &mut problems)),
            plain: plain(config, &headers, &mut problems),
        };
        let max_response_bytes = config.max_response_bytes.get();
        if max_response_bytes < 1024 {
            problems.add("max_response_bytes", "too small to hold an answer: set at least 1KiB");
        }
        let is_secure = endpoint.as_ref().is_none_or(|parts| parts.url.scheme() == "https");
        let client = client(config, is_secure, &mut problems);
        match endpoint {
            Some(parts) if problems.0.is_empty() => {
                Ok(Self { url: parts.url, headers, signer, max_response_bytes, client })
            }
            _ => Err(problems.0),
        }
    }
}

#[derive(Default)]
struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(ConfigProblem::new(path, message));
    }

    fn take<T>(&mut self, path: impl Into<String>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(path, message)).ok()
    }
}

fn headers(config: &HttpConfig, problems: &mut Problems) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(config.headers.len() + 4);
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
    headers.extend([(CONTENT_TYPE, BATCH), (USER_AGENT, AGENT), (ACCEPT_ENCODING, PLAIN)]);
    headers
}

fn free_name(name: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "not a legal header name".to_owned())?;
    let text = name.as_str();
    if RESERVED.contains(&name) || text.starts_with("webhook-") || text.starts_with("proxy-") {
        return Err("the sink sets this header itself, or it makes no sense here: remove it".to_owned());
    }
    Ok(name)
}

fn header_value(value: &str) -> Result<HeaderValue, String> {
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

fn standard(secrets: &SigningSecrets, problems: &mut Problems) -> Vec<SigningKey> {
    if secrets.iter().len() == 0 {
        problems.add("secret", "an empty list signs nothing: name a secret, or remove it");
    }
    let several = secrets.iter().len() > 1;
    let path = |at: usize| if several { format!("secret[{at}]") } else { "secret".to_owned() };
    let keys = secrets.iter().enumerate();
    keys.filter_map(|(at, secret)| problems.take(path(at), SigningKey::parse(secret.expose()))).collect()
}

fn plain(config: &HttpConfig, headers: &HeaderMap, problems: &mut Problems) -> Option<(HeaderName, ring::hmac::Key)> {
    let hmac = config.hmac.as_deref()?;
    if hmac.secret.expose().is_empty() {
        problems.add("hmac.secret", "an empty secret proves nothing");
    }
    let name = problems.take("hmac.header", free_name(&hmac.header))?;
    if headers.contains_key(&name) {
        problems.add("hmac.header", "`headers`, or the credentials in the url, set this header, too");
    }
    Some((name, sign::plain_key(hmac.secret.expose())))
}

fn client(config: &HttpConfig, is_secure: bool, problems: &mut Problems) -> ClientSettings {
    let connect_timeout = config.connect_timeout.0;
    if connect_timeout == Duration::ZERO {
        problems.add("connect_timeout", "must be longer than 0s");
    }
    let ca_file = config.tls.as_ref().and_then(|tls| tls.ca_file.clone());
    if let Some(path) = &ca_file {
        if !path.is_absolute() {
            problems.add("tls.ca_file", "expected an absolute path");
        }
        if !is_secure {
            problems.add("tls.ca_file", "the url is http://, where no certificates are checked: use https://");
        }
    }
    ClientSettings { is_secure, ca_file, connect_timeout }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hooks_core::SinkPlugin;
    use serde_json::{Value, json};

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn parse(table: Value) -> Result<(), Vec<(String, String)>> {
        let parsed = SinkPlugin::find("http").unwrap().parse(table);
        parsed.map(drop).map_err(|problems| problems.into_iter().map(|one| (one.path, one.message)).collect())
    }

    #[test]
    fn what_is_taken() {
        for table in [
            json!({ "url": "http://127.0.0.1:9/x" }),
            json!({ "url": "https://me:pass@example.com/?a=b", "secret": SECRET, "tls": {} }),
            json!({ "url": "https://example.com", "secret": [SECRET, SECRET], "tls": { "ca_file": "/ca.pem" } }),
            json!({ "url": "https://example.com", "headers": { "Authorization": "Bearer x", "X-Empty": "" } }),
            json!({ "url": "https://example.com", "hmac": { "header": "X-Hub-Signature-256", "secret": "s" } }),
            json!({ "url": "https://example.com", "max_response_bytes": "1KiB", "connect_timeout": "1ms" }),
        ] {
            assert_eq!(parse(table.clone()), Ok(()), "{table}");
        }
    }

    /// Each: settings besides the url, the path of the problem, and what its message says.
    #[test]
    fn what_is_refused() {
        for (more, path, part) in [
            (json!({ "headers": { "a": "x\r\ny" } }), "headers.a", "no line breaks"),
            (json!({ "headers": { "a": "x\ny" } }), "headers.a", "no line breaks"),
            (json!({ "headers": { "a": "x\0y" } }), "headers.a", "no NUL"),
            (json!({ "headers": { "a": "é" } }), "headers.a", "ASCII"),
            (json!({ "headers": { "a": " b" } }), "headers.a", "space"),
            (json!({ "headers": { "a b": "c" } }), "headers.a b", "not a legal header name"),
            (json!({ "headers": { "a\r\nb": "c" } }), "headers.a\r\nb", "not a legal header name"),
            (json!({ "headers": { "x-a": "1", "X-A": "2" } }), "headers.x-a", "twice"),
            (json!({ "headers": { "Content-Type": "text/plain" } }), "headers.Content-Type", "itself"),
            (json!({ "headers": { "content-length": "1" } }), "headers.content-length", "itself"),
            (json!({ "headers": { "Host": "other" } }), "headers.Host", "itself"),
            (json!({ "headers": { "Webhook-Id": "1" } }), "headers.Webhook-Id", "itself"),
            (json!({ "headers": { "webhook-anything": "1" } }), "headers.webhook-anything", "itself"),
            (json!({ "headers": { "a": 1 } }), "headers.a", "in quotes"),
            (json!({ "secret": "whsec_" }), "secret", "24 to 64 bytes"),
            (json!({ "secret": [SECRET, "short"] }), "secret[1]", "24 to 64 bytes"),
            (json!({ "secret": [] }), "secret", "empty list"),
            (json!({ "secret": 5 }), "secret", "in quotes"),
            (json!({ "secret": [SECRET, 5] }), "secret", "in quotes"),
            (json!({ "hmac": { "header": "a b", "secret": "s" } }), "hmac.header", "not a legal"),
            (json!({ "hmac": { "header": "webhook-signature", "secret": "s" } }), "hmac.header", "itself"),
            (json!({ "hmac": { "header": "X-A", "secret": "s" }, "headers": { "x-a": "1" } }), "hmac.header", "too"),
            (json!({ "hmac": { "header": "X-A", "secret": "" } }), "hmac.secret", "empty"),
            (json!({ "max_response_bytes": 0 }), "max_response_bytes", "at least 1KiB"),
            (json!({ "connect_timeout": "0s" }), "connect_timeout", "longer than 0s"),
            (json!({ "tls": { "ca_file": "ca.pem" } }), "tls.ca_file", "absolute"),
            (json!({ "tls": { "insecure": true } }), "tls.insecure", "unknown field"),
            (json!({ "timeout": "5s" }), "timeout", "unknown field"),
        ] {
            let mut table = json!({ "url": "https://example.com" });
            table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let problems = parse(table.clone()).expect_err(&table.to_string());
            assert_eq!(problems.len(), 1, "{table}: {problems:?}");
            assert_eq!(problems[0].0, path, "{problems:?}");
            assert!(problems[0].1.contains(part), "{problems:?}");
        }
    }

    #[test]
    fn settings_of_the_url_exclude_others() {
        let both = json!({ "url": "https://me:pass@h/", "headers": { "authorization": "Bearer x" } });
        assert_eq!(parse(both).unwrap_err()[0].0, "url");
        let plain = json!({ "url": "http://h/", "tls": { "ca_file": "/ca.pem" } });
        assert!(parse(plain).unwrap_err()[0].1.contains("use https://"));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let problems = parse(json!({ "url": "ftp://h", "secret": "x", "connect_timeout": "0s" })).unwrap_err();
        let paths: Vec<_> = problems.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["url", "secret", "connect_timeout"]);
    }

    #[test]
    fn every_option_is_explained() {
        let schema = schemars::schema_for!(HttpConfig).to_value();
        let tables = [&schema, &schema["$defs"]["Hmac"], &schema["$defs"]["Tls"]];
        let options = tables.map(|table| table["properties"].as_object().unwrap()).into_iter().flatten();
        let names = options.map(|(name, option)| {
            assert!(option["description"].is_string(), "{name} is not explained");
            name
        });
        assert_eq!(names.count(), 10);
    }

    #[test]
    fn an_idle_hook_is_small() {
        assert!(size_of::<HttpConfig>() <= 160, "{} bytes for each of 100,000 hooks", size_of::<HttpConfig>());
    }
}
