//! One attempt: make the request, post, read, judge.

mod access;
mod asking;
mod content;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use hooks_core::{
    BoxError, Exchange, Rate, Sink,
    sink::{Batch, BatchId, Delivered, DeliveryError, Odd, SinkContext, Unread},
};
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode, Version, response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::sync::Semaphore;

use crate::answered::{Answered, Asking, Unanswered};
use crate::client::Client;
use crate::config::{Answers, Mode};
use crate::connection_state::{ConnectionState, Trust};
use crate::content::Content;
use crate::endpoint::{printable, without_path};
use crate::grant::Handshake;
use crate::header_names::TRACEPARENT;
use crate::mask::Mask;
use crate::outcome::{AnswerContext, Judged, judge};
use crate::ready::Ready;
use crate::received::{End, Received};
use crate::report::Report;
use crate::request::Requests;
use crate::timing::Timing;
use crate::transport;
use access::Access;

/// Posts batches to one address. Built from an [`HttpConfig`](crate::HttpConfig).
///
/// # Cancel safety
/// A dropped attempt closes its connection; the receiver may have taken the batch all the same. The sink
/// can be used again at once.
pub struct HttpSink {
    client: Arc<Client>,
    /// As many permits as there may be requests in flight to the host.
    slots: Arc<Semaphore>,
    /// True if connections to its origin take more than one request.
    trust: Arc<Trust>,
    /// True if it has been said that they don't.
    told: bool,
    /// For errors: method and address, without what may be secret.
    name: Box<str>,
    /// For tests: method and address.
    shown: Box<str>,
    requests: Requests,
    /// Asks the receiver first, where that is wanted.
    handshake: Option<Box<Handshake>>,
    /// Sends access tokens, where that is wanted.
    access: Option<Box<Access>>,
    mode: Mode,
    /// True if requests have headers that the events decide.
    has_own_headers: bool,
    /// The content of a batch that was tried, where it is kept for the next attempt.
    content: Option<Box<(BatchId, Content)>>,
    mask: Mask,
    max_response_bytes: usize,
    partial_answers: bool,
    answers: Answers,
    /// True if the attempt waits for one of the slots.
    waits: bool,
    /// The connection that the request goes out on, until the head of its answer has been read.
    asking: Option<Asking>,
    /// The answer that is being read.
    received: Option<Received>,
    /// True if attempts are recorded.
    recorded: bool,
    /// Measures the attempt, if it is.
    timing: Option<Timing>,
    /// For a test delivery: tells what happens.
    report: Option<Report>,
}

impl HttpSink {
    pub(crate) fn new(mut ready: Ready, context: &SinkContext) -> Result<Self, BoxError> {
        let report = context.notes.clone().map(Report::new);
        let settings = ready.client.clone().within(context.attempt_timeout);
        let client = match &report {
            Some(report) => settings.traced(report.trace())?,
            None => settings.client(context)?,
        };
        let origin = ready.url.origin().ascii_serialization();
        let place = format!("requests to {origin} {}", ready.max_per_host);
        let slots = context.shared::<_, BoxError>(&place, || Ok(Semaphore::new(ready.max_per_host)))?;
        Ok(Self {
            client,
            slots,
            trust: context.shared::<_, BoxError>(&format!("trust in {origin}"), || Ok(Trust::default()))?,
            told: false,
            name: format!("{} {}", ready.method, without_path(&ready.url)).into(),
            shown: format!("{} {}", ready.method, printable(&ready.url)).into(),
            handshake: Handshake::new(&ready, context)?,
            access: ready.oauth2.take().map(|request| Access::new(request, context)).transpose()?,
            mode: ready.contents.mode,
            has_own_headers: ready.contents.has_headers(),
            content: None,
            mask: mask(&ready),
            max_response_bytes: ready.max_response_bytes,
            partial_answers: ready.partial_answers,
            answers: std::mem::take(&mut ready.answers),
            waits: false,
            asking: None,
            received: None,
            requests: Requests::new(ready, context.hook.as_str()),
            recorded: context.recorded,
            timing: None,
            report,
        })
    }

    /// Makes the request of an attempt at this time; the length of its body.
    pub(crate) fn body_length(&self, batch: &Batch, now: SystemTime) -> usize {
        let content = self.requests.content(batch).unwrap_or_default();
        let request = self.requests.make(batch, content, now, 1).ok();
        request.and_then(|request| request.body().size_hint().exact()).unwrap_or(0) as usize
    }

    async fn attempt(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        let mut received = self.post(batch).await?;
        if self.renew_token(&received).await? {
            received = self.post(batch).await?;
        }
        self.judge(batch, &received)
    }

