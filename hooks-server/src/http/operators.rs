//! The operators' routes on the daemon's own listener: who may, with which body.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use hooks_core::settings::Fault;
use hooks_core::{HumanDuration, TenantId, timestamp};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{Refusal, UNAUTHORIZED};
use super::state::State;
use super::{body, browser};
use crate::admin::{
    AdminService, Content, JSON, JsonBody, MAX_BODY, Operation, Problem, Routes, SECONDS, json, permit,
};
use crate::http::sender::Sender;
use crate::{Access, Right};

/// How long a signed token lasts that says nothing of it, and the longest that any may.
const LASTS: (Duration, Duration) = (Duration::from_secs(60 * 60), Duration::from_secs(30 * 24 * 60 * 60));

/// The routes, each behind the sender's rights; and the document, which has others, too.
pub(super) fn routes(state: &Arc<State>, service: &AdminService, others: Vec<Operation>) -> Router {
    let tokens = Operation::post("/v1/tokens", "makeToken", "Makes a signed token that expires")
        .takes(JSON, Content::of::<Wanted>())
        .answers::<Made>(200, "The token.")
        .problems(&[501]);
    let tokens = Routes::new().on(tokens, make_token).with_state(state.clone());
    let known = state.clone();
    let routes = service.routes().merge(tokens);
    let routes = routes.with_document(others, service, move || known.settings().tokens.is_some());
    routes.into_router().layer(from_fn_with_state(state.clone(), admit))
}

async fn admit(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    match admitted(request, &state).await {
        // The share is held until the answer is known.
        Ok((request, _share)) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The request with what its sender may do, and its whole body. Nothing is read of whoever may not ask.
async fn admitted(request: Request, state: &Arc<State>) -> Result<(Request, Option<OwnedSemaphorePermit>), Problem> {
    let settings = state.settings();
    let (mut parts, mut body) = request.into_parts();
    let sender = Sender::of(&parts.headers, &settings);
    let sender = sender.map_err(|_| Problem::new(StatusCode::UNAUTHORIZED, UNAUTHORIZED))?;
    if !sender.by_token {
        browser::refuse(&parts.method, &parts.headers).map_err(forbidden)?;
    }
    permit(&sender.access, &parts.method, parts.uri.path())?;
    parts.extensions.insert(sender.access);
    if !browser::changes(&parts.method) {
        return Ok((Request::from_parts(parts, Body::empty()), None));
    }
    let taken = body::read(&mut body, MAX_BODY, settings.ingest.body_timeout.get(), &state.room).await;
    let taken = taken.map_err(|refusal| problem(&refusal))?;
    Ok((Request::from_parts(parts, Body::from(taken.bytes)), taken.share))
}

fn problem(refusal: &Refusal) -> Problem {
    Problem::new(refusal.status(), refusal.error())
}

fn forbidden(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, why)
}

/// A token that is wanted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenRequest")]
struct Wanted {
    /// What it may do. None of it may be more than the token that asks for it may.
    #[schemars(length(min = 1))]
    may: Vec<Right>,
    /// The one tenant whose events and hooks it is about.
    tenant: Option<TenantId>,
    /// How long it lasts, at most 30 days. Not set: an hour.
    #[schemars(extend("pattern" = SECONDS))]
    expires_in: Option<HumanDuration>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct Made {
    /// It is shown this once.
    token: String,
    /// When it ends.
    expires: String,
}

/// `POST /v1/tokens`.
async fn make_token(
    Shared(state): Shared<Arc<State>>,
    Extension(issuer): Extension<Access>,
    JsonBody(wanted): JsonBody<Wanted>,
) -> Result<Response, Problem> {
    let (access, expires) = grant(&issuer, wanted, SystemTime::now())?;
    let token = state.settings().signer.sign(&access, expires);
    let token =
        token.ok_or_else(|| Problem::new(StatusCode::NOT_IMPLEMENTED, "this server has no key to sign tokens with"))?;
    let (tenant, by) = (access.tenant().map(TenantId::as_str), access.name().map(|name| &**name));
    tracing::info!(expires = timestamp(expires), tenant, by, "a token was made");
    let made = Made { token: token.expose().to_owned(), expires: timestamp(expires) };
    let mut answer = json(StatusCode::OK, JSON, &made);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// What a token allows that this one asks for, and when it ends: never more or longer than the issuer's own.
fn grant(issuer: &Access, wanted: Wanted, now: SystemTime) -> Result<(Access, SystemTime), Problem> {
    let Wanted { may, tenant, expires_in } = wanted;
    let mut faults = Faults::default();
    if may.is_empty() {
        faults.wrong("/may", "`may` is empty: name `publish`, `read` or `manage`, or several");
    }
    for (index, right) in may.iter().enumerate().filter(|(_, right)| !issuer.may(**right)) {
        let why = format!("a token can't give the right `{right}`, which it has not itself");
        faults.forbidden(&format!("/may/{index}"), &why);
    }
    if let (Some(own), Some(_)) = (issuer.tenant(), tenant.as_ref().filter(|tenant| issuer.tenant() != Some(tenant))) {
        faults.forbidden("/tenant", &format!("a token of tenant `{own}` makes tokens of that tenant alone"));
    }
    let left = issuer.expires().map_or(LASTS.1, |end| end.duration_since(now).unwrap_or_default());
    let lasts = expires_in.map_or(LASTS.0.min(left), HumanDuration::get);
    if lasts < SECOND || lasts > LASTS.1 {
        let (lasts, most) = (HumanDuration::new(lasts), HumanDuration::new(LASTS.1));
        faults.wrong("/expires_in", &format!("`expires_in`: {lasts} is not between 1s and {most}"));
    } else if lasts > left {
        faults.forbidden("/expires_in", "`expires_in`: a signed token can't make one that ends after itself");
    }
    faults.into_result()?;
    let access = Access::new(may, tenant.or_else(|| issuer.tenant().cloned()));
    let access = match issuer.name() {
        Some(name) => access.named(name.clone()),
        None => access,
    };
    Ok((access, now + lasts))
}

/// A signed token ends with a whole second.
const SECOND: Duration = Duration::from_secs(1);

/// Everything that is wrong with what was asked for.
#[derive(Default)]
struct Faults {
    list: Vec<Fault>,
    /// Some of it would be wrong whoever asked for it.
    is_wrong: bool,
}

impl Faults {
    fn wrong(&mut self, pointer: &str, why: &str) {
        self.is_wrong = true;
        self.forbidden(pointer, why);
    }

    fn forbidden(&mut self, pointer: &str, why: &str) {
        self.list.push(Fault::at(pointer, why));
    }

    fn into_result(self) -> Result<(), Problem> {
        if self.list.is_empty() {
            return Ok(());
        }
        let status = if self.is_wrong { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
        let reasons: Vec<_> = self.list.iter().map(|fault| fault.message.as_str()).collect();
        Err(Problem::new(status, reasons.join("; ")).with_faults(self.list))
    }
}
