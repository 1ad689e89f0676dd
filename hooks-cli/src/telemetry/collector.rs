//! A collector at an address.

use std::time::Duration;

use bytes::Bytes;
use hooks_core::{BoxError, ConfigProblem, async_trait};
use hooks_server::otlp::{Collector, NotSent, Signal, TelemetrySettings};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Client, Url};

use super::{ENDPOINT, address};
use crate::remote::{builder, why};

/// The time limit of a request, where nothing says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct HttpCollector {
    client: Client,
    endpoint: Url,
    headers: HeaderMap,
}

impl HttpCollector {
    /// # Errors
    /// When TLS can't be set up, or a header can't be sent.
    pub(super) fn new(settings: &TelemetrySettings) -> Result<Self, BoxError> {
        let endpoint = address(settings.endpoint.as_deref().unwrap_or(ENDPOINT))?;
        let timeout = settings.timeout.map_or(TIMEOUT, |timeout| timeout.get());
        let client = builder(&endpoint)?.timeout(timeout).build()?;
        Ok(Self { client, endpoint, headers: headers(settings)? })
    }
}

/// The headers of a request.
///
/// # Errors
/// When one can't be sent.
pub(crate) fn headers(settings: &TelemetrySettings) -> Result<HeaderMap, ConfigProblem> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let wrong = |why: &str| ConfigProblem::new(format!("headers.{name}"), why);
        let characters = |_| wrong("it has characters that no header can have");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("that is no name of a header"))?;
        if name == CONTENT_TYPE {
            return Err(wrong("what is sent decides that: remove it"));
        }
        let mut value = HeaderValue::from_str(value.expose()).map_err(characters)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    Ok(headers)
}

#[async_trait]
impl Collector for HttpCollector {
    async fn send(&self, signal: Signal, body: Bytes) -> Result<(), NotSent> {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), signal.path()));
        // A path or a query may hold a key.
        let shown = format!("{}/…{}", url.origin().ascii_serialization(), signal.path());
        let request = self.client.post(url).headers(self.headers.clone()).body(body);
        let answer = request.send().await.map_err(|error| NotSent {
            why: format!("{shown}: {}", why(error)),
            again: true,
            after: None,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // OTLP 1.x, "OTLP/HTTP Response": these may be sent again.
        let again = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        Err(NotSent { why: format!("{shown}: {status}"), again, after: after.map(Duration::from_secs) })
    }
}
