//! The routes of hooks that are managed at run time.

use std::time::{Duration, Instant};

use axum::extract::{OriginalUri, RawQuery, Request as HttpRequest, State};
use axum::response::Response;
use hooks_core::names::nearest;
use hooks_core::{EndpointState, HookId, HookReport, HumanDuration, TenantId, TestError, chain, timestamp};
use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::condition::Condition;
use super::document::{HookDocument, Origin};
use super::page::{Selection, Text};
use super::{Change, Defined, Owner, Problem, operations, unknown};
use crate::admin::response::Done;
use crate::admin::routes::{AnyHook, Hook, JSON, JsonBody, answer, bad_request, hook_id, json, json_body, whole};
use crate::admin::{AdminService, Request, Routes, page, unambiguous};

/// How long an old secret signs beside a new one, unless the request says otherwise, and at most.
const OVERLAP: (Duration, Duration) = (Duration::from_secs(24 * 60 * 60), Duration::from_secs(30 * 24 * 60 * 60));

/// The media types of a body that changes a hook.
const PATCH: [&str; 2] = ["application/merge-patch+json", JSON];

pub(in crate::admin) fn routes() -> Routes<AdminService> {
    Routes::new()
        .on(operations::list(), list)
        .on(operations::show(), show)
        .on(operations::put(), put)
        .on(operations::patch(&PATCH), patch)
        .on(operations::remove(), remove)
        .on(operations::test(), test)
        .on(operations::rotate(), rotate)
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

async fn show(State(service): State<AdminService>, AnyHook(hook): AnyHook, owner: Owner) -> Result<Response, Problem> {
    let document = service.managed()?.document(&hook).await?;
    let document = document.filter(|document| owner.tenant().is_none_or(|tenant| document.is_of(tenant)));
    let mut document = document.ok_or_else(|| unknown(&hook))?;
    if !owner.manages() {
        document.hide_addresses();
    }
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
    if parts.method == Method::PUT && [".", ".."].contains(&hook.as_str()) {
        return Err(bad_request(format!(
            "`{hook}` can't be made here: clients take it out of a URL; choose another id"
        )));
    }
    let (condition, method) = (Condition::of(&parts.headers)?, parts.method.clone());
    let place = parts.extensions.get().map_or(&parts.uri, |OriginalUri(uri)| uri).path().to_owned();
    let body = json_body(HttpRequest::from_parts(parts, body), media_types, "").await?;
    let body: Json = unambiguous::read(&body).map_err(|error| bad_request(format!("the body: {error}")))?;
    // Whoever asks for that expects deliveries, also where somebody disabled the hook.
    let enables = method == Method::PATCH && body.get("enabled") == Some(&Json::Bool(true));
    let (definitions, id, enabler) = (service.managed()?.clone(), hook.clone(), service.clone());
    let defined = whole(async move {
        let defined = definitions.change(&id, of_body(body), &condition, &owner).await?;
        if enables {
            enabler.answer(Request::Enable { hook: id }).await.into_result()?;
        }
        Ok(defined)
    });
    let defined = defined.await?;
    Ok(shown(service, &hook, defined, &place))
}

/// Removes a hook that is defined; or what is kept of one that is neither defined nor runs, alone with `stopped=true`.
async fn remove(
    State(service): State<AdminService>,
    AnyHook(hook): AnyHook,
    owner: Owner,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let condition = Condition::of(&headers)?;
    let only_stopped = match query.as_deref() {
        None | Some("") => false,
        Some("stopped=true") => true,
        Some(query) => {
            return Err(bad_request(format!("`?{query}` is not understood: `?stopped=true` spares a hook that runs")));
        }
    };
    if let Some(definitions) = service.definitions().cloned().filter(|_| !only_stopped) {
        let tenant = service.dispatcher().tenant_of(&hook);
        let (id, remover) = (hook.clone(), owner.clone());
        if let Some(revision) = whole(async move { definitions.remove(&id, &condition, &remover).await }).await? {
            let (tenant, by) = (tenant.as_ref().map(TenantId::as_str), owner.by());
            tracing::info!(%hook, %revision, tenant, by, "the hook was removed over the API");
            return Ok(json(StatusCode::OK, JSON, &Done { changed: true }));
        }
    }
    if !owner.owns(service.dispatcher().tenant_of(&hook).as_ref()) {
        return Err(unknown(&hook));
    }
    Ok(answer(service, Request::Forget { hook }).await)
}

/// How long an old secret still signs.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rotation {
    /// For so long the old secret signs, too: at most 30 days.
    #[schemars(extend("pattern" = HumanDuration::PATTERN))]
    overlap: HumanDuration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { overlap: HumanDuration::new(OVERLAP.0) }
    }
}

