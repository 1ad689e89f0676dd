//! Looks into the log: past events, a page at a time.

mod moment;
mod operations;
mod resend;
mod routes;

use std::collections::BTreeSet;
use std::time::SystemTime;

use hooks_core::bus::{Past, PastEvent, PastFilter, PastOrder, PastPage, PastQuery};
use hooks_core::{Bus, BusError, Pattern, Position, RawValue, TenantId, timestamp};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::PAGE;
use super::response::Problem;
use super::routes::bad_request;

pub use moment::Moment;
pub use resend::{Missing, ResendFilter, Resent};
pub(super) use routes::routes;

/// Most ids or positions that are named.
pub(super) const MOST_IDS: usize = 1_000;

/// Most globs of one kind.
pub(super) const MOST_GLOBS: usize = 64;

/// Most bytes of one.
const LONGEST_GLOB: usize = 1_024;

/// Most characters of a text that is looked for.
const LONGEST_TEXT: usize = 256;

/// Selects past events: those that fit everything that is set. The default selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// One of these ids; empty: any.
    #[schemars(with = "Vec<String>", length(max = MOST_IDS))]
    pub ids: BTreeSet<String>,
    /// The source matches one of these globs; empty: any.
    #[schemars(length(max = MOST_GLOBS))]
    pub sources: Vec<String>,
    /// The type matches one of these globs, as `types` of a hook; empty: any type, also the daemon's own (`hooks.…`).
    #[schemars(length(max = MOST_GLOBS))]
    pub types: Vec<String>,
    /// Of this tenant.
    #[schemars(with = "Option<String>")]
    pub tenant: Option<TenantId>,
    /// Accepted at this time or later: `2026-11-27T10:00:00Z`, or a time ago, such as `2h`. To the second.
    pub since: Option<Moment>,
    /// Accepted before this time.
    pub until: Option<Moment>,
    /// The event's JSON has this text in it, spelled the same.
    #[schemars(length(max = LONGEST_TEXT))]
    pub text: Option<String>,
}

impl EventFilter {
    /// The query for these events, oldest first.
    ///
    /// # Errors
    /// When it names too many: each event of the log would be compared with all of them.
    pub(super) fn query(&self, now: SystemTime) -> Result<PastQuery, Problem> {
        at_most(MOST_IDS, self.ids.len(), "ids")?;
        few_globs(&self.sources, "sources")?;
        few_globs(&self.types, "types")?;
        let length = self.text.as_ref().map_or(0, |text| text.chars().count());
        if length > LONGEST_TEXT {
            return Err(bad_request(format!("text: it has {length} characters, and {LONGEST_TEXT} are the most")));
        }
        let patterns = |globs: &[String]| globs.iter().map(|glob| Pattern::new(glob.as_str())).collect();
        let filter = PastFilter::default().ids(self.ids.clone()).tenant(self.tenant.clone());
        let filter = filter.sources(patterns(&self.sources)).types(patterns(&self.types)).text(self.text.clone());
        let time = |moment: Option<Moment>| moment.map(|moment| moment.time(now));
        let query = PastQuery::default().filter(filter).order(PastOrder::OldestFirst);
        Ok(query.since(time(self.since)).until(time(self.until)))
    }
}

/// # Errors
/// When there are many, or long ones.
pub(super) fn few_globs(globs: &[String], what: &str) -> Result<(), Problem> {
    at_most(MOST_GLOBS, globs.len(), what)?;
    match globs.iter().find(|glob| glob.len() > LONGEST_GLOB) {
        Some(glob) => {
            let length = glob.len();
            Err(bad_request(format!("{what}: one has {length} bytes, and {LONGEST_GLOB} are the most of a glob")))
        }
        None => Ok(()),
    }
}

/// # Errors
/// When there are more.
fn at_most(most: usize, named: usize, what: &str) -> Result<(), Problem> {
    if named <= most {
        return Ok(());
    }
    let why = format!("{what}: {named} are named, and {most} may be at most: ask several times, or for all of a time");
    Err(bad_request(why))
}

/// The order of past events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventOrder {
    /// The newest one comes first.
    #[default]
    Newest,
    /// The oldest one comes first.
    Oldest,
}

