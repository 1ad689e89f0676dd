//! `GET /v1/events/{position}/outcomes`: what became of one event, for every hook.

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response as HttpResponse;
use hooks_core::bus::{PastEvent, PastQuery};
use hooks_core::{AttemptOutcome, DeadLetter, HookId, Mismatch, Position, RunningHook, TenantId};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::{Operation, Routes, schema};
use super::response::Problem;
use super::routes::{JSON, Whose, bad_request, json as json_answer};
use super::service::{AdminService, unavailable};
use crate::history::{AttemptQuery, AttemptReport};
use crate::on_own_thread;

/// Most hooks of a page.
const PAGE: usize = 100;

/// Most attempts with one event that are looked at.
const MOST_ATTEMPTS: usize = 10_000;

/// Dead letters that are looked at at a time, and how often for an answer.
const DEAD_LETTERS: (usize, usize) = (256, 64);

/// Where there may be more.
const MORE_LETTERS: &str = "; perhaps not all dead letters were looked at: `hooks dead-letters list` has them";

/// What became of an event, for some of the hooks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventOutcomes {
    /// By name.
    pub hooks: Vec<HookOutcome>,
    /// The `after` of the next page. Missing: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next: Option<HookId>,
    /// Instances that share the bus and did not say what they have tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}

/// What became of an event at a hook.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct HookOutcome {
    /// The hook.
    pub hook: HookId,
    /// What it is.
    pub outcome: Verdict,
    /// Why, in words.
    pub detail: String,
    /// Of one that is not matched: the first part of the hook's filter that keeps it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
    /// The attempt that delivered it; else the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptReport>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The receiver took it.
    Delivered,
    /// It waits for its turn, or for the receiver.
    Pending,
    /// The hook gave it up, and it is kept.
    DeadLettered,
    /// The hook gave it up, and it is not kept, or not any more.
    GivenUp,
    /// The hook did not exist yet when it was accepted: it began behind it.
    DidNotExist,
    /// The hook's filter does not let it through.
    NotMatched,
    /// An operator moved the hook past it.
    Skipped,
    /// The hook is done with it, and no attempt is on record.
    Passed,
    /// The bus does not tell how far the hook is, or the hook does not run here.
    Unknown,
}

impl Verdict {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Pending => "pending",
            Self::DeadLettered => "dead-lettered",
            Self::GivenUp => "given up",
            Self::DidNotExist => "did not exist yet",
            Self::NotMatched => "not matched",
            Self::Skipped => "skipped",
            Self::Passed => "passed",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of an event at a hook.
#[derive(Default)]
struct Facts<'a> {
    /// The newest first.
    attempts: &'a [AttemptReport],
    /// The part of the filter that keeps it away.
    mismatch: Option<Mismatch>,
    /// The hook is done with all before.
    position: Option<u64>,
    /// The hook was to get what lies here or behind.
    began: Option<u64>,
    dead_letter: Option<DeadLetter>,
    state: &'a str,
    error: Option<&'a str>,
}

/// What became of the event at this position.
fn decide(position: u64, facts: &Facts<'_>) -> (Verdict, String) {
    let settled = facts.position.map(|first| position < first);
    if let Some(letter) = &facts.dead_letter {
        return (Verdict::DeadLettered, format!("{}: {}", letter.reason, letter.detail));
    }
    let is_untried = is_untried(facts.attempts);
    // One that was moved back to it gets it all the same.
    if let Some(began) = facts.began.filter(|began| is_untried && position < *began && settled != Some(false)) {
        return (Verdict::DidNotExist, format!("the hook began behind it, at position {began}"));
    }
    if let Some(part) = facts.mismatch.as_ref().filter(|_| is_untried) {
        return (Verdict::NotMatched, format!("{part} of the hook keeps it away"));
    }
    match (settled, facts.attempts.first(), facts.position) {
        (Some(false), _, Some(first)) => {
            let behind = if first == position { "it is next".to_owned() } else { format!("behind position {first}") };
            let error = facts.error.map_or_else(String::new, |error| format!(": {error}"));
            (Verdict::Pending, format!("{behind}; the hook is {}{error}", facts.state))
        }
        (Some(true), Some(last), _) if last.outcome == AttemptOutcome::Skipped => {
            (Verdict::Skipped, format!("an operator moved the hook past it at {}", last.began))
        }
        (Some(true), Some(last), _) => {
            let why = "the hook went on after that: the event was dropped, or its dead letter is gone";
            (Verdict::GivenUp, format!("{}; {why}", last.error))
        }
        (Some(true), None, _) => {
            // As much as a table shows.
            let began = if facts.began.is_none() { "came later, " } else { "" };
            (Verdict::Passed, format!("no attempt on record: {began}other filter, or the record is gone"))
        }
        (_, last, _) => {
            let last = last.map_or_else(String::new, |last| format!("; the last attempt: {}", last.error));
            (Verdict::Unknown, format!("it is not known here how far the hook is{last}"))
        }
    }
}

