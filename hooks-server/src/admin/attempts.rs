//! `GET …/attempts`: what was tried, of all hooks, of one, and with one event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response as HttpResponse;
use futures_util::future::join_all;
use hooks_core::bus::Instances;
use hooks_core::{StartAt, TenantId, chain};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use schemars::{JsonSchema as _, SchemaGenerator};
use serde_json::json;
use tokio::time::timeout;

use super::events::Moment;
use super::openapi::{Operation, Routes, schema};
use super::request::Request;
use super::response::{Problem, Response};
use super::routes::{AnyHook, JSON, Whose, bad_request, json as json_answer};
use super::service::AdminService;
use crate::history::{AttemptPage, AttemptQuery, follow};

/// The media type of attempts that are followed.
const LINES: &str = "application/x-ndjson";

/// How long another instance may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> Routes<AdminService> {
    let of_event =
        Operation::get("/v1/events/{position}/attempts", "listAttemptsOfEvent", "A page of the attempts with an event")
            .parameter("path", "position", "The event's position in the log.", schema::position());
    Routes::new()
        .on(described(Operation::get("/v1/attempts", "listAttempts", "A page of the attempts of all hooks")), of_all)
        .on(
            described(Operation::get("/v1/hooks/{id}/attempts", "listAttemptsOfHook", "A page of a hook's attempts"))
                .problems(&[404]),
            of_hook,
        )
        .on(described(of_event), of_event_at)
}

fn described(operation: Operation) -> Operation {
    let time = || Moment::json_schema(&mut SchemaGenerator::default()).to_value();
    let one_of = |values: [&str; 2]| json!({ "enum": values });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": AttemptQuery::LIMITS.1 });
    operation
        .parameter(
            "query",
            "outcome",
            "`delivered`: those that delivered everything. `failed`: the others.",
            one_of(["delivered", "failed"]),
        )
        .parameter("query", "since", "Begun at this time or later, or so long ago at most.", time())
        .parameter("query", "until", "Begun at this time or earlier, or so long ago at least.", time())
        .parameter("query", "order", "The `newest` first, if it is not said.", one_of(["newest", "oldest"]))
        .parameter("query", "after", "The page begins behind this attempt, as `next` says.", schema::position())
        .parameter("query", "limit", "Most attempts in the page.", limit)
        .parameter(
            "query",
            "follow",
            "`true` answers with attempts as they end, a line of JSON each, until the client goes. Empty lines mean nothing. \
             Of instances that share a bus only those of the one that is asked come.",
            one_of(["true", "false"]),
        )
        .answers::<AttemptPage>(200, "The page.")
        .problems(&[429, 501])
}

/// What is asked.
struct Asked {
    query: AttemptQuery,
    follows: bool,
}

async fn of_all(
    State(service): State<AdminService>,
    Whose(tenant): Whose,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let asked = asked(query.as_deref(), tenant)?;
    answer(service, asked).await
}

async fn of_hook(
    State(service): State<AdminService>,
    AnyHook(hook): AnyHook,
    Whose(tenant): Whose,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let service = service.answering(tenant.as_ref());
    if tenant.is_some() && service.dispatcher().tenant_of(&hook) != tenant {
        return Err(service.unknown(&hook));
    }
    let mut asked = asked(query.as_deref(), tenant)?;
    asked.query.hook = Some(hook);
    answer(service, asked).await
}

async fn of_event_at(
    State(service): State<AdminService>,
    Path(position): Path<String>,
    Whose(tenant): Whose,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let mut asked = asked(query.as_deref(), tenant)?;
    let position = position.parse();
    asked.query.position = Some(position.map_err(|_| bad_request("a position is a whole number, from 0"))?);
    answer(service, asked).await
}

async fn answer(service: AdminService, Asked { query, follows }: Asked) -> Result<HttpResponse, Problem> {
    let hook = query.hook.clone();
    if !follows {
        let _turn = service.looks().take(query.tenant.clone())?;
        let is_first = query.after.is_none();
        let page = service.attempts(query).await?;
        if let (Some(hook), true, true) = (hook, page.attempts.is_empty(), is_first && page.next.is_none()) {
            service.must_know(&hook)?;
        }
        return Ok(json_answer(StatusCode::OK, JSON, &page));
    }
    hook.map_or(Ok(()), |hook| service.must_know(&hook))?;
    let history = service.history().ok_or_else(none_kept)?;
    let turn = service.follows().take(query.tenant.clone())?;
    let mut answer = HttpResponse::new(Body::from_stream(follow(history, query, turn)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    Ok(answer)
}

fn none_kept() -> Problem {
    let why = "no history of attempts is kept here: `history.folder` in the config file says where it is kept on a bus without a folder, and `history.max_bytes` how much of it";
    Problem::new(StatusCode::NOT_IMPLEMENTED, why)
}

impl AdminService {
    /// A page of attempts, of all instances that share the bus.
    pub(super) async fn attempts(&self, query: AttemptQuery) -> Result<AttemptPage, Problem> {
        let Some(instances) = self.instances() else { return self.own_attempts(query).await };
        let (own, others) = tokio::join!(self.own_attempts(query.clone()), ask(instances, &query));
        if others.is_empty() {
            return own;
        }
        // One that keeps none asks for others.
        Ok(AttemptPage::merge(own.into_iter().chain(others), &query))
    }

    /// A page of this process's attempts.
    pub(super) async fn own_attempts(&self, query: AttemptQuery) -> Result<AttemptPage, Problem> {
        let page = self.history().ok_or_else(none_kept)?.page(query).await;
        page.map_err(|error| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("the history can't be read: {error}"))
        })
    }
}

