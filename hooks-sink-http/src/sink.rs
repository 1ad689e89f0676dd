//! One attempt: sign, post, read, judge.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use hooks_core::{Batch, BoxError, Delivered, DeliveryError, Sink, SinkContext};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Client, Request, Response, Url};

use crate::endpoint::printable;
use crate::mask::Mask;
use crate::outcome::{Asked, End, Received, judge};
use crate::ready::Ready;
use crate::sign::Signer;
use crate::transport;

/// Names a batch, the same at every attempt.
pub(crate) const ID: HeaderName = HeaderName::from_static("webhook-id");
/// When an attempt was signed, in Unix seconds.
pub(crate) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");

/// Posts batches to one address. Built from an [`HttpConfig`](crate::HttpConfig).
///
/// # Cancel safety
/// A dropped attempt closes its connection; the receiver may have taken the batch all the same. The sink
/// can be used again at once.
pub struct HttpSink {
    client: Arc<Client>,
    /// For errors: method and address, without secrets.
    request: Box<str>,
    url: Url,
    headers: HeaderMap,
    signer: Signer,
    mask: Mask,
    max_response_bytes: usize,
}

impl HttpSink {
    pub(crate) fn new(ready: Ready, context: &SinkContext) -> Result<Self, BoxError> {
        let Ready { url, headers, signer, max_response_bytes, client } = ready;
        Ok(Self {
            client: client.client(context)?,
            request: format!("POST {}", printable(&url)).into(),
            mask: Mask::new(headers.values().filter(|value| value.is_sensitive()), &url),
            url,
            headers,
            signer,
            max_response_bytes,
        })
    }

    /// The batch as it is sent at this time: the same body and id at every attempt, with a timestamp and
    /// signatures of its own.
    fn prepare(&self, batch: &Batch, now: SystemTime) -> Request {
        let body = body(batch);
        let id = batch.id().as_str();
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(ID, HeaderValue::from_str(id).expect("a batch id is made of letters, digits, `-` and `_`"));
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        headers.extend(self.signer.sign(id, timestamp, &body));
        *request.body_mut() = Some(body.into());
        request
    }

    /// Reads an answer up to the limit. What is beyond stays unread, and the connection is closed.
    async fn receive(&self, mut response: Response) -> Received {
        let mut body = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(None) => break End::Whole,
                Ok(Some(chunk)) => {
                    let room = self.max_response_bytes - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break End::Limit;
                    }
                }
                Err(error) => break End::Broken(transport::cause(error)),
            }
        };
        Received { status: response.status(), headers: std::mem::take(response.headers_mut()), body, end }
    }
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let request = self.prepare(batch, SystemTime::now());
        let response = self.client.execute(request).await.map_err(|error| transport::failed(&self.request, error))?;
        let received = self.receive(response).await;
        let asked = Asked { request: &self.request, batch, mask: &self.mask, now: SystemTime::now() };
        judge(&asked, received)
    }
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("request", &self.request).finish_non_exhaustive()
    }
}

fn body(batch: &Batch) -> Bytes {
    let mut body = Vec::with_capacity(batch.max_bytes() + 1);
    for line in batch.lines() {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(line.as_bytes());
    }
    body.push(b']');
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;
    use hooks_core::{HookId, Shared, SinkConfig};
    use std::time::Duration;

    fn context(shared: &Arc<Shared>) -> SinkContext {
        SinkContext::new(HookId::new("h").unwrap(), shared.clone())
    }

    fn sink(config: &HttpConfig) -> HttpSink {
        config.build(&context(&Arc::default())).unwrap()
    }

    #[test]
    fn a_repeated_attempt_has_the_same_bytes_and_a_fresh_signature() {
        let sink = sink(&HttpConfig::new("http://h/").secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
        let batch = crate::fuzz::batch(&["a", "b"]);
        let at = |seconds| sink.prepare(&batch, UNIX_EPOCH + Duration::from_secs(seconds));
        let (first, second) = (at(1_700_000_000), at(1_700_000_001));
        let bytes = |request: &Request| request.body().unwrap().as_bytes().unwrap().to_vec();
        assert_eq!(bytes(&first), bytes(&second));
        assert_eq!(first.headers()["webhook-id"], batch.id().as_str());
        assert_eq!(second.headers()["webhook-id"], batch.id().as_str());
        assert_eq!(first.headers()["webhook-timestamp"], "1700000000");
        assert_eq!(second.headers()["webhook-timestamp"], "1700000001");
        assert_ne!(first.headers()["webhook-signature"], second.headers()["webhook-signature"]);
    }

    #[test]
    fn a_body_is_as_long_as_was_reserved() {
        let body = body(&crate::fuzz::batch(&["a", "b", "c"]));
        assert_eq!(body.len(), crate::fuzz::batch(&["a", "b", "c"]).max_bytes() + 1);
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&body).unwrap().len(), 3);
    }

    #[test]
    fn hooks_with_the_same_tls_settings_share_a_client() {
        let shared = Arc::default();
        let build = |config: HttpConfig| config.build(&context(&shared)).unwrap();
        let first = build(HttpConfig::new("http://one/"));
        let second = build(HttpConfig::new("http://two/").header("a", "b"));
        let mut slower = HttpConfig::new("http://one/");
        slower.connect_timeout.0 *= 2;
        assert!(Arc::ptr_eq(&first.client, &second.client));
        assert!(!Arc::ptr_eq(&first.client, &build(slower).client));
    }

    #[test]
    fn settings_that_were_not_validated_are_checked_when_built() {
        let error = HttpConfig::new("ftp://me:open-sesame@h/").build(&context(&Arc::default())).unwrap_err();
        assert_eq!(error.to_string(), "url: `ftp` is not supported: use http:// or https://");
    }
}
