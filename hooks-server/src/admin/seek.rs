//! Moves hooks to another place in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response as HttpResponse;
use hooks_core::bus::{Seek, SeekError, Sought};
use hooks_core::{DispatchError, Filter, HookId, chain};

use super::openapi::{Content, Operation, Routes};
use super::request::{Request, SeekRequest};
use super::response::{Problem, Response};
use super::routes::{Hook, JSON, JsonBody, answer};
use super::service::{AdminService, Outcome, conflict, unavailable};
use crate::history::Skip;

pub(super) fn routes() -> Routes<AdminService> {
    let operation = Operation::post("/v1/hooks/{id}/seek", "seekHook", "Moves a hook back or ahead in the log")
        .takes(JSON, Content::of::<SeekRequest>())
        .answers::<Sought>(200, "Where it was and is now; with `dry_run`, where it would be.")
        .problems(&[404, 409, 429]);
    Routes::new().on(operation, seek)
}

async fn seek(Hook(service, hook): Hook, JsonBody(seek): JsonBody<SeekRequest>) -> HttpResponse {
    answer(service, Request::Seek { hook, seek }).await
}

impl AdminService {
    /// Knows the filters of hooks that do not run here: with them, a seek counts events exactly.
    #[must_use]
    pub fn with_filters(mut self, filters: BTreeMap<HookId, Arc<Filter>>) -> Self {
        self.filters = Arc::new(filters);
        self
    }

    pub(super) async fn seek(&self, hook: &HookId, request: SeekRequest) -> Outcome {
        // It reads a part of the log to count events.
        let tenant = self.dispatcher().tenant_of(hook);
        let _turn = self.looks().take(tenant.clone())?;
        let seek = Seek::from(request);
        let seek = match self.filters.get(hook) {
            Some(filter) => seek.filter(filter.clone()),
            None => seek,
        };
        let sought = self.dispatcher().seek(hook, seek).await.map_err(|error| self.not_moved(hook, &error))?;
        if !request.dry_run {
            let Sought { before, after, again, skipped, .. } = sought;
            if let (Some(history), true) = (self.history(), after > before) {
                let tenant = tenant.as_ref().or(self.filters.get(hook).and_then(|filter| filter.tenant.as_ref()));
                history.skipped(&Skip { hook, tenant, positions: before..after, events: skipped }).await;
            }
            tracing::info!(hook = hook.as_str(), before, after, again, skipped, "the hook was moved by an operator");
        }
        Ok(Response::Sought(sought))
    }

    fn not_moved(&self, hook: &HookId, error: &DispatchError) -> Problem {
        match error {
            DispatchError::ShutDown => unavailable(format!(
                "the daemon is stopping, and hook `{hook}` was not moved: do it again once the daemon has ended, or runs again"
            )),
            DispatchError::NotMoved { error, .. } => match error {
                SeekError::Unknown(_) if self.filters.contains_key(hook) => conflict(format!(
                    "hook `{hook}` has not run yet, and so is nowhere in the log: `from` in its settings says where it begins"
                )),
                SeekError::Unknown(_) => self.unknown(hook),
                SeekError::Ahead { before, after } => conflict(format!(
                    "hook `{hook}` was not moved: it is at position {before}, and would skip the events up to {after}, which are then given up; if that is meant, say so with `skip` (`--skip`)"
                )),
                SeekError::BeyondEnd { to, end } => conflict(format!(
                    "hook `{hook}` was not moved: no event has position {to} yet, for the log ends at {end}; `end` skips all there are"
                )),
                SeekError::Elsewhere(owner) => conflict(format!(
                    "hook `{hook}` was not moved: the instance {owner} has it; ask that one, or run `hooks seek` with the config file (-c), which finds it"
                )),
                SeekError::Unsupported => conflict(format!(
                    "hook `{hook}` was not moved: its bus keeps no events that were delivered, and no positions"
                )),
                error => unavailable(format!("hook `{hook}` was not moved: {}", chain(error))),
            },
            error => unavailable(chain(error)),
        }
    }
}
