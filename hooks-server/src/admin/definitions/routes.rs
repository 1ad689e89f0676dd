//! The routes of hooks that are managed at run time.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawQuery, Request as HttpRequest, State};
use axum::response::Response;
use axum::routing::{get, post};
use hooks_core::bus::{Expected, Revision};
use hooks_core::{HookId, HookReport, HumanDuration, TestError, chain, timestamp};
use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::document::{HookDocument, Origin, Selection};
use super::{Change, Defined, Owner, Problem, unknown};
use crate::admin::response::Done;
use crate::admin::routes::{Hook, JSON, JsonBody, answer, bad_request, hook_id, json, json_body, whole};
use crate::admin::{AdminService, Request};

/// Hooks of a page that says nothing of it, and the most of any.
const PAGE: (usize, usize) = (100, 1_000);

/// How long an old secret signs beside a new one, unless the request says otherwise, and at most.
const OVERLAP: (Duration, Duration) = (Duration::from_secs(24 * 60 * 60), Duration::from_secs(30 * 24 * 60 * 60));

/// The media types of a body that changes a hook.
const PATCH: [&str; 2] = ["application/merge-patch+json", JSON];

pub(in crate::admin) fn routes() -> Router<AdminService> {
    Router::new()
        .route("/v1/hooks", get(list))
        .route("/v1/hooks/{id}", get(show).put(put).patch(patch).delete(remove))
        .route("/v1/hooks/{id}/test", post(test))
        .route("/v1/hooks/{id}/rotate-secret", post(rotate))
}

async fn list(
    State(service): State<AdminService>,
    owner: Owner,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let selection = selection(query.as_deref().unwrap_or_default(), &owner)?;
    let page = service.managed()?.page(&selection).await?;
    Ok(json(StatusCode::OK, JSON, &page))
}

async fn show(State(service): State<AdminService>, Hook(hook): Hook, owner: Owner) -> Result<Response, Problem> {
    let document = service.managed()?.document(&hook).await?;
    let document = document.filter(|document| owner.tenant().is_none_or(|tenant| document.is_of(tenant)));
    let document = document.ok_or_else(|| unknown(&hook))?;
    let mut response = json(StatusCode::OK, JSON, &document);
    tag(&mut response, document.revision);
    Ok(response)
}

async fn put(State(service): State<AdminService>, request: HttpRequest) -> Result<Response, Problem> {
    change(&service, request, &[JSON], Change::Put).await
}

async fn patch(State(service): State<AdminService>, request: HttpRequest) -> Result<Response, Problem> {
    change(&service, request, &PATCH, Change::Patch).await
}

/// Makes the change that the body is.
async fn change(
    service: &AdminService,
    request: HttpRequest,
    media_types: &[&str],
    of_body: fn(Json) -> Change,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let hook = hook_id(&mut parts, service).await?;
    let owner = Owner::of(&parts)?;
    let expected = expected(&parts.method, &parts.headers)?;
    let body = json_body(HttpRequest::from_parts(parts, body), media_types, "").await?;
    let body = serde_json::from_slice(&body).map_err(|error| bad_request(format!("the body is no JSON: {error}")))?;
    let (definitions, id) = (service.managed()?.clone(), hook.clone());
    let defined = whole(async move { definitions.change(&id, of_body(body), expected, &owner).await }).await?;
    Ok(shown(service, &hook, defined))
}

/// Removes a hook that is defined; or what is kept of one that is neither defined nor runs, alone with `stopped=true`.
async fn remove(
    State(service): State<AdminService>,
    Hook(hook): Hook,
    owner: Owner,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expected = expected(&Method::DELETE, &headers)?;
    let only_stopped = match query.as_deref() {
        None | Some("") => false,
        Some("stopped=true") => true,
        Some(query) => {
            return Err(bad_request(format!("`?{query}` is not understood: `?stopped=true` spares a hook that runs")));
        }
    };
    if let Some(definitions) = service.definitions().cloned().filter(|_| !only_stopped) {
        let id = hook.clone();
        if whole(async move { definitions.remove(&id, expected, &owner).await }).await? {
            tracing::info!(%hook, "the hook was removed over the API");
            return Ok(json(StatusCode::OK, JSON, &Done { changed: true }));
        }
    }
    Ok(answer(service, Request::Forget { hook }).await)
}

/// How long an old secret still signs.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    overlap: HumanDuration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { overlap: HumanDuration::new(OVERLAP.0) }
    }
}

#[derive(Serialize)]
struct Rotated {
    /// It is shown this once.
    secret: String,
    revision: u64,
}

