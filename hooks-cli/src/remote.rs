//! HTTP to a `hooks serve` somewhere else: its address, the token, and the client.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{BoxError, chain};
use http::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Url};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::files;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks the address of a daemon.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    address_like(text, "http://host:port", "give a token with --token-file")
}

/// Checks an address that looks like this example. `instead`: what to do in place of a user or a password in it.
pub(crate) fn address_like(text: &str, example: &str, instead: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}: expected {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("expected {example} or https://host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("it holds a user or a password: {instead}"));
    }
    Ok(url)
}

/// The value of `Authorization` with the token in this file.
///
/// # Errors
/// When there is none that can be sent. Nothing of it is quoted.
pub(crate) fn authorization(file: &Path) -> Result<HeaderValue, String> {
    let fault = |why: String| format!("--token-file {}: {why}", file.display());
    let text = files::secrets(file).map_err(|error| fault(error.to_string()))?;
    bearer(text.trim()).map_err(|why| fault(why.to_owned()))
}

fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    if token.is_empty() {
        return Err("it is empty");
    }
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| "the token has characters that can't be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// A client for this address.
///
/// # Errors
/// When TLS can't be set up.
pub(crate) fn builder(url: &Url) -> Result<ClientBuilder, BoxError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // An address that moved is told, and not followed with the token.
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy();
    if url.scheme() != "https" {
        return Ok(builder.tls_backend_preconfigured(unused()?));
    }
    // The whole process is this command: it may choose for the process.
    let _ = ring::default_provider().install_default();
    Ok(builder)
}

/// The cause. What was attempted, and where, is known.
pub(crate) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    error.source().map_or_else(|| error.to_string(), chain)
}

/// The reason why there is no connection, and what to look at.
pub(crate) fn can_t_be_reached(url: &Url, error: reqwest::Error) -> String {
    format!("{url} can't be reached: {}: does `hooks serve` run there, and listen at that address?", why(error))
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
    fn what_is_no_address_says_so() {
        for text in ["", "localhost", "localhost:8080", "ftp://h/", "file:///x", "http://me:open-sesame@h/"] {
            let error = address(text).unwrap_err();
            assert!(error.contains("http") || error.contains("--token-file"), "{text}: {error}");
            assert!(!error.contains("open-sesame"));
        }
    }

    #[test]
    fn a_token_that_can_t_be_sent_is_refused_and_no_other_shows() {
        for token in ["", "a\nb"] {
            assert!(bearer(token).is_err());
        }
        assert!(!format!("{:?}", bearer("open-sesame").unwrap()).contains("open"));
    }

    #[test]
    fn https_can_be_set_up() {
        assert!(builder(&address("https://example.com").unwrap()).unwrap().build().is_ok());
    }
}
