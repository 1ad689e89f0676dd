//! `POST /v1/hooks/match`: which hooks an event reaches, and what keeps it from the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, Request as HttpRequest, State};
use axum::response::Response as HttpResponse;
use hooks_core::envelope::DEFAULT_MAX_EVENT_BYTES;
use hooks_core::{Dispatcher, Envelope, EnvelopeError, HookId, Mismatch, RunningHook, SliceBuilder, TenantId, foreign};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::openapi::{Content, Operation, Routes};
use super::page;
use super::response::Problem;
use super::routes::{JSON, Whose, bad_request, json as json_answer, json_body};
use super::service::{AdminService, unavailable};
use crate::http::Event;
use crate::{Settings, on_own_thread};

/// Where an event is posted to: so no hook of a daemon is called `match`.
const PATH: &str = "/v1/hooks/match";

/// The media types of the body.
const EVENT: [&str; 2] = ["application/cloudevents+json", JSON];

/// Most hooks that are looked at for one page.
const MOST_LOOKED_AT: usize = 10_000;

/// The longest time that hooks are looked at for one page.
const LONGEST: Duration = Duration::from_secs(2);

/// Hooks that are looked at at a time.
const AT_ONCE: usize = 1_000;

/// Which hooks receive an event, of some of them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct HookMatches {
    /// By name.
    pub hooks: Vec<HookMatch>,
    /// The `after` of the next page. Missing: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<HookId>,
}

/// Whether a hook receives an event.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct HookMatch {
    /// The hook.
    pub hook: HookId,
    /// True if its filter lets the event through. One that is disabled keeps it, and delivers it later.
    pub receives: bool,
    /// The first part of the filter that keeps it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
}

impl HookMatch {
    /// `None`: it is not the kind that is wanted.
    fn of(RunningHook { hook, .. }: &RunningHook, event: &Envelope, wanted: Option<bool>) -> Option<Self> {
        let receives = hook.filter.matches(event);
        if wanted.is_some_and(|wanted| wanted != receives) {
            return None;
        }
        // To find what keeps it away takes several comparisons.
        let mismatch = if receives { None } else { hook.filter.mismatch(event) };
        Some(Self { hook: hook.id.clone(), receives, mismatch })
    }
}

/// How an event becomes whole where it is accepted.
#[derive(Debug, Clone)]
pub(super) struct Acceptance {
    source: Arc<str>,
    max_event_bytes: usize,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self { source: "hooks".into(), max_event_bytes: DEFAULT_MAX_EVENT_BYTES }
    }
}

impl Acceptance {
    fn of(settings: &Settings) -> Self {
        Self { source: settings.source.clone(), max_event_bytes: settings.max_event_bytes }
    }

    /// The event as it would be accepted of everybody or of a tenant, the dispatcher's own types included.
    fn event(&self, json: &[u8], tenant: Option<&TenantId>) -> Result<Envelope, Problem> {
        if let Some(what) = foreign::seems(json) {
            return Err(bad_request(format!("the body seems to be {what}")));
        }
        let slice = SliceBuilder::new(self.source.clone()).max_event_bytes(self.max_event_bytes);
        let mut slice = slice.tenant(tenant.cloned());
        slice.push_json(json.trim_ascii()).map_err(|error| match error {
            EnvelopeError::OtherTenant { .. } => Problem::new(StatusCode::FORBIDDEN, error.to_string()),
            error => bad_request(format!("the body is no event: {error}")),
        })?;
        slice.finish().first().cloned().ok_or_else(|| bad_request("the body is no event"))
    }
}

impl AdminService {
    /// Fills in events as a server with these settings does.
    pub(crate) fn accept_as(&self, settings: &Settings) {
        *self.acceptance.lock() = Acceptance::of(settings);
    }
}

/// Which hooks a page has.
#[derive(Debug)]
struct Selection {
    after: Option<HookId>,
    limit: usize,
    receives: Option<bool>,
}