async fn rotate(
    State(service): State<AdminService>,
    Hook(hook): Hook,
    owner: Owner,
    headers: HeaderMap,
    JsonBody(Rotation { overlap }): JsonBody<Rotation>,
) -> Result<Response, Problem> {
    let expected = expected(&Method::POST, &headers)?;
    if overlap.get() > OVERLAP.1 {
        let longest = HumanDuration::new(OVERLAP.1);
        return Err(bad_request(format!("overlap: {overlap} is longer than {longest}")));
    }
    let (definitions, id) = (service.managed()?.clone(), hook.clone());
    let change = Change::Rotate(overlap.get());
    let defined = whole(async move { definitions.change(&id, change, expected, &owner).await }).await?;
    tracing::info!(%hook, "the hook got a new secret over the API");
    let secret = defined.secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let mut response = json(StatusCode::OK, JSON, &Rotated { secret, revision: defined.definition.revision.get() });
    tag(&mut response, Some(defined.definition.revision.get()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What came of a test delivery.
#[derive(Serialize)]
struct Tested {
    delivered: bool,
    /// Seconds.
    took: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    notes: Vec<(String, String)>,
}

async fn test(State(service): State<AdminService>, Hook(hook): Hook) -> Result<Response, Problem> {
    let started = Instant::now();
    let tested = match service.dispatcher().test(&hook).await {
        Ok(report) => Tested {
            delivered: report.refused.is_none(),
            took: report.took.as_secs_f64(),
            answer: serde_json::to_value(&report.answer).ok(),
            error: report.refused.map(|reason| reason.to_string()),
            notes: report.notes,
        },
        Err(TestError::Failed { error, took, notes }) => {
            Tested { delivered: false, took: took.as_secs_f64(), answer: None, error: Some(chain(&error)), notes }
        }
        Err(TestError::UnknownHook(_)) => return Err(unknown(&hook)),
        Err(error @ TestError::TestUnsupported { .. }) => {
            return Err(Problem::new(StatusCode::CONFLICT, chain(&error)));
        }
        Err(error) => Tested {
            delivered: false,
            took: started.elapsed().as_secs_f64(),
            answer: None,
            error: Some(chain(&error)),
            notes: Vec::new(),
        },
    };
    Ok(json(StatusCode::OK, JSON, &tested))
}

/// What `If-Match` or `If-None-Match` asks for.
fn expected(method: &Method, headers: &HeaderMap) -> Result<Expected, Problem> {
    let given = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(value.to_str().ok().map(str::trim)),
            _ => Err(bad_request(format!("the header `{name}` stands twice"))),
        }
    };
    let revision = |text: &str| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Revision::new);
    match (given(&IF_MATCH)?, given(&IF_NONE_MATCH)?) {
        (None, None) => Ok(Expected::Any),
        (None, Some("*")) if *method == Method::PUT => Ok(Expected::Absent),
        (Some(text), None) => {
            let revision = revision(text);
            let why = || bad_request("If-Match: expected one revision in quotes, as `ETag` has it: \"7\"");
            revision.map(Expected::At).ok_or_else(why)
        }
        _ => Err(bad_request("expected `If-Match` with a revision, or, of PUT, `If-None-Match: *`")),
    }
}

/// A hook that was defined, with the secret that was made for it.
fn shown(service: &AdminService, hook: &HookId, defined: Defined) -> Response {
    let Defined { definition, settings, secret, is_new } = defined;
    let has_secret = secret.is_some();
    // As it was written: by now somebody else may have changed it.
    let document = HookDocument {
        id: hook.clone(),
        origin: Origin::Api,
        revision: Some(definition.revision.get()),
        created: Some(timestamp(definition.created)),
        changed: Some(timestamp(definition.changed)),
        settings,
        error: None,
        status: service.dispatcher().hook_status(hook).map(HookReport::from),
        secret: secret.map(|secret| secret.expose().to_owned()),
    };
    let mut response = json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, JSON, &document);
    tag(&mut response, document.revision);
    if is_new && let Ok(location) = HeaderValue::from_str(&format!("/v1/hooks/{hook}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    if has_secret {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn tag(response: &mut Response, revision: Option<u64>) {
    if let Some(tag) = revision.and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok()) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// Reads the query of a list.
fn selection(query: &str, owner: &Owner) -> Result<Selection, Problem> {
    let mut selection = Selection { limit: PAGE.0, tenant: owner.tenant().cloned(), ..Selection::default() };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |why: String| bad_request(format!("{name}: {why}"));
        match &*name {
            "after" => selection.after = Some(HookId::new(&*value).map_err(|error| wrong(error.to_string()))?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE.1).contains(limit));
                selection.limit = limit.ok_or_else(|| wrong(format!("expected a number from 1 to {}", PAGE.1)))?;
            }
            "origin" => {
                let origin = serde_json::from_value(Json::from(&*value)).ok();
                selection.origin = Some(origin.ok_or_else(|| wrong("expected `api` or `file`".to_owned()))?);
            }
            "tenant" => {
                let tenant = hooks_core::TenantId::new(&*value).map_err(|error| wrong(error.to_string()))?;
                if owner.tenant().is_some_and(|own| *own != tenant) {
                    // Of another's hooks there are none.
                    selection.limit = 0;
                }
                selection.tenant = Some(tenant);
            }
            "state" => selection.state = Some(value.into_owned()),
            "q" => selection.text = Some(value.into_owned()),
            _ => {
                let known = "after, limit, tenant, state, origin, q";
                return Err(bad_request(format!("`{name}` is not known here; known: {known}")));
            }
        }
    }
    Ok(selection)
}