async fn ask(instances: &dyn Instances, query: &AttemptQuery) -> Vec<AttemptPage> {
    let question = serde_json::to_vec(&Request::Attempts { which: query.clone() }).unwrap_or_default();
    let living = instances.living();
    join_all(living.iter().map(async |instance| {
        let silent = |why: &str| AttemptPage { silent: vec![format!("{instance}: {why}")], ..AttemptPage::default() };
        match timeout(PATIENCE, instances.ask(instance, question.clone())).await {
            Err(_) => silent("no answer"),
            Ok(Err(error)) => silent(&chain(&error)),
            Ok(Ok(answer)) => match serde_json::from_slice(&answer) {
                Ok(Response::Attempts(page)) => page,
                Ok(Response::Failed(problem)) => silent(&problem.detail),
                _ => silent("it is of another version"),
            },
        }
    }))
    .await
}

/// Understands what stands behind `?`.
fn asked(text: Option<&str>, tenant: Option<TenantId>) -> Result<Asked, Problem> {
    let mut query = AttemptQuery { tenant, ..AttemptQuery::default() };
    let mut follows = false;
    for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        let wrong = |expected: &str| bad_request(format!("`{name}={value}` is not understood: expected {expected}"));
        let number = || value.parse().map_err(|_| wrong("a whole number"));
        match &*name {
            "outcome" => {
                query.delivered =
                    Some(choice(&value, ["failed", "delivered"]).ok_or_else(|| wrong("delivered or failed"))?)
            }
            "since" => query.since = Some(time(&value).ok_or_else(|| wrong(TIME))?),
            "until" => query.until = Some(time(&value).ok_or_else(|| wrong(TIME))?),
            "order" => {
                query.oldest_first = choice(&value, ["newest", "oldest"]).ok_or_else(|| wrong("newest or oldest"))?
            }
            "after" => query.after = Some(number()?),
            "limit" => {
                let most = AttemptQuery::LIMITS.1;
                let limit = usize::try_from(number()?).ok().filter(|limit| (1..=most).contains(limit));
                query.limit = limit.ok_or_else(|| wrong(&format!("1 to {most}")))?;
            }
            "follow" => follows = choice(&value, ["false", "true"]).ok_or_else(|| wrong("true or false"))?,
            _ => return Err(bad_request(format!("`{name}` is not known: see /openapi.json"))),
        }
    }
    Ok(Asked { query, follows })
}

const TIME: &str = "an age, as `2h`, or a time, as `2026-11-27T10:00:00Z`";

/// False for the first, true for the second.
fn choice(value: &str, [no, yes]: [&str; 2]) -> Option<bool> {
    if value == no { Some(false) } else { (value == yes).then_some(true) }
}

/// A time in microseconds since 1970.
fn time(value: &str) -> Option<u64> {
    let at = value.parse::<StartAt>().ok()?.since(SystemTime::now())?;
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).ok()
}

/// What stands behind the path, for these attempts.
pub(super) fn path_of(which: &AttemptQuery) -> String {
    let AttemptQuery { hook, position, delivered, since, until, after, oldest_first, limit, .. } = which;
    let path = match (hook, position) {
        (_, Some(position)) => format!("/v1/events/{position}/attempts"),
        (Some(hook), None) => format!("/v1/hooks/{hook}/attempts"),
        (None, None) => "/v1/attempts".to_owned(),
    };
    let at = |micros: u64| hooks_core::precise_timestamp(UNIX_EPOCH + Duration::from_micros(micros));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    let outcome = delivered.map(|delivered| if delivered { "delivered" } else { "failed" });
    let order = oldest_first.then_some("oldest");
    let texts = [("outcome", outcome.map(str::to_owned)), ("order", order.map(str::to_owned))];
    let others = [("since", since.map(at)), ("until", until.map(at)), ("after", after.map(|after| after.to_string()))];
    for (name, value) in texts.into_iter().chain(others) {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    format!("{path}?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood() {
        let which = AttemptQuery {
            delivered: Some(false),
            since: Some(1_764_000_000_123_456),
            until: Some(1_764_000_001_000_000),
            after: Some(7),
            oldest_first: true,
            limit: 9,
            ..AttemptQuery::default()
        };
        let path = path_of(&which);
        let (path, text) = path.split_once('?').unwrap();
        assert_eq!((path, asked(Some(text), None).unwrap().query), ("/v1/attempts", which));
        for (text, part) in [
            ("limit=0", "1 to 500"),
            ("limit=501", "1 to 500"),
            ("outcome=partly", "delivered or failed"),
            ("since=end", "an age"),
            ("until=yesterday", "an age"),
            ("after=-1", "a whole number"),
            ("hook=a", "`hook` is not known"),
        ] {
            let problem = asked(Some(text), None).err().unwrap();
            assert!(problem.status == 400 && problem.detail.contains(part), "{text}: {}", problem.detail);
        }
    }
}