/// True if there was no attempt: a seek that skipped the event is none.
fn is_untried(attempts: &[AttemptReport]) -> bool {
    attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::Skipped)
}

/// The attempt that delivered the event at this position.
fn delivered(position: u64, attempts: &[AttemptReport]) -> Option<&AttemptReport> {
    attempts.iter().find(|attempt| match attempt.outcome {
        AttemptOutcome::Delivered => true,
        AttemptOutcome::Partly => !attempt.refused.contains(&position),
        AttemptOutcome::Failed | AttemptOutcome::Skipped => false,
    })
}

impl AdminService {
    /// What became of the event at a position, for hooks behind a name: of all, or of a tenant whose event it has to be.
    ///
    /// # Errors
    /// When the log has no such event, or nothing can be said of it.
    pub(super) async fn outcomes(
        &self,
        position: u64,
        after: Option<&HookId>,
        tenant: Option<&TenantId>,
    ) -> Result<EventOutcomes, Problem> {
        let event = self.event_at(position, tenant).await?;
        let (attempts, silent) = self.attempts_with(position, tenant).await?;
        let hooks = self.dispatcher().hooks(after, PAGE, tenant);
        let next = hooks.last().filter(|_| hooks.len() == PAGE).map(|hook| hook.hook.id.clone());
        let envelope = event.envelope.clone();
        // A pattern for a large event may take a while.
        let compare = move || {
            let mismatch = |running: RunningHook| (running.hook.filter.mismatch(&envelope), running);
            hooks.into_iter().map(mismatch).collect::<Vec<_>>()
        };
        let hooks = on_own_thread("outcomes", compare).await.map_err(|error| unavailable(error.to_string()))?;
        let (mut outcomes, mut pages) = (Vec::new(), DEAD_LETTERS.1);
        for (mismatch, running) in hooks {
            let tried = attempts.get(&running.hook.id).map(Vec::as_slice).unwrap_or_default();
            outcomes.push(self.outcome(&event, (&running, mismatch), tried, &mut pages).await?);
        }
        Ok(EventOutcomes { hooks: outcomes, next, silent })
    }

    pub(super) async fn event_at(&self, position: u64, tenant: Option<&TenantId>) -> Result<PastEvent, Problem> {
        let past = super::events::past(self.bus())?;
        let page = past.read(&PastQuery::default().at(Position::new(position))).await;
        let page = page.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
        let is_theirs = |event: &PastEvent| tenant.is_none_or(|own| event.envelope.tenant() == Some(own.as_str()));
        page.events.into_iter().find(is_theirs).ok_or_else(|| {
            let why = format!("there is no event at position {position}: it has gone, or was never there");
            Problem::new(StatusCode::NOT_FOUND, why)
        })
    }

