//! Answers that take a bus which does what no test from outside can make one do.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hooks_core::{
    Bus, BusError, Dispatcher, HookId, Slice, async_trait,
    bus::{BusHealth, BusMonitor, BusTraits, Published, Reader, Settler, Subscription},
};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower_service::Service as _;
use uuid::Uuid;

use super::*;
use crate::Settings;
use crate::metrics::Requests;

/// Answers every call like this; `None`: never. And how it is.
struct Stub(Option<BusError>, BusHealth);

#[async_trait]
impl Bus for Stub {
    fn log_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn traits(&self) -> BusTraits {
        BusTraits::new()
    }

    async fn publish(&self, _: Slice) -> Result<Published, BusError> {
        match &self.0 {
            Some(error) => Err(error.clone()),
            None => pending().await,
        }
    }

    async fn subscribe(&self, _: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError> {
        Err(BusError::Closed)
    }

    async fn unsubscribe(&self, _: &HookId) -> Result<(), BusError> {
        Ok(())
    }

    async fn close(&self) {}

    fn monitor(&self) -> &dyn BusMonitor {
        self
    }
}

impl BusMonitor for Stub {
    fn health(&self) -> BusHealth {
        self.1.clone()
    }
}

fn state(answer: Option<BusError>) -> Arc<State> {
    state_of(Stub(answer, BusHealth::Well))
}

fn state_of(bus: Stub) -> Arc<State> {
    let requests = Arc::new(Requests::default());
    let bus = Arc::new(bus);
    let dispatcher = Arc::new(Dispatcher::new(bus.clone()));
    Arc::new(State::new(bus, dispatcher, Settings::default(), requests, Arc::new(|_| Vec::new())))
}

async fn answered(request: Request<Body>, state: &Arc<State>) -> Response<Bytes> {
    let Ok(answer) = router(state.clone()).call(request).await;
    let (head, body) = answer.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

async fn post(state: &Arc<State>) -> Response<Bytes> {
    let request = Request::post("/v1/events").header("host", "a").header("content-type", "application/json");
    answered(request.body(Body::from(r#"{"type":"a"}"#)).unwrap(), state).await
}

async fn refused(error: BusError) -> (u16, bool, String) {
    let answer = post(&state(Some(error))).await;
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    (answer.status().as_u16(), answer.headers().contains_key("retry-after"), body["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_the_bus_says_decides_the_answer() {
    let full = "the bus is full: 10 GiB".to_owned();
    assert_eq!(refused(BusError::Full("10 GiB".to_owned())).await, (507, false, full));
    let too_large = "too large: 10 GiB".to_owned();
    assert_eq!(refused(BusError::TooLarge("10 GiB".to_owned())).await, (413, false, too_large));
    let unavailable = "the bus is unavailable: no disk".to_owned();
    assert_eq!(refused(BusError::Unavailable("no disk".to_owned())).await, (503, true, unavailable));
    assert_eq!(refused(BusError::Closed).await, (503, true, "the server is about to stop".to_owned()));
}

async fn ready(state: &Arc<State>) -> (u16, Bytes) {
    let request = Request::get("/readyz").header("host", "a").body(Body::empty()).unwrap();
    let answer = answered(request, state).await;
    (answer.status().as_u16(), answer.into_body())
}

#[tokio::test]
async fn nobody_is_sent_here_while_the_bus_can_not_do_its_work() {
    for (health, expected) in [
        (BusHealth::Well, (200, "ready\n")),
        (BusHealth::Unavailable("no descriptors".to_owned()), (503, "unavailable\n")),
        (BusHealth::Broken("a sync failed".to_owned()), (503, "broken\n")),
    ] {
        let (status, text) = ready(&state_of(Stub(None, health))).await;
        assert_eq!((status, text), (expected.0, expected.1.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_sent_here_while_events_are_refused_for_want_of_room() {
    for (error, expected) in [
        (BusError::Full("10 GiB".to_owned()), (503, "full\n".into())),
        // That one request is no reason to send the others away.
        (BusError::TooLarge("10 GiB".to_owned()), (200, "ready\n".into())),
        (BusError::Unavailable("no disk".to_owned()), (200, "ready\n".into())),
    ] {
        let state = state(Some(error));
        post(&state).await;
        assert_eq!(ready(&state).await, expected);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(ready(&state).await, (200, "ready\n".into()), "somebody has to try");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_makes_it_wait_too_long_is_given_up() {
    let state = state(None);
    let started = tokio::time::Instant::now();
    let answer = post(&state).await;
    assert_eq!((answer.status().as_u16(), started.elapsed()), (503, Duration::from_secs(5)));
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(text.contains("and may be all the same: send it again with the same ids; "), "{text}");
    assert_eq!(state.room.available_permits(), 64 << 20, "and what it held is given back");
    assert_eq!(state.requests.answers().into_iter().collect::<Vec<_>>(), [(503, 1)]);
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_what_is_being_published_and_refuses_the_rest() {
    let state = state(None);
    let publishing = tokio::spawn({
        let state = state.clone();
        async move { post(&state).await }
    });
    tokio::task::yield_now().await;
    let started = tokio::time::Instant::now();
    state.drain(Duration::from_secs(60)).await;
    assert_eq!(started.elapsed(), Duration::from_secs(5), "as long as publishing took");
    assert_eq!(publishing.await.unwrap().status().as_u16(), 503);
    let answer = post(&state).await;
    assert_eq!((answer.status().as_u16(), started.elapsed()), (503, Duration::from_secs(5)), "at once");
}

#[tokio::test]
async fn a_request_that_names_no_host_hears_of_that_alone() {
    let state = state(None);
    let post = |headers: HeaderMap| {
        let mut request = Request::post("/healthz").body(Body::empty()).unwrap();
        *request.headers_mut() = headers;
        answered(request, &state)
    };
    let answer = post(HeaderMap::new()).await;
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!((answer.status().as_u16(), &body["detail"]), (400, &"header `host` is missing".into()));
    let answer = post([(http::header::HOST, HeaderValue::from_static("a"))].into_iter().collect()).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET,HEAD"));
}
