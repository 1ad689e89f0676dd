//! The connection to `hooks serve`.

use std::time::{Duration, SystemTime};

use hooks_core::BoxError;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::Url;

use super::reply::Reply;
use crate::remote::{address, builder, why};

/// The path of addresses that have none.
const PATH: &str = "/v1/events";

/// A server waits a while for room before it says that there is none.
const TIMEOUT: Duration = Duration::from_secs(60);

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
    let mut url = address(text)?;
    if url.path() == "/" {
        url.set_path(PATH);
    }
    Ok(url)
}

impl Client {
    /// # Errors
    /// When TLS can't be set up.
    pub(crate) fn new(url: Url, token: Option<HeaderValue>) -> Result<Self, BoxError> {
        Ok(Self { client: builder(&url)?.timeout(TIMEOUT).build()?, url, token })
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
}
