//! The routes of operators.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, RawQuery, Request as HttpRequest, State};
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::{delete, get, post};
use hooks_core::{DeadLetterId, HookId, chain};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use tokio::time::timeout;

use super::request::{DeadLetterFilter, Request};
use super::response::{Problem, Response};
use super::service::AdminService;

/// The longest body. One that names many dead letters is the longest there is.
const MAX_BODY: usize = 1 << 20;

/// The longest time that a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

impl AdminService {
    /// The routes, to be mounted in an axum or hyper server where whoever can reach it may operate. What is asked is done
    /// to its end, also when the client goes away. Errors are [problems](Problem).
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/status", get(status))
            .route("/v1/log", get(log))
            .route("/v1/hooks/{id}", delete(forget))
            .route("/v1/hooks/{id}/enable", post(enable))
            .route("/v1/hooks/{id}/disable", post(disable))
            .route("/v1/hooks/{id}/dead-letters", get(dead_letters))
            .route("/v1/hooks/{id}/dead-letters/replay", post(replay))
            .route("/v1/hooks/{id}/dead-letters/drop", post(drop_dead_letters))
            .method_not_allowed_fallback(other_method)
            .with_state(self.clone())
    }
}

async fn status(State(service): State<AdminService>) -> HttpResponse {
    answer(service, Request::Status).await
}

async fn log(State(service): State<AdminService>) -> HttpResponse {
    answer(service, Request::Log).await
}

async fn forget(State(service): State<AdminService>, Hook(hook): Hook) -> HttpResponse {
    answer(service, Request::Forget { hook }).await
}

async fn enable(State(service): State<AdminService>, Hook(hook): Hook) -> HttpResponse {
    answer(service, Request::Enable { hook }).await
}

async fn disable(State(service): State<AdminService>, Hook(hook): Hook) -> HttpResponse {
    answer(service, Request::Disable { hook }).await
}

async fn dead_letters(
    State(service): State<AdminService>,
    Hook(hook): Hook,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let after = after(query.as_deref().unwrap_or_default())?;
    Ok(answer(service, Request::DeadLetters { hook, after }).await)
}

async fn replay(State(service): State<AdminService>, Hook(hook): Hook, Which(which): Which) -> HttpResponse {
    answer(service, Request::Replay { hook, which }).await
}

async fn drop_dead_letters(State(service): State<AdminService>, Hook(hook): Hook, Which(which): Which) -> HttpResponse {
    answer(service, Request::Drop { hook, which }).await
}

async fn other_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is none of those in the header `allow`")
}

/// The answer where there is no route.
pub(super) async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here: GET /v1/status shows the hooks")
}

/// Does what is asked to its end, also when the client goes away.
async fn answer(service: AdminService, request: Request) -> HttpResponse {
    let answered = tokio::spawn(async move { service.answer(request).await }).await;
    match answered {
        Ok(response) => response.into_response(),
        Err(_) => {
            let why = "the daemon failed, and it is not known what was done: its log says more";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
        }
    }
}

/// The hook in the path.
struct Hook(HookId);

impl<S: Send + Sync> FromRequestParts<S> for Hook {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) = path.map_err(|error| bad_request(error.body_text()))?;
        HookId::new(id).map(Self).map_err(|error| bad_request(error.to_string()))
    }
}

/// The dead letters in the body. They have to be said, so that nobody drops all by leaving something out.
struct Which(DeadLetterFilter);

impl<S: Send + Sync> FromRequest<S> for Which {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if !media_type.split(|byte| *byte == b';').next().unwrap_or_default().eq_ignore_ascii_case(b"application/json")
        {
            let why = "the Content-Type has to be application/json; `{}` as the body picks all dead letters";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
        }
        let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
        let body = body.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long"))?;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {MAX_BODY} bytes")),
            false => bad_request(format!("the body can't be read: {}", chain(&*error))),
        })?;
        let which = serde_json::from_slice(&body.to_bytes());
        which.map(Self).map_err(|error| {
            bad_request(format!("the body names no dead letters, as `{{\"ids\":[17]}}` does: {error}"))
        })
    }
}

/// The dead letter after which a page begins.
fn after(query: &str) -> Result<Option<DeadLetterId>, Problem> {
    if query.is_empty() {
        return Ok(None);
    }
    let id = query.strip_prefix("after=").and_then(|id| id.parse().ok());
    let id =
        id.ok_or_else(|| bad_request(format!("`?{query}` is not understood: `?after=17` begins after letter 17")))?;
    Ok(Some(DeadLetterId::new(id)))
}

fn bad_request(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

impl IntoResponse for Problem {
    fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json(status, "application/problem+json", &self)
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> HttpResponse {
        const JSON: &str = "application/json";
        match &self {
            Self::Status(body) => json(StatusCode::OK, JSON, body),
            Self::Log(body) => json(StatusCode::OK, JSON, body),
            Self::Done(body) => json(StatusCode::OK, JSON, body),
            Self::DeadLetters(body) => json(StatusCode::OK, JSON, body),
            Self::Replayed(body) => json(StatusCode::OK, JSON, body),
            Self::Dropped(body) => json(StatusCode::OK, JSON, body),
            Self::Failed(problem) => problem.clone().into_response(),
        }
    }
}

fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> HttpResponse {
    // Texts, numbers, and events that are JSON: this does not fail.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let mut response = HttpResponse::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
