//! `POST /v1/events`: from a request to published events.

mod binary;
mod decode;
mod finishing;
mod format;
mod media_type;
mod operation;
mod wording;

pub(crate) use operation::Event;

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::FutureExt as _;
use hooks_core::{BusError, Slice, TenantId, bus::Published};
use http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body::Body;

use super::answer::{self, Answer, Refusal};
use super::body::{self, Taken};
use super::host;
use super::sender::publisher;
use super::state::{Phase, State};
use crate::otlp::PublishRequest;
use crate::{Settings, field};
use decode::{Refused, decode};
use finishing::Finishing;
use format::Kind;
pub(super) use operation::operation;

/// Where events are posted to.
pub(super) const PATH: &str = "/v1/events";

/// What the head of a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    kind: Kind,
    /// The one tenant whose events are taken.
    tenant: Option<TenantId>,
}

/// The answer to a publisher for whom there is no place.
pub(super) fn crowded(state: &State) -> Answer {
    let answer = Refusal::Busy("all of ingest.max_connections are busy with requests".to_owned()).answer();
    state.requests.count(answer.status().as_u16());
    answer
}

/// Answers a request to publish. Of its body, no more is read than the answer takes.
pub(super) async fn answer<B>(
    asked: Result<Asked, Refusal>,
    parts: &Parts,
    body: &mut B,
    state: &Arc<State>,
    settings: &Settings,
) -> Answer
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    // Whoever may not publish makes no spans.
    let span = state.telemetry.as_ref().zip(asked.as_ref().ok());
    let span = span.map(|(telemetry, asked)| (telemetry, asked.tenant.clone(), SystemTime::now(), Instant::now()));
    let taken = match asked {
        Ok(asked) => take(asked, parts, body, state, settings).await,
        Err(refusal) => Err(refusal),
    };
    let accepted = taken.as_ref().map_or(0, |published| published.events);
    let answer = match taken {
        Ok(published) => answer::accepted(published),
        Err(refusal) => refusal.answer(),
    };
    state.requests.count(answer.status().as_u16());
    if let Some((telemetry, tenant, began, since)) = span {
        let traceparent = parts.headers.get("traceparent").map(http::HeaderValue::as_bytes);
        let (took, status) = (since.elapsed(), answer.status());
        telemetry.published(&PublishRequest { traceparent, tenant: tenant.as_ref(), began, took, status, accepted });
    }
    answer
}

/// Everything from the body to the bus's answer.
async fn take<B>(
    asked: Asked,
    parts: &Parts,
    body: &mut B,
    state: &Arc<State>,
    settings: &Settings,
) -> Result<Published, Refusal>
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    let Asked { kind, tenant } = asked;
    let ingest = &settings.ingest;
    let mut phase = state.phase();
    let taken = tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase != Phase::Accepting) => return Err(Refusal::Draining),
        taken = body::read(body, ingest.max_body.get(), ingest.body_timeout.get(), &state.room) => taken?,
    };
    let slice = match kind {
        Kind::Structured(format) => {
            decode(&taken.bytes, format, settings, tenant.as_ref()).await.map_err(Refusal::from)?
        }
        Kind::Binary => binary::decode(&parts.headers, &taken.bytes, settings, tenant.as_ref())?,
    };
    let Taken { bytes, share } = taken;
    drop(bytes);
    if let Some(tenant) = &tenant {
        state.admit(tenant, slice.bytes(), settings)?;
    }
    publish(slice, share, state, settings).await
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Faults(faults, more) => Self::Faults(faults, more),
            Refused::OtherTenant(faults, more) => Self::OtherTenant(faults, more),
            Refused::TooMany(max) => Self::TooLarge(format!("more than {max} events in one request")),
            Refused::Foreign(what) => Self::NoEvent(format!("the body seems to be {what}")),
        }
    }
}

/// Everything that can be said before the body is read.
pub(super) fn look(parts: &Parts, settings: &Settings) -> Result<Asked, Refusal> {
    host::check(parts.version, &parts.headers)?;
    if parts.method != Method::POST {
        // Operators look into the log here.
        return Err(Refusal::Method("GET, HEAD, POST"));
    }
    let tenant = publisher(&parts.headers, settings)?;
    if is_encoded(&parts.headers) {
        return Err(Refusal::Encoding);
    }
    Ok(Asked { kind: Kind::of(&parts.headers)?, tenant })
}

/// True if the body is compressed or otherwise encoded, once its chunks are put together.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = field::list(headers, CONTENT_ENCODING);
    let mut transfer = field::list(headers, TRANSFER_ENCODING);
    codings.any(|coding| !coding.eq_ignore_ascii_case("identity"))
        || transfer.next().is_some_and(|coding| !coding.eq_ignore_ascii_case("chunked"))
        || transfer.next().is_some()
}

/// Publishes. A client that goes away does not stop it halfway.
async fn publish(
    slice: Slice,
    share: impl Send + 'static,
    state: &Arc<State>,
    settings: &Settings,
) -> Result<Published, Refusal> {
    if slice.is_empty() {
        return Ok(Published::default());
    }
    let right = state.may_publish().ok_or(Refusal::Draining)?;
    let (bus, limit) = (state.bus.clone(), settings.ingest.publish_timeout.get());
    let publishing = async move {
        let published = tokio::time::timeout(limit, bus.publish(slice)).await;
        drop((right, share));
        published
    };
    let published = Finishing::new(AssertUnwindSafe(publishing).catch_unwind()).await;
    if let Ok(Ok(result)) = &published {
        state.published(result);
    }
    match published {
        Ok(Ok(Ok(published))) => Ok(published),
        Ok(Ok(Err(error))) => Err(refused(&error)),
        Ok(Err(_)) => Err(late(state.bus.monitor().health().trouble())),
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