impl Selection {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut selection = Self { after: None, limit: page::PAGE.0, receives: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => selection.after = Some(page::after(&value)?),
                "limit" => selection.limit = page::limit(&value)?,
                "receives" => {
                    let wrong = || bad_request("receives: expected `true` or `false`");
                    selection.receives = Some(value.parse().map_err(|_| wrong())?);
                }
                _ => return Err(bad_request(format!("`{name}` is not known here; known: after, limit, receives"))),
            }
        }
        Ok(selection)
    }

    /// The page. Where many hooks have to be looked at for few, or it takes too long, it ends early and says where to go
    /// on. It has looked at one hook at least.
    fn page(
        self,
        event: &Envelope,
        dispatcher: &Dispatcher,
        tenant: Option<&TenantId>,
        is_over: impl Fn() -> bool,
    ) -> HookMatches {
        let Self { mut after, limit, receives } = self;
        let (mut hooks, mut looked_at) = (Vec::new(), 0);
        loop {
            let found = dispatcher.hooks(after.as_ref(), AT_ONCE, tenant);
            for running in &found {
                if hooks.len() == limit || looked_at == MOST_LOOKED_AT || (looked_at > 0 && is_over()) {
                    return HookMatches { hooks, next: after };
                }
                looked_at += 1;
                after = Some(running.hook.id.clone());
                hooks.extend(HookMatch::of(running, event, receives));
            }
            if found.len() < AT_ONCE {
                return HookMatches { hooks, next: None };
            }
        }
    }
}

/// True if a request changes nothing, although its method might.
pub(super) fn only_looks(method: &Method, path: &str) -> bool {
    *method == Method::POST && path == PATH
}

pub(super) fn routes() -> Routes<AdminService> {
    let after = super::openapi::schema::hook_id(false);
    let limit = page::limit_schema();
    let operation =
        Operation::post(PATH, "matchEvent", "Which hooks an event reaches, and what keeps it from the others")
            .right(Some("read"))
            .parameter("query", "after", "The page begins behind this hook, as `next` says.", after)
            .parameter("query", "limit", "Most hooks of the page.", limit)
            .parameter(
                "query",
                "receives",
                "Only hooks that receive it, or only the others.",
                json!({ "type": "boolean" }),
            );
    let operation =
        EVENT.iter().fold(operation, |operation, media_type| operation.takes(media_type, Content::of::<Event>()));
    let operation = operation.answers::<HookMatches>(200, "The page. Nothing is published.").problems(&[429]);
    Routes::new().on(operation, matching)
}

async fn matching(
    State(service): State<AdminService>,
    Whose(tenant): Whose,
    RawQuery(query): RawQuery,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let selection = Selection::read(query.as_deref().unwrap_or_default())?;
    let body = json_body(request, &EVENT, "").await?;
    let event = service.acceptance.lock().clone().event(&body, tenant.as_ref())?;
    let turn = service.looks().take(tenant.clone())?;
    // Dropped with this future, when the client goes away.
    let asked = Arc::new(());
    let (asks, ends) = (Arc::downgrade(&asked), Instant::now() + LONGEST);
    let work = move || {
        let _turn = turn;
        let is_over = || Instant::now() >= ends || asks.strong_count() == 0;
        selection.page(&event, service.dispatcher(), tenant.as_ref(), is_over)
    };
    let matches = on_own_thread("match", work).await.map_err(|error| unavailable(error.to_string()))?;
    Ok(json_answer(StatusCode::OK, JSON, &matches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::Served;

    #[tokio::test]
    async fn a_page_that_takes_too_long_ends_behind_a_hook_and_goes_on_there() {
        let served = Served::start().await;
        let event = Acceptance::default().event(br#"{"type":"a"}"#, None).unwrap();
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let selection = Selection { after, limit: 10, receives: None };
            let page = selection.page(&event, served.service.dispatcher(), None, || true);
            assert_eq!(page.hooks.len(), 1);
            found.extend(page.hooks.into_iter().map(|found| found.hook.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["acme-1", "acme-2", "other-1"]);
    }
}