    /// Sends a batch and reads the answer.
    async fn post(&mut self, batch: &Batch) -> Result<Received, DeliveryError> {
        let answered = loop {
            let answered = self.ask(batch).await?;
            // Each time with one connection less that had been kept.
            if !answered.as_ref().is_err_and(transport::is_unsent) {
                break answered;
            }
        };
        let answered = match answered {
            Ok(answered) => answered,
            Err(error) => {
                self.measure(|timing| timing.failed(&error));
                return transport::unread(&error).ok_or_else(|| {
                    self.tell(|report| report.failed(&error));
                    transport::failed(&self.name, &error)
                });
            }
        };
        self.tell(|report| report.answer(&answered, &self.mask));
        Ok(self.receive(answered).await)
    }

    async fn ask(&mut self, batch: &Batch) -> Result<Result<Answered, Unanswered>, DeliveryError> {
        let content = self.content(batch)?;
        let not_made =
            |error| DeliveryError::retry(format!("{}: the body can't be compressed", self.name)).because(error);
        let mut request =
            self.requests.make(batch, content, SystemTime::now(), fastrand::u64(1..)).map_err(not_made)?;
        if self.trust.is_lost() {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.authorize(request.headers_mut());
        self.tell(|report| report.request(&request, &self.shown, &self.mask));
        self.measure(|timing| timing.sends(request.headers().get(TRACEPARENT)));
        self.measure(Timing::ask);
        let answered = self.client.request(request, &mut self.asking).await;
        self.asking = None;
        Ok(answered)
    }

    /// Reads an answer up to the limit. What is beyond stays unread, and the connection is closed.
    async fn receive(&mut self, Answered { response, connection, lease }: Answered) -> Received {
        let (head, mut incoming) = response.into_parts();
        // The next answer on this connection is another.
        connection.as_ref().map(ConnectionState::take_status);
        self.measure(|timing| timing.answered(head.status, connection.as_ref()));
        let (keeps, is_reused) = (keeps(&head), connection.as_ref().is_some_and(ConnectionState::is_reused));
        let (status, headers) = (head.status, head.headers);
        // From here on the attempt has a result, also when its time is over before the body ends.
        let received = self.received.insert(Received { status, headers, body: Vec::new(), end: End::Late, is_reused });
        let end = loop {
            match incoming.frame().await.transpose() {
                Ok(None) => break End::Whole,
                Ok(Some(frame)) => {
                    // Trailers say nothing of events.
                    let chunk = frame.into_data().unwrap_or_default();
                    let room = self.max_response_bytes - received.body.len();
                    received.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break End::Limit;
                    }
                }
                Err(error) => break End::Broken(transport::cause(&error)),
            }
        };
        let received = Received { end, ..std::mem::take(received) };
        self.received = None;
        self.measure(Timing::end);
        if let (End::Whole, Some(connection), true) = (&received.end, connection, keeps) {
            connection.answered(&self.trust);
        }
        // Before it can take another request.
        drop((incoming, lease));
        received
    }

    fn judge(&mut self, batch: &Batch, received: &Received) -> Result<Delivered, DeliveryError> {
        self.tell(|report| report.received(received, self.access.is_some()));
        self.measure(|timing| timing.status(received.status));
        if received.is_reused && self.trust.is_lost() {
            let doubt =
                "may answer an earlier request: the receiver, or a proxy before it, sends more than it is asked for";
            return Err(DeliveryError::retry(format!("{}: {} {doubt}", self.name, received.status.as_u16())));
        }
        let context = AnswerContext {
            request: &self.name,
            batch,
            mask: &self.mask,
            now: SystemTime::now(),
            partial_answers: self.partial_answers,
            answers: &self.answers,
            has_own_headers: self.has_own_headers,
            max_bytes: self.max_response_bytes,
        };
        let Judged { mut result, advice } = judge(&context, received);
        self.tell(|report| report.advise(advice));
        if let (Ok(Delivered { odd: odd @ None, .. }), true, false) = (&mut result, self.trust.is_lost(), self.told) {
            self.told = true;
            *odd = Some(Odd { what: format!("{}: {UNASKED}", self.name).into(), unread: Unread::Nothing });
        }
        result
    }

    fn measure(&mut self, what: impl FnOnce(&mut Timing)) {
        if let Some(timing) = &mut self.timing {
            what(timing);
        }
    }

    fn tell(&self, what: impl FnOnce(&Report)) {
        if let Some(report) = &self.report {
            what(report);
        }
    }
}

/// The warning about a receiver that is not trusted.
const UNASKED: &str = "the receiver, or a proxy before it, sends more than the answer to a request (a second answer, a body \
                       beyond `content-length` or with a 204). That could be taken for the next answer, so each request to \
                       this host and port has a connection of its own from now on. Correct it there, and restart";

/// True if an answer with this head leaves the connection open, for another request.
fn keeps(head: &response::Parts) -> bool {
    let says = |what: &str| {
        let mut options =
            head.headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(what.as_bytes()))
    };
    match head.version {
        Version::HTTP_11 => head.status != StatusCode::SWITCHING_PROTOCOLS && !says("close"),
        Version::HTTP_10 => says("keep-alive"),
        _ => false,
    }
}

