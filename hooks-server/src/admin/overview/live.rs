//! How it stands, as server-sent events: what changed comes once a second at most, however much happens. Each event has all
//! of what it is about, so whoever comes back after a break has missed nothing that still holds.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response as HttpResponse;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use hooks_core::{HookId, HookReport, TenantId};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::Access;
use crate::admin::openapi::schema::hook_id;
use crate::admin::openapi::{Content, Operation};
use crate::admin::response::Problem;
use crate::admin::routes::{Whose, bad_request};
use crate::admin::service::AdminService;
use crate::admin::turns::Turn;

/// The media type of server-sent events.
const EVENTS: &str = "text/event-stream";

/// The time between two looks.
const TICK: Duration = Duration::from_secs(1);

/// The longest time without a byte: it tells both sides that the other is still there.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest stream. Who comes again is asked for a token again.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Most hooks that are named.
const MOST_HOOKS: usize = 100;

pub(super) fn operation() -> Operation {
    let hooks = json!({ "type": "array", "items": hook_id(false), "maxItems": MOST_HOOKS });
    Operation::get("/v1/live", "followLive", "How it stands, as server-sent events")
        .parameter("query", "hook", "Also the status of these hooks.", hooks)
        .answers_with(
            200,
            "At first, and when it changed, a second later at most: `overview`, with `now` of the overview; `hook`, with the \
             status of a hook that is named; `gone`, with the `id` of one that does not run any more. Comments mean nothing. \
             It ends after five minutes, for the client to ask again.",
            EVENTS,
            Content::Is(json!({ "type": "string" })),
        )
        .problems(&[429])
}

pub(super) async fn follow(
    State(service): State<AdminService>,
    Whose(tenant): Whose,
    Extension(access): Extension<Access>,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let hooks = named(query.as_deref().unwrap_or_default())?;
    let turn = service.lives().take(tenant.clone())?;
    let live = Live::new(service, tenant, hooks, access.expires(), turn);
    let mut answer = HttpResponse::new(Body::from_stream(live.events()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn named(query: &str) -> Result<Vec<HookId>, Problem> {
    let mut hooks = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "hook" {
            return Err(bad_request(format!("`{name}` is not known here; known: hook")));
        }
        hooks.push(HookId::new(&*value).map_err(|error| bad_request(format!("hook: {error}")))?);
    }
    match hooks.len() {
        0..=MOST_HOOKS => Ok(hooks),
        more => Err(bad_request(format!("hook: {more} are named, and {MOST_HOOKS} may be at most"))),
    }
}

/// What one client follows.
struct Live {
    service: AdminService,
    tenant: Option<TenantId>,
    /// Each hook, and what was last said of it.
    hooks: Vec<(HookId, Option<String>)>,
    /// What was last said of all.
    overview: Option<String>,
    ticks: Interval,
    said: Instant,
    ends: Instant,
    expires: Option<SystemTime>,
    _turn: Turn,
}

impl Live {
    fn new(
        service: AdminService,
        tenant: Option<TenantId>,
        hooks: Vec<HookId>,
        expires: Option<SystemTime>,
        turn: Turn,
    ) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (hooks, now) = (hooks.into_iter().map(|hook| (hook, None)).collect(), Instant::now());
        Self { service, tenant, hooks, overview: None, ticks, said: now, ends: now + LONGEST, expires, _turn: turn }
    }

    fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        stream::unfold(self, |mut live| async {
            let events = live.next().await?;
            Some((Ok(events.into()), live))
        })
    }

    /// The next events. `None`: it is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            let now = self.ticks.tick().await;
            if now >= self.ends || self.expires.is_some_and(|expires| SystemTime::now() >= expires) {
                return None;
            }
            let mut events = String::new();
            // Without a thread now there may be one at the next tick.
            if let Ok(overview) = self.service.now(self.tenant.as_ref()).await {
                let text = text(&overview);
                if self.overview.as_ref() != Some(&text) {
                    event(&mut events, "overview", &text);
                    self.overview = Some(text);
                }
            }
            self.of_hooks(&mut events);
            if events.is_empty() && self.said.elapsed() >= SILENCE {
                events.push_str(":\n\n");
            }
            if !events.is_empty() {
                self.said = Instant::now();
                return Some(events);
            }
        }
    }

    fn of_hooks(&mut self, events: &mut String) {
        let (dispatcher, tenant) = (self.service.dispatcher(), self.tenant.as_ref());
        for (hook, said) in &mut self.hooks {
            let status = dispatcher.hook_status(hook);
            let status = status.filter(|status| tenant.is_none() || status.tenant.as_ref() == tenant);
            let now = status.map(|status| text(&HookReport::from(status)));
            match &now {
                _ if now == *said => {}
                Some(text) => event(events, "hook", text),
                None => event(events, "gone", &text(&json!({ "id": hook }))),
            }
            *said = now;
        }
    }
}

/// JSON has no line breaks in it.
fn event(events: &mut String, name: &str, data: &str) {
    events.push_str(&format!("event: {name}\ndata: {data}\n\n"));
}

/// Numbers and texts: this does not fail.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
