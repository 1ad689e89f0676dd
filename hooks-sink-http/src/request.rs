//! Makes requests of batches.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hooks_core::sink::Batch;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use crate::compress::Encoding;
use crate::config::Mode;
use crate::header_names::{ID, IDEMPOTENCY_KEY, TIMESTAMP, TRACEPARENT, TRACESTATE};
use crate::ready::Ready;
use crate::sign::Signer;
use crate::traceparent::TraceContext;

/// Turns batches into requests.
pub(crate) struct Requests {
    uri: Uri,
    headers: HeaderMap,
    signer: Signer,
    mode: Mode,
    encoding: Option<Encoding>,
    idempotency_key: bool,
    traceparent: bool,
}

impl Requests {
    pub(crate) fn new(ready: Ready) -> Self {
        let Ready { uri, headers, signer, mode, encoding, idempotency_key, traceparent, .. } = ready;
        Self { uri, headers, signer, mode, encoding, idempotency_key, traceparent }
    }

    /// The batch as it is sent at this time: the same body and id at every attempt, with a timestamp, a
    /// span (not 0) and signatures of its own.
    ///
    /// # Errors
    /// When it can't be compressed.
    pub(crate) fn make(&self, batch: &Batch, now: SystemTime, span: u64) -> std::io::Result<Request<Full<Bytes>>> {
        let body = self.body(batch);
        let id = batch.id().as_str();
        let id_value = HeaderValue::from_str(id).expect("a batch id is made of letters, digits, `-` and `_`");
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        if self.idempotency_key {
            headers.insert(IDEMPOTENCY_KEY, id_value.clone());
        }
        if self.traceparent {
            let TraceContext { parent, state } = self.context(batch, &body, span);
            headers.insert(TRACEPARENT, parent);
            state.and_then(|state| headers.insert(TRACESTATE, state));
        }
        headers.insert(ID, id_value);
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        headers.extend(self.signer.sign(id, timestamp, &body));
        let body = match self.encoding {
            Some(encoding) => encoding.compress(&body)?.into(),
            None => body,
        };
        *request.body_mut() = body.into();
        Ok(request)
    }

    fn context(&self, batch: &Batch, body: &[u8], span: u64) -> TraceContext {
        let event = (self.mode == Mode::Single).then(|| std::str::from_utf8(body).ok()).flatten();
        let continued = event.and_then(|event| TraceContext::of_event(event, span));
        continued.unwrap_or_else(|| TraceContext::of_batch(batch.id().as_str(), span))
    }

    fn body(&self, batch: &Batch) -> Bytes {
        match self.mode {
            Mode::Batch => array(batch),
            Mode::Single => batch.lines().next().map(|line| Bytes::from(line.into_owned())).unwrap_or_default(),
        }
    }
}

fn array(batch: &Batch) -> Bytes {
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
    use std::time::Duration;

    fn requests(config: &HttpConfig) -> Requests {
        Requests::new(Ready::new(config).unwrap())
    }

    #[test]
    fn a_repeated_attempt_has_the_same_bytes_and_a_fresh_signature() {
        let requests = requests(&HttpConfig::new("http://h/").secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
        let batch = crate::fuzz::batch(&["a", "b"]);
        let at = |seconds| requests.make(&batch, UNIX_EPOCH + Duration::from_secs(seconds), seconds).unwrap();
        let (first, second) = (at(1_700_000_000), at(1_700_000_001));
        let bytes = |request: &Request<Full<Bytes>>| format!("{:?}", request.body());
        assert_eq!(bytes(&first), bytes(&second));
        for same in ["webhook-id", "content-type"] {
            assert_eq!(first.headers()[same], second.headers()[same]);
        }
        assert_eq!(first.headers()["webhook-id"], batch.id().as_str());
        assert_eq!(first.headers()["webhook-timestamp"], "1700000000");
        for other in ["webhook-timestamp", "webhook-signature", "traceparent"] {
            assert_ne!(first.headers()[other], second.headers()[other]);
        }
    }

    #[test]
    fn a_body_is_as_long_as_was_reserved() {
        let body = array(&crate::fuzz::batch(&["a", "b", "c"]));
        assert_eq!(body.len(), crate::fuzz::batch(&["a", "b", "c"]).max_bytes() + 1);
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&body).unwrap().len(), 3);
    }
}
