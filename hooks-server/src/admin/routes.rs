//! The routes of operators.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, RawQuery, Request as HttpRequest, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response as HttpResponse};
use bytes::Bytes;
use hooks_core::settings::{self, Draft};
use hooks_core::{DeadLetterId, HookId, TenantId, chain};
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::openapi::schema::position;
use super::openapi::{Content, Operation, Routes};
use super::request::{DeadLetterFilter, Request};
use super::response::{DeadLetterPage, Done, Dropped, Problem, Rekeyed, Replayed, Response, Status, demand};
use super::service::AdminService;
use super::{matching, unambiguous};
use crate::http::NOT_OF_TENANT;
use crate::{Access, Right};

/// The media type of answers.
pub(crate) const JSON: &str = "application/json";

/// The media type of problems.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// The longest body. One that names many dead letters is the longest there is.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// The longest time that a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

impl AdminService {
    /// The routes, to be mounted in an axum or hyper server: who can reach them may operate, or what an [`Access`] in the
    /// request's extensions allows, where your server puts one. What is asked is done to its end, also when the client
    /// goes away. Errors are [problems](Problem).
    /// `GET /openapi.json` describes them.
    pub fn router(&self) -> Router {
        let routes = self.routes().with_document(Vec::new(), self, || false);
        routes.into_router().layer(from_fn(with_access))
    }

    /// The routes, for requests that have their [`Access`].
    pub(crate) fn routes(&self) -> Routes {
        let daemon = Routes::new()
            .on(
                Operation::get("/v1/status", "getStatus", "The status of all hooks")
                    .answers::<Status>(200, "The status."),
                status,
            )
            .on(
                Operation::get("/v1/log", "getLog", "The bus's report on itself and its log").answers_with(
                    200,
                    "What the bus says; what that is depends on its kind.",
                    JSON,
                    Content::Is(serde_json::json!({})),
                ),
                log,
            )
            .on(
                Operation::post("/v1/hooks/{id}/enable", "enableHook", "Undoes what disabled a hook")
                    .answers::<Done>(200, "It is enabled.")
                    .problems(&[404, 409]),
                enable,
            )
            .on(
                Operation::post("/v1/hooks/{id}/disable", "disableHook", "Stops deliveries until it is enabled")
                    .answers::<Done>(200, "It is disabled.")
                    .problems(&[404, 409]),
                disable,
            )
            .on(
                Operation::post("/v1/secrets/rekey", "rekeySecrets", "Seals all definitions with the first key")
                    .parameter(
                        "query",
                        "dry_run",
                        "`true` only counts.",
                        serde_json::json!({ "enum": ["true", "false"] }),
                    )
                    .answers::<Rekeyed>(200, "What came of it.")
                    .problems(&[409, 501]),
                rekey,
            );
        let daemon = daemon.merge(dead_letter_routes()).merge(super::definitions::routes());
        daemon
            .merge(super::events::routes())
            .merge(matching::routes())
            .merge(super::attempts::routes())
            .merge(super::outcomes::routes())
            .merge(super::overview::routes())
            .merge(super::preview::routes())
            .merge(super::seek::routes())
            .with_state(self.clone())
    }
}

fn dead_letter_routes() -> Routes<AdminService> {
    let which = || Content::of::<DeadLetterFilter>();
    Routes::new()
        .on(
            Operation::get("/v1/hooks/{id}/dead-letters", "listDeadLetters", "A page of a hook's dead letters")
                .parameter("query", "after", "The page begins behind this letter.", position())
                .answers::<DeadLetterPage>(200, "The page; an empty one is the end.")
                .problems(&[404, 409]),
            dead_letters,
        )
        .on(
            Operation::post(
                "/v1/hooks/{id}/dead-letters/replay",
                "replayDeadLetters",
                "Delivers dead letters once more",
            )
            .takes(JSON, which())
            .answers::<Replayed>(200, "What came of it.")
            .problems(&[404, 409, 429]),
            replay,
        )
        .on(
            Operation::post("/v1/hooks/{id}/dead-letters/drop", "dropDeadLetters", "Drops dead letters")
                .takes(JSON, which())
                .answers::<Dropped>(200, "What was dropped.")
                .problems(&[404, 409]),
            drop_dead_letters,
        )
}

