//! The routes, and what a request has to be.

use std::error::Error;
use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::task::Poll;

use hooks_core::{BusError, Slice};
use http::header::{ACCEPT, CONTENT_ENCODING, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use http_body::Body;

use super::answer::{self, Answer, Refusal};
use super::binary;
use super::body::{self, Taken};
use super::decode::{Refused, decode};
use super::format::Kind;
use super::outgoing::Outgoing;
use super::state::{Phase, Settings, State};
use crate::field;
use crate::metrics::Format;

/// True if the client may publish, so that it takes a place.
pub(super) fn wants_to_publish(parts: &Parts, state: &State) -> bool {
    parts.uri.path() == EVENTS && look(parts, &state.settings()).is_ok()
}

/// The answer to a publisher for whom there is no place.
pub(super) fn crowded(state: &State) -> Response<Outgoing> {
    let answer = Refusal::Busy("all of ingest.max_connections are busy with requests".to_owned()).answer();
    state.counters.count(answer.status().as_u16());
    answer.map(Outgoing::from)
}

/// Answers a request. Of its body, no more is read than the answer takes.
pub(super) async fn answer<B>(parts: &Parts, body: &mut B, state: &Arc<State>) -> Response<Outgoing>
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    let answer = match (parts.uri.path(), host(parts.version, &parts.headers)) {
        (EVENTS, _) => events(parts, body, state).await,
        (_, Err(refusal)) => refusal.answer(),
        ("/healthz", _) => page(parts, || answer::text(StatusCode::OK, "ok\n")),
        ("/readyz", _) => page(parts, || match state.why_not_ready() {
            Some(why) => answer::text(StatusCode::SERVICE_UNAVAILABLE, why),
            None => answer::text(StatusCode::OK, "ready\n"),
        }),
        ("/metrics", _) if is_page(parts) => return metrics(parts, state).await,
        ("/metrics", _) => Refusal::Method("GET, HEAD").answer(),
        _ => Refusal::NotFound.answer(),
    };
    answer.map(Outgoing::from)
}

const EVENTS: &str = "/v1/events";

/// The asked host has to be clear (RFC 9112, §3.2): where it is not, another server in between may have understood
/// something else.
fn host(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let why = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => "stands twice",
        (Some(host), None) if !is_host(host.as_bytes()) => "is no host and port",
        (None, _) if version == Version::HTTP_11 => "is missing",
        _ => return Ok(()),
    };
    Err(Refusal::Host(why))
}

fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_graphic() && !b",/?#@\\".contains(byte))
}

fn is_page(parts: &Parts) -> bool {
    matches!(parts.method, Method::GET | Method::HEAD)
}

fn page(parts: &Parts, make: impl FnOnce() -> Answer) -> Answer {
    if is_page(parts) { make() } else { Refusal::Method("GET, HEAD").answer() }
}

async fn metrics(parts: &Parts, state: &State) -> Response<Outgoing> {
    let accept = field::list(&parts.headers, ACCEPT).collect::<Vec<_>>().join(",");
    let format = Format::accepted(Some(&accept));
    match state.metrics.get(format).await {
        Ok(page) => answer::with(StatusCode::OK, HeaderValue::from_static(format.media_type()), Outgoing::from(page)),
        Err(error) => Refusal::Unavailable(format!("there can be no thread now: {error}")).answer().map(Outgoing::from),
    }
}

async fn events<B>(parts: &Parts, body: &mut B, state: &Arc<State>) -> Answer
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    let settings = state.settings();
    let answer = match take(parts, body, state, &settings).await {
        Ok(count) => answer::accepted(count),
        Err(refusal) => refusal.answer(),
    };
    state.counters.count(answer.status().as_u16());
    answer
}