/// A page of past events that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Which ones.
    pub filter: EventFilter,
    /// In which order.
    pub order: EventOrder,
    /// Most events of the page, at most 1,000. Not set: 100.
    pub limit: Option<usize>,
    /// The page begins behind this position, in its order: [`EventPage::next`] of the page before.
    pub after: Option<u64>,
}

impl EventQuery {
    fn query(&self, now: SystemTime) -> Result<PastQuery, Problem> {
        let query = self.filter.query(now)?.max_events(self.limit.unwrap_or(PAGE.0).min(PAGE.1));
        Ok(match (self.order, self.after) {
            (EventOrder::Oldest, after) => query.from(Position::new(after.map_or(0, |after| after.saturating_add(1)))),
            (EventOrder::Newest, after) => query.order(PastOrder::NewestFirst).to(after.map(Position::new)),
        })
    }
}

/// A past event.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventReport {
    /// Its position in the log.
    pub position: u64,
    /// When it was accepted: RFC 3339, as all times here.
    pub accepted: String,
    /// Byte for byte as it was accepted.
    #[schemars(with = "serde_json::Value")]
    pub event: Box<RawValue>,
}

impl EventReport {
    fn new(event: &PastEvent) -> Result<Self, Problem> {
        let failed = |error: serde_json::Error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        let json = RawValue::from_string(event.envelope.json().to_owned()).map_err(failed)?;
        Ok(Self { position: event.position.get(), accepted: timestamp(event.accepted), event: json })
    }
}

/// A page of past events. It may have few or none although there are more: the work for a page is bounded.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// In the order that was asked for.
    pub events: Vec<EventReport>,
    /// The `after` of the next page. Not there: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The end of the log: the position of the next event that is accepted, or one before it.
    pub end: u64,
    /// Bytes of the log that were looked at.
    pub scanned: u64,
    /// Positions that can't be read any more, because the log is damaged there: the first and the last of each range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<[u64; 2]>,
}

impl EventPage {
    fn new(page: &PastPage, order: EventOrder) -> Result<Self, Problem> {
        let next = |next: Position| match order {
            EventOrder::Oldest => next.get().saturating_sub(1),
            EventOrder::Newest => next.get(),
        };
        let unreadable = page.unreadable.iter();
        Ok(Self {
            events: page.events.iter().map(EventReport::new).collect::<Result<_, _>>()?,
            next: page.next.map(next),
            end: page.end.get(),
            scanned: page.scanned,
            unreadable: unreadable.map(|range| [*range.start(), *range.end()]).collect(),
        })
    }
}

/// The past of a bus.
///
/// # Errors
/// When it keeps none.
pub(super) fn past(bus: &dyn Bus) -> Result<&dyn Past, Problem> {
    bus.past().ok_or_else(|| {
        let why = "this bus keeps no past: an event is gone once every hook is done with it";
        Problem::new(StatusCode::NOT_IMPLEMENTED, why)
    })
}

/// A page of past events.
///
/// # Errors
/// When there can be none.
pub(super) async fn page(bus: &dyn Bus, query: &EventQuery) -> Result<EventPage, Problem> {
    let page = past(bus)?.read(&query.query(SystemTime::now())?).await.map_err(unavailable)?;
    EventPage::new(&page, query.order)
}

/// One past event, if it is this tenant's.
///
/// # Errors
/// When it is not there.
pub(super) async fn event(bus: &dyn Bus, position: u64, tenant: Option<&TenantId>) -> Result<EventReport, Problem> {
    let filter = EventFilter { tenant: tenant.cloned(), ..EventFilter::default() };
    let query = filter.query(SystemTime::now())?.at(Position::new(position));
    let page = past(bus)?.read(&query).await.map_err(unavailable)?;
    match page.events.first() {
        Some(event) => EventReport::new(event),
        None if page.unreadable.is_empty() || tenant.is_some() => {
            let why = format!("there is no event at position {position}: it has gone, or was never there");
            Err(Problem::new(StatusCode::NOT_FOUND, why))
        }
        None => {
            let why = format!("the event at position {position} can't be read any more: the log is damaged there");
            Err(Problem::new(StatusCode::NOT_FOUND, why))
        }
    }
}

fn unavailable(error: BusError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