async fn with_access(mut request: HttpRequest, next: Next) -> HttpResponse {
    let access = request.extensions().get().cloned().unwrap_or_else(Access::everything);
    if let Err(problem) = permit(&access, request.method(), request.uri().path()) {
        return problem.into_response();
    }
    request.extensions_mut().insert(access);
    next.run(request).await
}

/// # Errors
/// When a request with this method and path takes another right.
pub(crate) fn permit(access: &Access, method: &Method, path: &str) -> Result<(), Problem> {
    let looks = matches!(*method, Method::GET | Method::HEAD) || matching::only_looks(method, path);
    demand(access, if looks { Right::Read } else { Right::Manage })
}

async fn status(_: WholeDaemon, State(service): State<AdminService>) -> HttpResponse {
    answer(service, Request::Status).await
}

async fn log(_: WholeDaemon, State(service): State<AdminService>) -> HttpResponse {
    answer(service, Request::Log).await
}

async fn enable(Hook(service, hook): Hook) -> HttpResponse {
    answer(service, Request::Enable { hook }).await
}

async fn disable(Hook(service, hook): Hook) -> HttpResponse {
    answer(service, Request::Disable { hook }).await
}

async fn dead_letters(Hook(service, hook): Hook, RawQuery(query): RawQuery) -> Result<HttpResponse, Problem> {
    let after = after(query.as_deref().unwrap_or_default())?;
    Ok(answer(service, Request::DeadLetters { hook, after }).await)
}

async fn replay(Hook(service, hook): Hook, Which(which): Which) -> HttpResponse {
    answer(service, Request::Replay { hook, which }).await
}

async fn drop_dead_letters(Hook(service, hook): Hook, Which(which): Which) -> HttpResponse {
    answer(service, Request::Drop { hook, which }).await
}

async fn rekey(
    _: WholeDaemon,
    State(service): State<AdminService>,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let dry_run = match query.as_deref() {
        None | Some("" | "dry_run=false") => false,
        Some("dry_run=true") => true,
        Some(query) => return Err(bad_request(format!("`?{query}` is not understood: `?dry_run=true` only counts"))),
    };
    Ok(answer(service, Request::Rekey { dry_run }).await)
}

pub(crate) async fn other_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is none of those in the header `allow`")
}

/// The answer where there is no route.
pub(super) async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here: GET /v1/status shows the hooks")
}

/// Does what is asked.
pub(super) async fn answer(service: AdminService, request: Request) -> HttpResponse {
    whole(async move { Ok(service.answer(request).await) }).await.into_response()
}

/// Does something to its end, also when the client goes away.
pub(super) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|_| {
        let why = "the daemon failed, and it is not known what was done: its log says more";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why))
    })
}

/// What no tenant may ask for.
struct WholeDaemon;

impl<S: Send + Sync> FromRequestParts<S> for WholeDaemon {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match tenant(parts)? {
            None => Ok(Self),
            Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, NOT_OF_TENANT)),
        }
    }
}

/// The tenant that asks, if it is one.
pub(super) struct Whose(pub(super) Option<TenantId>);

impl<S: Send + Sync> FromRequestParts<S> for Whose {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        tenant(parts).map(|tenant| Self(tenant.cloned()))
    }
}

/// The tenant that asks, if it is one. Where nothing says what the sender may, he may nothing.
pub(super) fn tenant(parts: &Parts) -> Result<Option<&TenantId>, Problem> {
    let access = parts.extensions.get::<Access>();
    let unknown = || Problem::new(StatusCode::FORBIDDEN, "it is not known what the sender may do");
    access.map(Access::tenant).ok_or_else(unknown)
}

/// The hook in the path, which is the sender's, and the service as it answers him.
pub(super) struct Hook(pub(super) AdminService, pub(super) HookId);