    /// The attempts with an event, by hook, the newest first; and who did not say.
    async fn attempts_with(
        &self,
        position: u64,
        tenant: Option<&TenantId>,
    ) -> Result<(BTreeMap<HookId, Vec<AttemptReport>>, Vec<String>), Problem> {
        let limit = AttemptQuery::LIMITS.1;
        let mut query =
            AttemptQuery { position: Some(position), tenant: tenant.cloned(), limit, ..AttemptQuery::default() };
        let (mut attempts, mut count, mut silent) = (BTreeMap::<_, Vec<_>>::new(), 0, Vec::new());
        while count < MOST_ATTEMPTS {
            let page = self.attempts(query.clone()).await?;
            for attempt in page.attempts {
                let known = attempts.entry(attempt.hook.clone()).or_default();
                // Of seeks, the last word is enough.
                if attempt.outcome != AttemptOutcome::Skipped || known.is_empty() {
                    count += 1;
                    known.push(attempt);
                }
            }
            silent = page.silent;
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        Ok((attempts, silent))
    }

    async fn outcome(
        &self,
        event: &PastEvent,
        (running, mismatch): (&RunningHook, Option<Mismatch>),
        attempts: &[AttemptReport],
        pages: &mut usize,
    ) -> Result<HookOutcome, Problem> {
        let (hook, position) = (running.hook.id.clone(), event.position.get());
        if let Some(attempt) = delivered(position, attempts) {
            let detail = format!("attempt {}, {}", attempt.attempt, attempt.trigger.name());
            let attempt = Some(attempt.clone());
            return Ok(HookOutcome { hook, outcome: Verdict::Delivered, detail, mismatch: None, attempt });
        }
        let is_untried = is_untried(attempts);
        let may_be_dead = mismatch.is_none() || !is_untried;
        let status = self.dispatcher().hook_status(&hook);
        let facts = Facts {
            attempts,
            mismatch,
            position: self.bus().monitor().position(&hook).map(Position::get),
            began: if is_untried { self.began(&hook).await? } else { None },
            dead_letter: if may_be_dead { self.dead_letter_of(event, &hook, pages).await? } else { None },
            state: running.state.name(),
            error: status.as_ref().and_then(|status| status.last_error.as_deref()),
        };
        let (outcome, mut detail) = decide(position, &facts);
        if may_be_dead && facts.dead_letter.is_none() && *pages == 0 {
            detail.push_str(MORE_LETTERS);
        }
        let mismatch = facts.mismatch.filter(|_| outcome == Verdict::NotMatched);
        Ok(HookOutcome { hook, outcome, detail, mismatch, attempt: attempts.first().cloned() })
    }

    async fn began(&self, hook: &HookId) -> Result<Option<u64>, Problem> {
        let began = self.bus().hooks().began(hook).await;
        Ok(began.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?.map(Position::get))
    }

    /// The dead letter of an event at a hook, among so many pages.
    async fn dead_letter_of(
        &self,
        event: &PastEvent,
        hook: &HookId,
        pages: &mut usize,
    ) -> Result<Option<DeadLetter>, Problem> {
        let Some(store) = self.bus().hooks().dead_letters(hook).filter(|store| store.count() > 0) else {
            return Ok(None);
        };
        let mut after = None;
        while *pages > 0 {
            *pages -= 1;
            let page = store.list(after, DEAD_LETTERS.0).await;
            let page = page.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            let is_last = page.len() < DEAD_LETTERS.0;
            after = Some(*last);
            let is_it = |letter: &DeadLetter| {
                letter.position == event.position && letter.envelope.json() == event.envelope.json()
            };
            if let Some((_, letter)) = page.into_iter().find(|(_, letter)| is_it(letter)) {
                return Ok(Some(letter));
            }
            if is_last {
                break;
            }
        }
        Ok(None)
    }
}

pub(super) fn routes() -> Routes<AdminService> {
    let operation =
        Operation::get("/v1/events/{position}/outcomes", "getOutcomesOfEvent", "What became of an event, by hook")
            .parameter("path", "position", "The event's position in the log.", schema::position())
            .parameter("query", "after", "The page begins behind this hook, as `next` says.", schema::hook_id(false))
            .answers::<EventOutcomes>(200, "What became of it, for a page of hooks.")
            .problems(&[404, 429, 501]);
    Routes::new().on(operation, of_event)
}

async fn of_event(
    State(service): State<AdminService>,
    Path(position): Path<String>,
    Whose(tenant): Whose,
    RawQuery(query): RawQuery,
) -> Result<HttpResponse, Problem> {
    let position = position.parse().map_err(|_| bad_request("a position is a whole number, from 0"))?;
    let mut after = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "after" => after = Some(HookId::new(&*value).map_err(|error| bad_request(error.to_string()))?),
            _ => return Err(bad_request(format!("`{name}` is not known: see /openapi.json"))),
        }
    }
    let _turn = service.looks().take(tenant.clone())?;
    let outcomes = service.outcomes(position, after.as_ref(), tenant.as_ref()).await?;
    Ok(json_answer(StatusCode::OK, JSON, &outcomes))
}
