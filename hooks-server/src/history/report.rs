//! Attempts as operators see them, and what they ask.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use hooks_core::sink::FailureClass;
use hooks_core::{AttemptOutcome, HookId, Phase, TenantId, Trigger, precise_timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::Record;

/// Picks attempts. The default picks all, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AttemptQuery {
    /// Of this hook.
    pub hook: Option<HookId>,
    /// Of hooks of this tenant, as it was when they were made.
    pub tenant: Option<TenantId>,
    /// With the event at this position.
    pub position: Option<u64>,
    /// Those that delivered everything, or (`false`) the others.
    pub delivered: Option<bool>,
    /// Begun at this time or later, in microseconds since 1970.
    pub since: Option<u64>,
    /// Begun at this time or earlier.
    pub until: Option<u64>,
    /// The page begins behind the attempt of this id.
    pub after: Option<u64>,
    /// The oldest first.
    pub oldest_first: bool,
    /// Most attempts.
    pub limit: usize,
}

impl AttemptQuery {
    /// The number of attempts in a page that says nothing of it, and the most.
    pub const LIMITS: (usize, usize) = (50, 500);
}

impl Default for AttemptQuery {
    fn default() -> Self {
        Self {
            hook: None,
            tenant: None,
            position: None,
            delivered: None,
            since: None,
            until: None,
            after: None,
            oldest_first: false,
            limit: Self::LIMITS.0,
        }
    }
}

/// A page of attempts.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct AttemptPage {
    /// The attempts.
    pub attempts: Vec<AttemptReport>,
    /// The next page begins `after` this. Missing: there is none. A page may have fewer attempts than it could, where there
    /// is much to look through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Instances that share the bus and did not say what they have tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptReport {
    /// Rises from one attempt to the next: about when it ended, in microseconds since 1970.
    pub id: u64,
    /// The hook.
    pub hook: HookId,
    /// Whose hook it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub tenant: Option<TenantId>,
    /// The name of the batch, as the receiver sees it.
    pub batch: String,
    /// The positions of its events: first and last of each run. A test has none.
    pub positions: Vec<[u64; 2]>,
    /// The number of its events.
    pub events: u64,
    /// The number of the attempt on this batch, from 1; a restart begins anew.
    pub attempt: u32,
    /// Why it was made.
    pub trigger: Trigger,
    /// When it began: RFC 3339.
    pub began: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// How long each part took, in milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, f64>")]
    pub phases_ms: BTreeMap<Phase, f64>,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// What kind of failure it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The positions of events that the receiver refused by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u64>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The failure, or what was odd about the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// The address that was connected to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl AttemptPage {
    /// One page of those of several instances, which answer the same.
    pub fn merge(pages: impl IntoIterator<Item = Self>, query: &AttemptQuery) -> Self {
        let mut merged = Self::default();
        // Who has more may have some between those of the others.
        let mut end: Option<u64> = None;
        for page in pages {
            merged.attempts.extend(page.attempts);
            merged.silent.extend(page.silent);
            end = match (end, page.next) {
                (Some(end), Some(next)) if query.oldest_first => Some(end.min(next)),
                (end, next) => end.max(next),
            };
        }
        // Two instances may have given the same number to attempts of different hooks.
        merged.attempts.sort_by(|a, b| (a.id, &a.hook).cmp(&(b.id, &b.hook)));
        if !query.oldest_first {
            merged.attempts.reverse();
        }
        // An instance may answer twice, as one that is asked and as one of all.
        merged.attempts.dedup();
        if let Some(end) = end {
            merged.attempts.retain(|attempt| if query.oldest_first { attempt.id <= end } else { attempt.id >= end });
            merged.next = Some(end);
        }
        if let Some(last) = query.limit.checked_sub(1).and_then(|last| merged.attempts.get(last)).map(|last| last.id) {
            // Two instances may have one of the same number.
            let keep = merged.attempts.iter().rposition(|attempt| attempt.id == last).map_or(0, |at| at + 1);
            if keep < merged.attempts.len() {
                merged.attempts.truncate(keep);
                merged.next = Some(last);
            }
        }
        merged
    }
}

impl AttemptReport {
    /// `None`: its hook or tenant has a name that none has.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        let facts = &record.facts;
        let ms = |micros: u64| micros as f64 / 1e3;
        let phases = Phase::ALL.into_iter().zip(facts.phases);
        Some(Self {
            id: facts.number,
            hook: HookId::new(facts.hook).ok()?,
            tenant: if facts.tenant.is_empty() { None } else { Some(TenantId::new(facts.tenant).ok()?) },
            batch: facts.batch.to_string(),
            positions: record.runs().map(|(first, last)| [first, last]).collect(),
            events: facts.events,
            attempt: facts.attempt,
            trigger: facts.trigger,
            began: precise_timestamp(UNIX_EPOCH + Duration::from_micros(facts.began)),
            took_ms: ms(facts.took),
            phases_ms: phases.filter_map(|(phase, took)| Some((phase, ms(took?)))).collect(),
            outcome: facts.outcome,
            class: facts.class.map(FailureClass::name).map(str::to_owned),
            refused: record.refused.iter().collect(),
            status: facts.status,
            error: facts.error.to_owned(),
            answer: facts.answer.to_owned(),
            address: facts.address.to_owned(),
        })
    }
}