/// The new secret.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rotated {
    /// It is shown this once.
    secret: String,
    /// The number of this change.
    revision: u64,
}

async fn rotate(
    Hook(service, hook): Hook,
    owner: Owner,
    headers: HeaderMap,
    JsonBody(Rotation { overlap }): JsonBody<Rotation>,
) -> Result<Response, Problem> {
    let condition = Condition::of(&headers)?;
    if overlap.get() > OVERLAP.1 {
        let longest = HumanDuration::new(OVERLAP.1);
        return Err(bad_request(format!("overlap: {overlap} is longer than {longest}")));
    }
    let (definitions, id) = (service.managed()?.clone(), hook.clone());
    let change = Change::Rotate(overlap.get());
    let defined = whole(async move { definitions.change(&id, change, &condition, &owner).await }).await?;
    let secret = defined.secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let mut response = json(StatusCode::OK, JSON, &Rotated { secret, revision: defined.definition.revision.get() });
    tag(&mut response, Some(defined.definition.revision.get()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What came of a test delivery.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tested {
    /// True if the receiver took it.
    delivered: bool,
    /// Seconds.
    took: f64,
    /// What the receiver answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Json>,
    /// Why it was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What was done, step by step: a name, and a text.
    #[schemars(with = "Vec<[String; 2]>")]
    notes: Vec<(String, String)>,
}

async fn test(Hook(service, hook): Hook) -> Result<Response, Problem> {
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

/// A hook that was defined, with the secret that was made for it; this is the path that was asked for.
fn shown(service: &AdminService, hook: &HookId, defined: Defined, place: &str) -> Response {
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
        tenant: None,
    };
    let mut response = json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, JSON, &document);
    tag(&mut response, document.revision);
    if is_new && let Ok(location) = HeaderValue::from_str(place) {
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

/// What is said of a state that is none.
fn states(wrong: &str) -> String {
    let names: Vec<_> = EndpointState::ALL.iter().map(|state| state.name()).collect();
    let near = nearest(wrong, names.iter().copied());
    let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    format!("`{wrong}` is no state{near} States: {}", names.join(", "))
}

/// Reads the query of a list.
fn selection(query: &str, owner: &Owner) -> Result<Selection, Problem> {
    let mut selection = Selection {
        limit: page::PAGE.0,
        tenant: owner.tenant().cloned(),
        hides_addresses: !owner.manages(),
        ..Selection::default()
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |why: String| bad_request(format!("{name}: {why}"));
        match &*name {
            "after" => selection.after = Some(page::after(&value)?),
            "limit" => selection.limit = page::limit(&value)?,
            "origin" => {
                let origin = serde_json::from_value(Json::from(&*value)).ok();
                selection.origin = Some(origin.ok_or_else(|| wrong("expected `api` or `file`".to_owned()))?);
            }
            "tenant" => {
                let tenant = TenantId::new(&*value).map_err(|error| wrong(error.to_string()))?;
                if owner.tenant().is_some_and(|own| *own != tenant) {
                    // Of another's hooks there are none.
                    selection.limit = 0;
                }
                selection.tenant = Some(tenant);
            }
            "state" => {
                let state = EndpointState::ALL.iter().find(|state| state.name() == value);
                selection.state = Some(*state.ok_or_else(|| wrong(states(&value)))?);
            }
            "q" => selection.text = Some(Text::new(&value)),
            _ => {
                let known = "after, limit, tenant, state, origin, q";
                return Err(bad_request(format!("`{name}` is not known here; known: {known}")));
            }
        }
    }
    Ok(selection)
}
