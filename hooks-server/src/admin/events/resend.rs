//! Sends past events again: which ones, and what came of it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use hooks_core::bus::PastEvent;
use hooks_core::{HookId, Position, ReplayError, ResendReport, Resending, chain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EventFilter, MOST_GLOBS, MOST_IDS, Moment, at_most, past};
use crate::admin::response::{Problem, Response};
use crate::admin::routes::bad_request;
use crate::admin::service::{AdminService, Outcome, conflict, unavailable};

/// Picks past events to send again: those that fit everything that is set. At least one of `ids`, `positions`, `from` and
/// `since` has to be, so that nobody sends the whole log by leaving something out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResendFilter {
    /// With one of these ids; empty: any.
    #[schemars(with = "Vec<String>", length(max = MOST_IDS))]
    pub ids: BTreeSet<String>,
    /// At one of these positions; empty: any.
    #[schemars(with = "Vec<u64>", length(max = MOST_IDS))]
    pub positions: BTreeSet<u64>,
    /// At this position or behind it.
    pub from: Option<u64>,
    /// Before this position.
    pub to: Option<u64>,
    /// The source matches one of these globs; empty: any.
    #[schemars(length(max = MOST_GLOBS))]
    pub sources: Vec<String>,
    /// The type matches one of these globs; empty: any.
    #[schemars(length(max = MOST_GLOBS))]
    pub types: Vec<String>,
    /// Accepted at this time or later: `2026-11-27T10:00:00Z`, or a time ago, such as `2h`. To the second.
    pub since: Option<Moment>,
    /// Accepted before this time.
    pub until: Option<Moment>,
    /// Also events that the hook's filter leaves out. A tenant's hook gets its tenant's alone.
    pub unmatched: bool,
    /// Only counts them.
    pub dry_run: bool,
}

impl ResendFilter {
    /// # Errors
    /// When it is all events, or too many are named.
    pub(in crate::admin) fn resending(&self, now: SystemTime) -> Result<Resending, Problem> {
        if self.ids.is_empty() && self.positions.is_empty() && self.from.is_none() && self.since.is_none() {
            return Err(bad_request(
                "which events? `ids`, `positions`, `from` or `since` picks some: `{\"from\":0}` is all that there are",
            ));
        }
        at_most(MOST_IDS, self.positions.len(), "positions")?;
        let Self { ids, sources, types, since, until, .. } = self.clone();
        let query = EventFilter { ids, sources, types, since, until, ..EventFilter::default() }.query(now)?;
        let query = query.from(Position::new(self.from.unwrap_or(0))).to(self.to.map(Position::new));
        let what = Resending::of(query).positions(self.positions.clone());
        Ok(what.unmatched(self.unmatched).dry_run(self.dry_run))
    }

    /// What is named one by one.
    pub(in crate::admin) fn named(&self) -> Missing {
        Missing { ids: self.ids.clone(), positions: self.positions.clone() }
    }
}

/// Events that were named and are not there, or that other conditions leave out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Missing {
    /// By id.
    #[schemars(with = "Vec<String>")]
    pub ids: BTreeSet<String>,
    /// By position.
    #[schemars(with = "Vec<u64>")]
    pub positions: BTreeSet<u64>,
}

impl Missing {
    /// This one is there.
    pub(in crate::admin) fn found(&mut self, event: &PastEvent) {
        self.ids.remove(event.envelope.id());
        self.positions.remove(&event.position.get());
    }
}

/// The outcome of sending past events again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Resent {
    /// How far it came.
    #[serde(flatten)]
    pub report: ResendReport,
    /// Events that were named and are not there. Of one that ended early, also those that it did not come to.
    #[serde(default)]
    pub missing: Missing,
}

impl AdminService {
    pub(in crate::admin) async fn resend(&self, hook: &HookId, which: &ResendFilter) -> Outcome {
        past(self.bus())?;
        let what = which.resending(SystemTime::now())?;
        let _turn = self.sendings().take(self.dispatcher().tenant_of(hook))?;
        let mut missing = which.named();
        let report = self.dispatcher().resend(hook, what, |event| missing.found(event)).await;
        let report = report.map_err(|error| match error {
            ReplayError::UnknownHook(_) => self.absent(hook, "sending events again"),
            ReplayError::Past { .. } => unavailable(chain(&error)),
            error => conflict(chain(&error)),
        })?;
        if !which.dry_run {
            tracing::info!(
                hook = hook.as_str(),
                delivered = report.delivered,
                refused = report.refused,
                unmatched = report.unmatched,
                next = report.next,
                error = report.error.as_deref(),
                "an operator sent past events to the hook again"
            );
        }
        Ok(Response::Resent(Resent { report, missing }))
    }
}
