//! Receivers that grant deliveries later, at the address that they were given with the question.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use futures_util::future::join_all;
use hooks_core::bus::Instances;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::{self, TEXT};
use super::state::State;
use crate::admin::{Content, Operation, Problem, Request, Response as Outcome, Routes, call_back};

/// Headers that mean something, all of which begin so.
const PREFIX: &str = "webhook-";

/// Calls that other instances are asked about at a time: anybody may call.
const AT_ONCE: usize = 8;

/// How long another instance may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The instances that share the bus. One of them has asked the receiver.
pub(crate) struct Others {
    instances: Arc<dyn Instances>,
    room: Semaphore,
}

impl Others {
    pub(crate) fn new(instances: Arc<dyn Instances>) -> Self {
        Self { instances, room: Semaphore::new(AT_ONCE) }
    }

    /// Hands the call to all of them. `None`: none waits for it.
    async fn ask(&self, call: &Request) -> Option<Result<(), Problem>> {
        let Ok(_place) = self.room.try_acquire() else {
            let why = "too many calls come at once: call again";
            return Some(Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why)));
        };
        let question = serde_json::to_vec(call).unwrap_or_default();
        let living = self.instances.living();
        let answers = join_all(living.iter().map(async |instance| {
            let answer = timeout(PATIENCE, self.instances.ask(instance, question.clone())).await.ok()?.ok()?;
            serde_json::from_slice::<Outcome>(&answer).ok()
        }));
        answers.await.into_iter().flatten().find_map(|outcome| match outcome.into_result() {
            Ok(_) => Some(Ok(())),
            Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => Some(Err(problem)),
            // It does not wait for the call, or is of another version.
            Err(_) => None,
        })
    }
}

const PATH: &str = "/v1/grants/{secret}";

pub(super) fn routes() -> Routes<Arc<State>> {
    let described = |operation: Operation| {
        let secret = serde_json::json!({ "type": "string" });
        operation
            .right(None)
            .parameter("path", "secret", "The end of the address that the receiver was told.", secret)
            .answers_with(200, "Granted.", TEXT, Content::Is(serde_json::json!({ "type": "string" })))
            .problems(&[400, 404, 422, 503])
    };
    // A person may do it with a browser. Whoever only looks grants nothing.
    Routes::new()
        .on(described(Operation::get(PATH, "grantByBrowser", "Grants deliveries that a receiver was asked for")), grant)
        .on(described(Operation::post(PATH, "grant", "Grants deliveries that a receiver was asked for")), grant)
        .without_head(PATH)
}

async fn grant(
    Shared(state): Shared<Arc<State>>,
    secret: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // What is no text was never given.
    let secret = secret.map(|Path(secret)| secret).unwrap_or_default();
    let given = headers.iter().filter(|(name, _)| name.as_str().starts_with(PREFIX));
    let headers = given.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let call = (secret, headers.collect::<Vec<_>>());
    match (call_back(&state.dispatcher, &call.0, &call.1), &state.others) {
        (Err(unknown), Some(others)) if unknown.status == StatusCode::NOT_FOUND => {
            let call = Request::Grant { secret: call.0, headers: call.1 };
            others.ask(&call).await.unwrap_or(Err(unknown))?;
        }
        (outcome, _) => drop(outcome?),
    }
    let mut answer = answer::text(StatusCode::OK, "granted: events are delivered from now on\n").map(Body::from);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
