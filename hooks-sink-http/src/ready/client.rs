//! The settings of the HTTP client.

use std::time::Duration;

use url::Url;

use super::problems::Problems;
use crate::client::{ClientSettings, Proxy};
use crate::config::{HttpConfig, HttpVersion, Tls};
use crate::endpoint::Endpoint;
use crate::guard::Guard;

/// `url` is where to, if that is known.
pub(super) fn settings(config: &HttpConfig, url: Option<&Url>, problems: &mut Problems) -> ClientSettings {
    if config.connect_timeout.is_some_and(|limit| limit.get().is_zero()) {
        problems.add("connect_timeout", "must be longer than 0s");
    }
    let is_secure = url.is_none_or(|url| url.scheme() == "https");
    let connections = config.connections.as_deref().copied().unwrap_or_default();
    if connections.idle_timeout.get() == Duration::ZERO {
        problems.add("connections.idle_timeout", "must be longer than 0s: max_idle_per_host = 0 keeps no idle ones");
    }
    if !is_secure && config.http_version == HttpVersion::Auto {
        problems
            .add("http_version", "`auto` asks in the TLS handshake, and the url is http://: write \"1.1\" or \"2\"");
    }
    ClientSettings {
        is_secure,
        tls: config.tls.as_deref().map(|tls| secured(tls, is_secure, problems)).unwrap_or_default(),
        http_version: config.http_version,
        connect_timeout: config.connect_timeout.map(|limit| limit.get()),
        idle_timeout: connections.idle_timeout.get(),
        max_idle_per_host: connections.max_idle_per_host,
        guard: guard(config, url, problems),
        proxy: config.proxy.as_ref().and_then(|proxy| forward(proxy, problems)),
    }
}

fn secured(tls: &Tls, is_secure: bool, problems: &mut Problems) -> Tls {
    let files = [("tls.ca_file", &tls.ca_file), ("tls.cert_file", &tls.cert_file), ("tls.key_file", &tls.key_file)];
    for (path, file) in files {
        file.iter().for_each(|file| problems.absolute(path, file));
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => problems.add("tls.key_file", "it is missing: `cert_file` needs its private key"),
        (None, Some(_)) => problems.add("tls.cert_file", "it is missing: `key_file` needs its certificate"),
        _ => {}
    }
    if tls.dangerously_accept_any_certificate && tls.ca_file.is_some() {
        problems.add("tls.ca_file", "no certificate is checked, so no authority is asked for: remove one of them");
    }
    if !is_secure && *tls != Tls::default() {
        problems.add("tls", "the url is http://, where nothing is secured: use https://");
    }
    tls.clone()
}

fn guard(config: &HttpConfig, url: Option<&Url>, problems: &mut Problems) -> Option<Guard> {
    if !config.guard {
        if !config.allow_cidrs.is_empty() {
            problems.add("allow_cidrs", "the guard is off, so everything is open already: set `guard = true`");
        }
        return None;
    }
    let guard = Guard::new(config.allow_cidrs.clone());
    if let Some(Err(refused)) = url.and_then(Url::host).map(|host| guard.judge_host(&host)) {
        problems.add("url", refused.to_string());
    }
    Some(guard)
}

fn forward(proxy: &Endpoint, problems: &mut Problems) -> Option<Proxy> {
    let parts = problems.take("proxy", proxy.parts())?;
    if parts.url.path() != "/" || parts.url.query().is_some() {
        problems.add("proxy", "a proxy has no path: write http://host:port");
    }
    Some(Proxy { url: parts.url, authorization: parts.authorization })
}