/// Everything from the first look at the head to the bus's answer.
async fn take<B>(parts: &Parts, body: &mut B, state: &Arc<State>, settings: &Settings) -> Result<usize, Refusal>
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    let kind = look(parts, settings)?;
    let ingest = &settings.ingest;
    let mut phase = state.phase();
    let taken = tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase != Phase::Accepting) => return Err(Refusal::Draining),
        taken = body::read(body, ingest.max_body.get(), ingest.body_timeout.0, &state.room) => taken?,
    };
    let slice = match kind {
        Kind::Structured(format) => decode(&taken.bytes, format, &settings.limits).await.map_err(Refusal::from)?,
        Kind::Binary => binary::decode(&parts.headers, &taken.bytes, &settings.limits).map_err(Refusal::NoEvent)?,
    };
    let Taken { bytes, share } = taken;
    drop(bytes);
    publish(slice, share, state, settings).await
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Faults(faults, more) => Self::Faults(faults, more),
            Refused::TooMany(max) => Self::TooLarge(format!("more than {max} events in one request")),
            Refused::Foreign(what) => Self::NoEvent(format!("the body seems to be {what}")),
        }
    }
}

/// Everything that can be said before the body is read.
fn look(parts: &Parts, settings: &Settings) -> Result<Kind, Refusal> {
    host(parts.version, &parts.headers)?;
    if parts.method != Method::POST {
        return Err(Refusal::Method("POST"));
    }
    if settings.tokens.as_ref().is_some_and(|tokens| !tokens.allow(&parts.headers)) {
        return Err(Refusal::Unauthorized);
    }
    if is_encoded(&parts.headers) {
        return Err(Refusal::Encoding);
    }
    Kind::of(&parts.headers)
}

/// True if the body is compressed or otherwise encoded, once its chunks are put together.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = field::list(headers, CONTENT_ENCODING);
    let mut transfer = field::list(headers, TRANSFER_ENCODING);
    codings.any(|coding| !coding.eq_ignore_ascii_case("identity"))
        || transfer.next().is_some_and(|coding| !coding.eq_ignore_ascii_case("chunked"))
        || transfer.next().is_some()
}

/// Publishes, on a separate task where that takes time: a client that goes away does not stop it halfway.
async fn publish(
    slice: Slice,
    share: impl Send + 'static,
    state: &Arc<State>,
    settings: &Settings,
) -> Result<usize, Refusal> {
    let count = slice.len();
    if count == 0 {
        return Ok(0);
    }
    let right = state.may_publish().ok_or(Refusal::Draining)?;
    let (bus, limit) = (state.bus.clone(), settings.ingest.publish_timeout.0);
    let mut publishing = Box::pin(async move {
        let published = tokio::time::timeout(limit, bus.publish(slice)).await;
        drop((right, share));
        published
    });
    let published = match poll_fn(|context| Poll::Ready(publishing.as_mut().poll(context))).await {
        Poll::Ready(published) => Ok(published),
        Poll::Pending => tokio::spawn(publishing).await,
    };
    if let Ok(Ok(result)) = &published {
        state.published(result);
    }
    match published {
        Ok(Ok(Ok(()))) => Ok(count),
        Ok(Ok(Err(error))) => Err(refused(&error)),
        Ok(Err(_)) => Err(late(state.bus.health().trouble())),
        Err(_) => Err(Refusal::Internal),
    }
}

/// The bus gave no answer in time: as its contract says, all may have been accepted or nothing.
fn late(trouble: Option<&str>) -> Refusal {
    let why = trouble
        .unwrap_or("what keeps events (a disk, NATS) is slow or hangs, or a hook that makes publishers wait is behind");
    Refusal::Busy(format!(
        "it was not accepted in time, and may be all the same: send it again with the same ids; {why}"
    ))
}

/// The reason why the bus did not accept everything.
fn refused(error: &BusError) -> Refusal {
    let (cause, accepted) = error.parts();
    let text = error.to_string();
    let refusal = match cause {
        BusError::Closed => Refusal::Draining,
        BusError::Full(_) => Refusal::Full(text),
        BusError::TooLarge(_) => Refusal::TooLarge(text),
        _ => Refusal::Unavailable(text),
    };
    if accepted.is_empty() { refusal } else { Refusal::Partly { accepted: accepted.to_vec(), why: Box::new(refusal) } }
}

#[cfg(test)]
mod tests;