impl FromRequestParts<AdminService> for Hook {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &AdminService) -> Result<Self, Problem> {
        let id = hook_id(parts, service).await?;
        let tenant = tenant(parts)?;
        let service = service.answering(tenant);
        match tenant {
            Some(_) if service.dispatcher().tenant_of(&id).as_ref() != tenant => Err(service.unknown(&id)),
            _ => Ok(Self(service, id)),
        }
    }
}

/// The hook in the path, whosever it is, also where it does not run.
pub(super) struct AnyHook(pub(super) HookId);

impl FromRequestParts<AdminService> for AnyHook {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &AdminService) -> Result<Self, Problem> {
        hook_id(parts, service).await.map(Self)
    }
}

/// The name in the path, of whosever hook.
pub(super) async fn hook_id(parts: &mut Parts, service: &AdminService) -> Result<HookId, Problem> {
    let path = Path::<String>::from_request_parts(parts, service).await;
    let Path(id) = path.map_err(|error| bad_request(error.body_text()))?;
    HookId::new(id).map_err(|error| bad_request(error.to_string()))
}

/// The dead letters in the body. They have to be said, so that nobody drops all by leaving something out.
struct Which(DeadLetterFilter);

impl<S: Send + Sync> FromRequest<S> for Which {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self, Problem> {
        let body = json_body(request, &[JSON], "; `{}` as the body picks all dead letters").await?;
        object(&body, "the body names no dead letters, as `{\"ids\":[17]}` does").map(Self)
    }
}

/// A body of JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: HttpRequest, _: &S) -> Result<Self, Problem> {
        let body = json_body(request, &[JSON], "").await?;
        object(&body, "the body").map(Self)
    }
}

/// An object, which no array stands for; what is wrong is said of `what`.
fn object<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Problem> {
    let table: Json = unambiguous::read(body).map_err(|error| bad_request(format!("{what}: {error}")))?;
    settings::read(Draft::new(table)).map_err(|faults| {
        let reasons: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
        bad_request(format!("{what}: {}", reasons.join("; "))).with_faults(faults)
    })
}

/// The whole body of a request that says that it is JSON.
pub(super) async fn json_body(request: HttpRequest, media_types: &[&str], hint: &str) -> Result<Bytes, Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !media_types.iter().any(|known| media_type.eq_ignore_ascii_case(known.as_bytes())) {
        let why = format!("the Content-Type has to be {}{hint}", media_types.join(" or "));
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
    let body = body.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long"))?;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {MAX_BODY} bytes")),
        false => bad_request(format!("the body can't be read: {}", chain(&*error))),
    })?;
    let body = body.to_bytes();
    if body.is_empty() { Err(bad_request(format!("the body is empty: it has to be JSON{hint}"))) } else { Ok(body) }
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

pub(super) fn bad_request(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}

impl IntoResponse for Problem {
    fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, PROBLEM, &self);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> HttpResponse {
        match &self {
            Self::Status(body) => json(StatusCode::OK, JSON, body),
            Self::Overview(body) => json(StatusCode::OK, JSON, body),
            Self::Log(body) => json(StatusCode::OK, JSON, body),
            Self::Done(body) => json(StatusCode::OK, JSON, body),
            Self::Sought(body) => json(StatusCode::OK, JSON, body),
            Self::DeadLetters(body) => json(StatusCode::OK, JSON, body),
            Self::Replayed(body) => json(StatusCode::OK, JSON, body),
            Self::Dropped(body) => json(StatusCode::OK, JSON, body),
            Self::Outcomes(body) => json(StatusCode::OK, JSON, body),
            Self::Attempts(body) => json(StatusCode::OK, JSON, body),
            Self::Rekeyed(body) => json(StatusCode::OK, JSON, body),
            Self::Events(body) => json(StatusCode::OK, JSON, body),
            Self::Resent(body) => json(StatusCode::OK, JSON, body),
            Self::Failed(problem) => problem.clone().into_response(),
        }
    }
}

pub(crate) fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> HttpResponse {
    // Texts, numbers, and events that are JSON: this does not fail.
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    let mut response = HttpResponse::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
