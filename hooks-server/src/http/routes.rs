//! The routes, and what a request has to be.

use std::error::Error;
use std::sync::Arc;

use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body;

use super::answer::{self, Answer, Refusal};
use super::outgoing::Outgoing;
use super::state::State;
use super::{events, host};
use crate::field;
use crate::metrics::Format;

/// Answers a request. Of its body, no more is read than the answer takes.
pub(super) async fn answer<B>(parts: &Parts, body: &mut B, state: &Arc<State>) -> Response<Outgoing>
where
    B: Body + Unpin,
    B::Error: Error + 'static,
{
    let answer = match (parts.uri.path(), host::check(parts.version, &parts.headers)) {
        (events::PATH, _) => events::answer_request(parts, body, state).await,
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

#[cfg(test)]
mod tests;
