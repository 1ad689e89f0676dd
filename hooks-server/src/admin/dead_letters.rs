//! What operators do with dead letters: look at them, deliver them once more, drop them.

use std::collections::BTreeSet;
use std::sync::Arc;

use hooks_core::bus::DeadLetters;
use hooks_core::{DeadLetter, DeadLetterId, HookId, ReplayError, chain};

use super::dead_letter::DeadLetterReport;
use super::request::DeadLetterFilter;
use super::response::{DeadLetterPage, Dropped, Problem, Replayed, Response};
use super::service::{AdminService, Outcome, conflict, refused, unavailable};

/// Most bytes of events in one page of dead letters; one letter alone may be larger.
const PAGE_BYTES: usize = 4 << 20;

/// Most dead letters in one page.
const PAGE: usize = 256;

impl AdminService {
    pub(super) async fn dead_letters(&self, hook: &HookId, after: Option<DeadLetterId>) -> Outcome {
        let page = self.store(hook)?.list(after, PAGE).await.map_err(refused)?;
        let mut bytes = 0;
        let mut dead_letters = Vec::new();
        for (id, letter) in &page {
            bytes += letter.envelope.len();
            if bytes > PAGE_BYTES && !dead_letters.is_empty() {
                break;
            }
            let report = DeadLetterReport::new(hook, *id, letter);
            dead_letters.push(report.map_err(|error| unavailable(error.to_string()))?);
        }
        Ok(Response::DeadLetters(DeadLetterPage { dead_letters }))
    }

    pub(super) async fn replay(&self, hook: &HookId, which: &DeadLetterFilter) -> Outcome {
        which.check()?;
        let _turn = self.sendings().take(self.dispatcher().tenant_of(hook))?;
        let mut found = BTreeSet::new();
        let report = self.dispatcher().replay(hook, select(which, &mut found)).await.map_err(|error| match error {
            ReplayError::UnknownHook(_) => self.absent(hook, "a replay"),
            ReplayError::Store { .. } => unavailable(chain(&error)),
            error => conflict(chain(&error)),
        })?;
        tracing::info!(
            hook = hook.as_str(),
            delivered = report.delivered,
            refused = report.refused,
            left = report.untried,
            error = report.error.as_deref(),
            "an operator replayed dead letters of the hook"
        );
        Ok(Response::Replayed(Replayed { report, missing: which.missing(&found) }))
    }

    pub(super) async fn drop(&self, hook: &HookId, which: &DeadLetterFilter) -> Outcome {
        which.check()?;
        self.store(hook)?;
        let mut found = BTreeSet::new();
        let dropped = self.dispatcher().drop_dead_letters(hook, select(which, &mut found)).await;
        let dropped = dropped.map_err(|error| unavailable(chain(&error)))?;
        tracing::info!(hook = hook.as_str(), letters = dropped, "an operator dropped dead letters of the hook");
        Ok(Response::Dropped(Dropped { dropped, missing: which.missing(&found) }))
    }

    fn store(&self, hook: &HookId) -> Result<Arc<dyn DeadLetters>, Problem> {
        self.must_know(hook)?;
        self.bus().hooks().dead_letters(hook).ok_or_else(|| conflict("this bus keeps no dead letters".to_owned()))
    }
}

/// Picks the dead letters that fit, and enters which were found.
fn select(
    which: &DeadLetterFilter,
    found: &mut BTreeSet<DeadLetterId>,
) -> impl FnMut(DeadLetterId, &DeadLetter) -> bool + Send {
    move |id, letter| which.matches(id, letter.envelope.event_type(), letter.reason) && found.insert(id)
}
