//! What is asked over the router, by operators and by tenants.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::{FutureExt as _, stream};
use hooks_bus::MemoryBus;
use hooks_core::settings::Strangers;
use hooks_core::{Dispatcher, TenantId};
use hooks_sink_http as _;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;
use tower_service::Service as _;

use super::{AdminService, HookDefinitions};
use crate::{Access, Keys, Right};

fn tenant(name: &str) -> Option<TenantId> {
    Some(TenantId::new(name).unwrap())
}

/// A service with hooks of two tenants in its memory.
pub(super) struct Served {
    pub(super) service: AdminService,
    router: Router,
}

impl Served {
    pub(super) async fn start() -> Self {
        let bus = Arc::new(MemoryBus::default());
        let (keys, dispatcher) = (Keys::random().unwrap(), Arc::new(Dispatcher::new(bus.clone())));
        let allowed = Strangers::with_sinks(["http"]);
        let definitions = HookDefinitions::new(bus.clone(), "memory", dispatcher.clone(), Some(&keys), allowed);
        definitions.restore().await.unwrap();
        let service = AdminService::new(bus, dispatcher).with_definitions(definitions);
        let served = Self { router: service.router(), service };
        for (hook, tenant) in [("acme-1", "acme"), ("acme-2", "acme"), ("other-1", "other")] {
            let table = json!({ "tenant": tenant, "types": ["a"], "sink": { "kind": "http", "url": "https://hooks.example/" } });
            let (status, answer) = served.ask(None, Method::PUT, &format!("/v1/hooks/{hook}"), table.to_string()).await;
            assert_eq!(status, StatusCode::CREATED, "{answer}");
        }
        served
    }

    /// The answer to one tenant, or to an operator.
    async fn ask(
        &self,
        whose: Option<TenantId>,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Json) {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        let request = request.extension(Access::new([Right::Read, Right::Manage], whose));
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Json) {
        let response = self.router.clone().call(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn matches(&self, whose: Option<TenantId>) -> (StatusCode, Json) {
        self.ask(whose, Method::POST, "/v1/hooks/match", r#"{"type":"b","source":"s"}"#).await
    }
}

#[tokio::test]
async fn a_hook_that_goes_while_it_is_asked_for_tells_its_tenant_of_no_others() {
    let served = Served::start().await;
    let path = "/v1/hooks/acme-1/dead-letters/replay";
    let (sender, late) = oneshot::channel::<&str>();
    let asked = served.ask(tenant("acme"), Method::POST, path, Body::from_stream(stream::once(late)));
    let mut asked = Box::pin(asked);
    // The hook was found, and the body is waited for.
    assert!((&mut asked).now_or_never().is_none());
    let (status, _) = served.ask(None, Method::DELETE, "/v1/hooks/acme-1", "").await;
    assert_eq!(status, StatusCode::OK);
    sender.send("{}").unwrap();
    let (status, problem) = asked.await;
    assert_eq!((status, &problem["detail"]), (StatusCode::NOT_FOUND, &json!("there is no hook `acme-1`")));
    let (status, problem) = served.ask(None, Method::POST, path, "{}").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(problem["detail"], "there is no hook `acme-1`; known: acme-2, other-1");
}

#[tokio::test]
async fn to_match_an_event_takes_a_turn() {
    let served = Served::start().await;
    let turns: Vec<_> = (0..4).map(|_| served.service.looks().take(tenant("acme")).unwrap()).collect();
    let (status, problem) = served.matches(tenant("acme")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{problem}");
    let (status, found) = served.matches(tenant("other")).await;
    let away = json!({ "hook": "other-1", "receives": false, "mismatch": { "setting": "types" } });
    assert_eq!((status, &found["hooks"]), (StatusCode::OK, &json!([away])));
    drop(turns);
    let (status, found) = served.matches(tenant("acme")).await;
    assert_eq!((status, found["hooks"].as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
}

#[tokio::test]
async fn who_may_only_read_sees_neither_paths_nor_parameters_of_a_token_request() {
    let served = Served::start().await;
    let oauth2 = json!({
        "token_url": "https:tokens.example/sesame", "client_id": "me", "client_secret": "open-sesame",
        "parameters": { "code": "open-sesame" },
    });
    let sink = json!({ "kind": "http", "url": r"https:\\hooks.example\sesame", "oauth2": oauth2 });
    let table = json!({ "tenant": "acme", "sink": sink }).to_string();
    let (status, answer) = served.ask(None, Method::PUT, "/v1/hooks/acme-3", table).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let request = Request::get("/v1/hooks/acme-3").extension(Access::new([Right::Read], tenant("acme")));
    let (_, shown) = served.send(request.body(Body::empty()).unwrap()).await;
    let oauth2 = json!({ "token_url": "https://tokens.example/…", "client_id": "me" });
    assert_eq!(
        shown["settings"]["sink"],
        json!({ "kind": "http", "url": "https://hooks.example/…", "oauth2": oauth2 })
    );
}
