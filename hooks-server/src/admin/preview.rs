//! `GET /v1/hooks/{id}/request`: the request that a hook sends with some events, as its settings are now.

use axum::Extension;
use axum::extract::RawQuery;
use axum::response::Response as HttpResponse;
use hooks_core::{HookId, TenantId, TestError, chain};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::openapi::{Operation, Routes, schema};
use super::response::{Problem, demand};
use super::routes::{Hook, JSON, Whose, bad_request, json as json_answer};
use super::service::{AdminService, conflict, unavailable};
use crate::{Access, Right};

/// Most events of a request.
const MOST: usize = 20;

/// What would be sent.
#[derive(Serialize, JsonSchema)]
struct Requests {
    /// The requests, as texts: line, headers and body, without secrets. One with several events is a batch of them.
    requests: Vec<String>,
}

pub(super) fn routes() -> Routes<AdminService> {
    let positions = json!({ "type": "array", "items": schema::position(), "maxItems": MOST });
    let operation = Operation::get(
        "/v1/hooks/{id}/request",
        "showRequest",
        "The request that a hook sends, without secrets",
    )
    .right(Some("manage"))
    .parameter(
        "query",
        "position",
        "With the events at these positions of the log, whether they match or not; without any, with a test event.",
        positions,
    )
    .answers::<Requests>(200, "The requests. Nothing was sent.")
    .problems(&[404, 409, 429, 501]);
    Routes::new().on(operation, show)
}

async fn show(
    Hook(service, hook): Hook,
    Whose(tenant): Whose,
    Extension(access): Extension<Access>,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    // It has the whole address, whose path often is a secret.
    demand(&access, Right::Manage)?;
    let positions = positions(query.as_deref().unwrap_or_default())?;
    let _turn = service.looks().take(tenant.clone())?;
    let requests = service.requests(&hook, &positions, tenant.as_ref()).await?;
    Ok(json_answer(StatusCode::OK, JSON, &Requests { requests }))
}

fn positions(query: &str) -> Result<Vec<u64>, Problem> {
    let mut positions = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "position" {
            return Err(bad_request(format!("`{name}` is not known here; known: position")));
        }
        positions.push(value.parse().map_err(|_| bad_request("position: expected a whole number, from 0"))?);
    }
    match positions.len() {
        0..=MOST => Ok(positions),
        more => Err(bad_request(format!("position: {more} are named, and {MOST} may be at most"))),
    }
}

impl AdminService {
    async fn requests(
        &self,
        hook: &HookId,
        positions: &[u64],
        tenant: Option<&TenantId>,
    ) -> Result<Vec<String>, Problem> {
        // A hook of a tenant is shown with that tenant's events alone, whoever asks.
        let own = self.dispatcher().tenant_of(hook);
        let mut events = Vec::new();
        for position in positions {
            events.push(self.event_at(*position, tenant.or(own.as_ref())).await?.envelope);
        }
        let shown = self.dispatcher().preview(hook, events).await.map_err(|error| match error {
            TestError::UnknownHook(_) => self.unknown(hook),
            TestError::PreviewUnsupported { .. } => conflict(chain(&error)),
            error => unavailable(chain(&error)),
        })?;
        // One that can't be made is shown by what keeps it from that.
        Ok(shown.into_iter().map(|one| one.unwrap_or_else(|error| chain(&error))).collect())
    }
}
