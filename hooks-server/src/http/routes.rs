//! The routes, and what a request has to be.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::post;
use http::header::{ACCEPT, EXPECT};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::answer::{self, Answer, Refusal, TEXT};
use super::outgoing::Outgoing;
use super::sender::Sender;
use super::state::State;
use super::{body, events, grants, host, operators};
use crate::admin::{AdminService, Content, Operation, Routes};
use crate::metrics::Format;
use crate::{Tokens, field, ui};

/// All routes, to be mounted in a server of somebody else.
pub(crate) fn router(state: Arc<State>) -> Router {
    // Operators who look into the log ask at the same path.
    pages().into_router().layer(from_fn(with_host)).route(events::PATH, post(publish)).with_state(state)
}

/// The routes beside [`events::PATH`], and the answer where there is none.
pub(super) fn beside_events(state: &Arc<State>, service: Option<&AdminService>) -> Router {
    let mut operations = pages().operations();
    operations.push(events::operation());
    let pages = pages().into_router().with_state(state.clone());
    let pages = match service {
        Some(service) => {
            let known = state.clone();
            let page = ui::router(move || known.settings().frame_ancestors.clone());
            pages.merge(operators::routes(state, service, operations)).merge(page)
        }
        None => pages,
    };
    pages.fallback(nothing).layer(from_fn(with_host))
}

fn pages() -> Routes<Arc<State>> {
    let text = || Content::Is(serde_json::json!({ "type": "string" }));
    let open = |path, id, summary| Operation::get(path, id, summary).right(None);
    Routes::new()
        .on(
            open("/healthz", "getHealth", "Says that the process answers")
                .answers_with(200, "It does.", TEXT, text())
                .problems(&[400]),
            health,
        )
        .on(
            open("/readyz", "getReadiness", "Says whether events can be published")
                .answers_with(200, "They can.", TEXT, text())
                .answers_with(503, "They can't, and why.", TEXT, text())
                .problems(&[400]),
            ready,
        )
        .on(
            Operation::get("/metrics", "getMetrics", "Metrics for Prometheus, in the format that `Accept` asks for")
                .answers_with(200, "The metrics.", TEXT, text())
                .with_problem::<answer::Body<'static>>(),
            metrics,
        )
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

#[cfg(test)]
mod tests;
