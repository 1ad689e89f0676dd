//! The routes, and what a request has to be.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::any;
use http::header::{ACCEPT, EXPECT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::answer::{self, Answer, Refusal};
use super::outgoing::Outgoing;
use super::sender::Sender;
use super::state::State;
use super::{body, events, grants, host, operators};
use crate::admin::AdminService;
use crate::metrics::Format;
use crate::{Tokens, field};

/// All routes, to be mounted in a server of somebody else.
pub(crate) fn router(state: Arc<State>) -> Router {
    pages().layer(from_fn(with_host)).route(events::PATH, any(publish)).with_state(state)
}

/// The routes beside [`events::PATH`], and the answer where there is none.
pub(super) fn beside_events(state: &Arc<State>, service: Option<&AdminService>) -> Router {
    let pages = pages().with_state(state.clone());
    let pages = match service {
        Some(service) => pages.merge(operators::routes(state, service)),
        None => pages,
    };
    pages.fallback(nothing).layer(from_fn(with_host))
}

fn pages() -> Router<Arc<State>> {
    Router::new()
        .route("/healthz", any(health))
        .route("/readyz", any(ready))
        .route("/metrics", any(metrics))
        .layer(from_fn(only_read))
        .merge(grants::routes())
}

fn whole(answer: Answer) -> Response {
    answer.map(Body::from)
}

async fn publish(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (parts, mut body) = request.into_parts();
    let settings = state.settings();
    let answer = events::answer(events::look(&parts, &settings), &parts, &mut body, &state, &settings).await;
    body::read_rest(&mut body, parts.headers.contains_key(EXPECT), answer.status(), &state).await;
    whole(answer)
}

async fn health() -> Response {
    whole(answer::text(StatusCode::OK, "ok\n"))
}

async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    whole(match state.why_not_ready() {
        Some(why) => answer::text(StatusCode::SERVICE_UNAVAILABLE, why),
        None => answer::text(StatusCode::OK, "ready\n"),
    })
}

async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let settings = state.settings();
    // As long as no token may read, nobody could.
    if settings.tokens.as_ref().is_some_and(Tokens::has_readers)
        && let Err(refusal) = Sender::reads_all(&headers, &settings)
    {
        return whole(refusal.answer());
    }
    let accept = field::list(&headers, ACCEPT).collect::<Vec<_>>().join(",");
    let format = Format::accepted(Some(&accept));
    match state.metrics.get(format).await {
        Ok(page) => {
            let media_type = HeaderValue::from_static(format.media_type());
            answer::with(StatusCode::OK, media_type, Body::new(Outgoing::new(page)))
        }
        Err(error) => whole(Refusal::Unavailable(format!("there can be no thread now: {error}")).answer()),
    }
}

async fn nothing() -> Response {
    whole(Refusal::NotFound.answer())
}

async fn with_host(request: Request, next: Next) -> Response {
    match host::check(request.version(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => whole(refusal.answer()),
    }
}

async fn only_read(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => next.run(request).await,
        _ => whole(Refusal::Method("GET, HEAD").answer()),
    }
}

#[cfg(test)]
mod tests;
