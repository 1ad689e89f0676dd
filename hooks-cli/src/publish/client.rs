//! The connection to `hooks serve`.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooks_core::{BoxError, chain};
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::Url;
use reqwest::redirect::Policy;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use super::reply::Reply;

/// The path of addresses that have none.
const PATH: &str = "/v1/events";

/// A server waits a while for room before it says that there is none.
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Most of an answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// Posts events to one server.
pub(crate) struct Client {
    client: reqwest::Client,
    url: Url,
    token: Option<HeaderValue>,
}

/// Checks an address, and completes it.
pub(crate) fn endpoint(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("{error}: expected http://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("expected http://host:port or https://host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user or a password: give a token with --token-file".to_owned());
    }
    if url.path() == "/" {
        url.set_path(PATH);
    }
    Ok(url)
}

impl Client {
    /// # Errors
    /// When the token can't be sent, or TLS can't be set up.
    pub(crate) fn new(url: Url, token: Option<&str>) -> Result<Self, BoxError> {
        let token = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose();
        let mut token = token.map_err(|_| "the token has characters that can't be sent")?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // An address that moved is told, and not followed with the token.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy();
        let builder = if url.scheme() == "https" {
            // The whole process is this command: it may choose for the process.
            let _ = ring::default_provider().install_default();
            builder
        } else {
            builder.tls_backend_preconfigured(unused()?)
        };
        Ok(Self { client: builder.build()?, url, token })
    }

    /// Posts events, one a line. Dropping the call leaves open whether they are accepted.
    pub(crate) async fn post(&self, body: String) -> Reply {
        match self.exchange(body).await {
            Ok(reply) => reply,
            Err(error) => {
                let is_open = !error.is_connect();
                Reply::Later { after: None, why: format!("no answer: {}", why(error)), is_open }
            }
        }
    }

    async fn exchange(&self, body: String) -> Result<Reply, reqwest::Error> {
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/x-ndjson").body(body);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let mut answer = request.send().await?;
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut text = Vec::new();
        while text.len() < MAX_ANSWER {
            let Some(chunk) = answer.chunk().await? else { break };
            text.extend_from_slice(&chunk);
        }
        Ok(Reply::new(status, retry_after.as_deref(), &text, SystemTime::now()))
    }
}

/// The cause. What was attempted, and where, is known.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    error.source().map_or_else(|| error.to_string(), chain)
}

/// For plain HTTP: trusts nobody, and needs no certificates of the platform.
fn unused() -> Result<ClientConfig, rustls::Error> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions()?.with_root_certificates(RootCertStore::empty());
    Ok(tls.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed() {
        for (text, whole) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/events"),
            ("https://example.com/", "https://example.com/v1/events"),
            ("https://example.com/events/in?x=y", "https://example.com/events/in?x=y"),
        ] {
            assert_eq!(endpoint(text).unwrap().as_str(), whole);
        }
    }

    #[test]
    fn what_is_no_address_says_so() {
        for text in ["", "localhost", "localhost:8080", "ftp://h/", "file:///x", "http://me:open-sesame@h/"] {
            let error = endpoint(text).unwrap_err();
            assert!(error.contains("http") || error.contains("--token-file"), "{text}: {error}");
            assert!(!error.contains("open-sesame"));
        }
        assert!(Client::new(endpoint("http://h").unwrap(), Some("a\nb")).is_err());
    }

    #[test]
    fn https_can_be_set_up() {
        assert!(Client::new(endpoint("https://example.com").unwrap(), None).is_ok());
    }
}