/// The secrets that are sent: headers of the settings, also that for the proxy, and the query.
fn mask(ready: &Ready) -> Mask {
    let proxy = ready.client.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref());
    let headers = ready.headers.values().filter(|value| value.is_sensitive()).chain(proxy);
    Mask::new(headers, &ready.values, &ready.url)
}

#[async_trait]
impl Sink for HttpSink {
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
        if self.mode == Mode::Single && batch.len() > 1 {
            // Only a batcher of somebody's own makes such a batch. Split, it goes.
            let error = format!("{}: mode = \"single\" sends one event at a time, not {}", self.name, batch.len());
            return Err(DeliveryError::rejected(error));
        }
        (self.asking, self.received) = (None, None);
        self.timing = self.recorded.then(Timing::start);
        // A test goes out at once. No semaphore is ever closed.
        let slots = self.slots.clone();
        self.waits = true;
        let _slot = if self.report.is_some() { None } else { slots.acquire().await.ok() };
        self.waits = false;
        self.begin_access();
        self.obtain_token().await?;
        self.measure(Timing::waited);
        if self.handshake.is_some() {
            self.obtain_grant().await?;
        }
        let result = self.attempt(batch).await;
        if result.is_ok() {
            self.content = None;
        }
        result
    }

    fn cut_short(&mut self, batch: &Batch) -> Option<Result<Delivered, DeliveryError>> {
        if self.waits {
            let why = "nothing was sent: as many requests as `connections.max_per_host` allows were on their way to the \
                       host all the time, of this hook or others";
            return Some(Err(DeliveryError::retry(format!("{}: {why}", self.name))));
        }
        if let Some(without) = self.cut_short_without_token() {
            return Some(Err(without));
        }
        if let Some(ungranted) = self.cut_short_ungranted() {
            return Some(Err(ungranted));
        }
        let asking = self.asking.take();
        self.measure(|timing| timing.cut_short(asking.as_ref()));
        let begun = || asking.as_ref().and_then(transport::begun);
        let Some(received) = self.received.take().or_else(begun) else {
            asking.iter().for_each(Asking::give_up);
            self.tell(Report::late);
            return None;
        };
        Some(self.judge(batch, &received))
    }

    fn preview(&mut self, batch: &Batch) -> Option<Result<String, DeliveryError>> {
        Some(self.content(batch).map(|content| self.requests.shown(batch, content, &self.shown, &self.mask)))
    }

    fn exchange(&mut self) -> Exchange {
        self.timing.take().map(Timing::into_exchange).unwrap_or_default()
    }

    fn allowed_rate(&self) -> Option<Rate> {
        self.handshake.as_deref().and_then(Handshake::allowed_rate)
    }
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("request", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;
    use hooks_core::{
        HookId,
        sink::{Shared, SinkConfig},
    };

    fn context(shared: &Arc<Shared>, hook: &str) -> SinkContext {
        SinkContext::new(HookId::new(hook).unwrap(), shared.clone())
    }

    #[test]
    fn hooks_with_the_same_tls_settings_share_a_client() {
        let shared = Arc::default();
        let build = |config: HttpConfig| config.build(&context(&shared, "h")).unwrap();
        let first = build(HttpConfig::new("http://one/"));
        let second = build(HttpConfig::new("http://two/").header("a", "b"));
        let mut slower = HttpConfig::new("http://one/");
        slower.connect_timeout = Some("7s".parse().unwrap());
        assert!(Arc::ptr_eq(&first.client, &second.client));
        assert!(!Arc::ptr_eq(&first.client, &build(slower).client));
        assert!(!Arc::ptr_eq(&first.slots, &second.slots), "another host");
        assert!(Arc::ptr_eq(&first.slots, &build(HttpConfig::new("http://one/x?y")).slots));
    }

    #[cfg(feature = "http2")]
    #[test]
    fn hooks_share_no_http2_connection() {
        let shared = Arc::default();
        let build = |hook| {
            let mut config = HttpConfig::new("http://one/");
            config.http_version = crate::HttpVersion::Http2;
            config.build(&context(&shared, hook)).unwrap()
        };
        let (first, lane, other) = (build("a"), build("a"), build("b"));
        assert!(Arc::ptr_eq(&first.client, &lane.client));
        assert!(!Arc::ptr_eq(&first.client, &other.client));
    }

    #[test]
    fn settings_that_were_not_validated_are_checked_when_built() {
        let error = HttpConfig::new("ftp://me:open-sesame@h/").build(&context(&Arc::default(), "h")).unwrap_err();
        assert_eq!(error.to_string(), "url: `ftp` is not supported: use http:// or https://");
    }
}
