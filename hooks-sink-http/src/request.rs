//! Makes requests of batches.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hooks_core::sink::Batch;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use crate::compress::Encoding;
use crate::config::Mode;
use crate::content::{Content, Contents, Form, Unfit, is_traced};
use crate::header_names::{ID, IDEMPOTENCY_KEY, TIMESTAMP, TRACEPARENT, TRACESTATE};
use crate::mask::Mask;
use crate::ready::Ready;
use crate::sign::Signer;
use crate::traceparent::TraceContext;

/// Headers that an event decides, as many as most have.
const EVENT_HEADERS: usize = 16;

/// Turns batches into requests.
pub(crate) struct Requests {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    signer: Signer,
    contents: Contents,
    hook: Box<str>,
    encoding: Option<Encoding>,
    idempotency_key: bool,
    traceparent: bool,
}

impl Requests {
    /// For this hook.
    pub(crate) fn new(ready: Ready, hook: &str) -> Self {
        let Ready { method, uri, mut headers, signer, contents, encoding, idempotency_key, traceparent, .. } = ready;
        if contents.has_headers() {
            // Copies have room, too, and don't grow with each request.
            headers.reserve(EVENT_HEADERS);
        }
        Self { method, uri, headers, signer, contents, hook: hook.into(), encoding, idempotency_key, traceparent }
    }

    /// The part of a request that is the same at every attempt.
    ///
    /// # Errors
    /// When none can be made of the batch.
    pub(crate) fn content(&self, batch: &Batch) -> Result<Content, Unfit> {
        self.contents.make(&self.hook, batch)
    }

    /// True if making the content again would cost more than keeping it.
    pub(crate) fn keeps_content(&self) -> bool {
        self.contents.is_rendered()
    }

    /// The batch as it is sent at this time: with a timestamp, a span (not 0) and signatures of its own.
    ///
    /// # Errors
    /// When it can't be compressed.
    pub(crate) fn make(
        &self,
        batch: &Batch,
        content: Content,
        now: SystemTime,
        span: u64,
    ) -> std::io::Result<Request<Full<Bytes>>> {
        let Content { body, headers: of_events } = content;
        let id = batch.id().as_str();
        let id_value = HeaderValue::from_str(id).expect("a batch id is made of letters, digits, `-` and `_`");
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = Request::new(Full::default());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.extend(of_events);
        if self.idempotency_key {
            headers.insert(IDEMPOTENCY_KEY, id_value.clone());
        }
        if self.traceparent {
            let TraceContext { parent, state } = self.context(batch, &body, headers, span);
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
        if body.is_empty() {
            // The HTTP client leaves it out then, and receivers may wait for it or refuse (RFC 9110, section 8.6).
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        *request.body_mut() = body.into();
        Ok(request)
    }

    /// A request for people to read, without secrets.
    pub(crate) fn shown(&self, batch: &Batch, content: Content, name: &str, mask: &Mask) -> String {
        let body = match std::str::from_utf8(&content.body) {
            Ok(text) => mask.body(text),
            Err(_) => format!("({} bytes that are no text)", content.body.len()),
        };
        let made = self.make(batch, content, SystemTime::now(), fastrand::u64(1..));
        let mut text = format!("{name}\n");
        for (name, value) in made.iter().flat_map(|request| request.headers()) {
            let _ = writeln!(text, "{name}: {}", mask.header(value));
        }
        format!("{text}\n{body}\n")
    }

    fn context(&self, batch: &Batch, body: &[u8], headers: &HeaderMap, span: u64) -> TraceContext {
        let continued = match (self.contents.mode, self.contents.form) {
            (Mode::Batch, _) => None,
            (Mode::Single, Form::CloudEvents) => {
                std::str::from_utf8(body).ok().and_then(|event| TraceContext::of_event(event, span))
            }
            (Mode::Single, Form::Binary) if !is_traced(headers) => None,
            (Mode::Single, _) => batch.lines().next().and_then(|event| TraceContext::of_event(&event, span)),
        };
        continued.unwrap_or_else(|| TraceContext::of_batch(batch.id().as_str(), span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;
    use std::time::Duration;

    fn requests(config: &HttpConfig) -> Requests {
        Requests::new(Ready::new(config).unwrap(), "hook")
    }

    #[test]
    fn a_request_without_a_body_says_so() {
        let mut config = HttpConfig::new("http://h/");
        (config.mode, config.body) = (crate::Mode::Single, crate::Body::Binary);
        let requests = requests(&config);
        let length = |event: &str| {
            let batch = Batch::for_test([hooks_core::Envelope::from_json(event.as_bytes()).unwrap()]);
            let content = requests.content(&batch).unwrap();
            requests.make(&batch, content, UNIX_EPOCH, 1).unwrap().headers().get(CONTENT_LENGTH).cloned()
        };
        assert_eq!(length(r#"{"type":"t"}"#), Some(HeaderValue::from(0)));
        assert_eq!(length(r#"{"type":"t","data":1}"#), None, "the HTTP client sets it");
    }

    #[test]
    fn an_event_in_binary_mode_goes_on_with_its_trace_and_says_its_version() {
        let mut config = HttpConfig::new("http://h/");
        (config.mode, config.body) = (crate::Mode::Single, crate::Body::Binary);
        let requests = requests(&config);
        let made = |event: &str| {
            let batch = Batch::for_test([hooks_core::Envelope::from_json(event.as_bytes()).unwrap()]);
            requests.make(&batch, requests.content(&batch).unwrap(), UNIX_EPOCH, 7).unwrap()
        };
        let traced = r#"{"type":"t","data":1,"tracestate":"a=\"b\"","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}"#;
        let request = made(traced);
        let parent = "00-0af7651916cd43dd8448eb211c80319c-0000000000000007-00";
        assert_eq!(request.headers()[TRACEPARENT], parent);
        assert_eq!(request.headers()[TRACESTATE], "a=\"b\"");
        assert_eq!(request.headers().get_all("ce-specversion").iter().collect::<Vec<_>>(), ["1.0"]);
        let untraced =
            made(r#"{"type":"t","data":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}}"#);
        assert!(!untraced.headers()[TRACEPARENT].to_str().unwrap().contains("0af7651916cd43dd8448eb211c80319c"));
    }

    #[test]
    fn a_repeated_attempt_has_the_same_bytes_and_a_fresh_signature() {
        let requests = requests(&HttpConfig::new("http://h/").secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
        let batch = crate::fuzz::batch(&["a", "b"]);
        let at = |seconds| {
            let content = requests.content(&batch).unwrap();
            requests.make(&batch, content, UNIX_EPOCH + Duration::from_secs(seconds), seconds).unwrap()
        };
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
}
