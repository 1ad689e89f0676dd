//! Replays and drops dead letters.

use std::sync::Arc;

use uuid::Uuid;

use super::hook_locks::{HookLockGuard, uncancelled};
use super::sending_again::{SentAgain, again};
use super::slot::Slot;
use super::{Dispatcher, ReplayError, ReplayReport};
use crate::attempt::Trigger;
use crate::bus::{BusError, DeadLetter, DeadLetterId, DeadLetters, Delivery};
use crate::endpoint_state::EndpointState;
use crate::id::{HookId, uuid_v7};
use crate::worker::{CUT_OFF, Ending, Settlement, dead_letters};

impl Dispatcher {
    /// Delivers the dead letters of a hook that `select` picks again, oldest first, and removes those delivered; those
    /// refused again stay, with the new reason. They travel through the hook's own
    /// worker, in batches that take turns with the live ones, with its rate limit; their order among the live events
    /// is not promised. Where instances share hooks, the one that has the hook replays; at another, or when it goes to
    /// another, the replay ends and says so. Dead letters that come while this runs are left alone. Several replays and
    /// drops of one hook may run at the same time: each dead letter is delivered once.
    ///
    /// # Errors
    /// When there is no such hook, it is disabled, or its bus keeps no dead letters or can't read them. A replay that
    /// has begun and ends early (the receiver fails, the hook is changed) is no error: the report says how far it came,
    /// and why not further.
    ///
    /// # Cancel safety
    /// A dropped call begins nothing more. Dead letters in flight, at most 256, are still delivered.
    pub async fn replay(
        &self,
        id: &HookId,
        mut select: impl FnMut(DeadLetterId, &DeadLetter) -> bool + Send,
    ) -> Result<ReplayReport, ReplayError> {
        let slot = self.0.slot(id).map_err(|_| ReplayError::UnknownHook(id.clone()))?;
        let store = slot.dead_letters.clone().ok_or_else(|| ReplayError::Unsupported(id.clone()))?;
        if slot.state() == EndpointState::Disabled {
            return Err(ReplayError::Disabled(id.clone()));
        }
        let (run, mut pages, mut report) = (uuid_v7(), Pages::new(store.clone()), ReplayReport::default());
        loop {
            // Only for this page: other calls don't wait for all.
            let lock = self.0.dead_letter_locks.lock(id).await;
            let page = match pages.next().await {
                Ok(page) => page,
                Err(error) if report.has_begun() => {
                    report.error = Some(format!("the rest of the dead letters can't be read: {error}"));
                    return Ok(report);
                }
                Err(error) => return Err(ReplayError::Store { hook: id.clone(), error }),
            };
            if page.is_empty() {
                return Ok(report);
            }
            let picked = page.into_iter().filter(|(id, dead_letter)| select(*id, dead_letter)).collect();
            let (slot, store) = (slot.clone(), store.clone());
            report = uncancelled(one_page(slot, run, store, picked, report, lock)).await;
        }
    }

    /// Drops the dead letters of a hook that `select` picks, of those that there are now, and returns how many
    /// these were. Those that a [replay](Self::replay) has in flight are left to it. The
    /// dispatcher need not have the hook.
    ///
    /// # Errors
    /// When the bus keeps no dead letters, or they can't be read or removed; those of earlier pages of 256 may be
    /// gone then.
    ///
    /// # Cancel safety
    /// A dropped call may have dropped some.
    pub async fn drop_dead_letters(
        &self,
        id: &HookId,
        mut select: impl FnMut(DeadLetterId, &DeadLetter) -> bool + Send,
    ) -> Result<usize, ReplayError> {
        let store = self.0.bus.hooks().dead_letters(id).ok_or_else(|| ReplayError::Unsupported(id.clone()))?;
        let failed = |error: BusError| ReplayError::Store { hook: id.clone(), error };
        let (mut pages, mut dropped) = (Pages::new(store.clone()), 0);
        loop {
            let lock = self.0.dead_letter_locks.lock(id).await;
            let page = pages.next().await.map_err(failed)?;
            if page.is_empty() {
                return Ok(dropped);
            }
            let picked: Vec<DeadLetterId> =
                page.iter().filter(|(id, dead_letter)| select(*id, dead_letter)).map(|(id, _)| *id).collect();
            let store = store.clone();
            let removed = uncancelled(async move {
                let removed = store.remove(&picked).await;
                drop(lock);
                removed
            });
            dropped += removed.await.map_err(failed)?;
        }
    }
}

/// Number of dead letters that are read at a time.
const PAGE: usize = 256;

type Listed = Vec<(DeadLetterId, DeadLetter)>;

/// Reads the dead letters that there were at the beginning, as far as they still exist.
struct Pages {
    store: Arc<dyn DeadLetters>,
    after: Option<DeadLetterId>,
    /// `None`: they are not counted yet.
    left: Option<u64>,
}

impl Pages {
    fn new(store: Arc<dyn DeadLetters>) -> Self {
        Self { store, after: None, left: None }
    }

    /// The next page. An empty one is the end.
    async fn next(&mut self) -> Result<Listed, BusError> {
        let left = match self.left {
            Some(left) => left,
            None => self.store.recount().await?,
        };
        let most = PAGE.min(usize::try_from(left).unwrap_or(PAGE));
        let page = if most == 0 { Listed::new() } else { self.store.list(self.after, most).await? };
        self.left = Some(left.saturating_sub(page.len() as u64));
        self.after = page.last().map(|(id, _)| *id);
        Ok(page)
    }
}

/// Delivers the picked dead letters of a page, unless the replay was stopped before. Removes or replaces each as soon
/// as its outcome is known, so a crash repeats little.
async fn one_page(
    slot: Arc<Slot>,
    run: Uuid,
    store: Arc<dyn DeadLetters>,
    picked: Listed,
    mut report: ReplayReport,
    _lock: HookLockGuard,
) -> ReplayReport {
    let mut page = Page { store, left: picked };
    if report.untried == 0 && !page.left.is_empty() {
        let deliveries = page.left.iter().map(|(_, letter)| again(letter.position, &letter.envelope)).collect();
        let (mut sent, mut why) = (SentAgain::by(&slot, run, Trigger::Replay, deliveries), None);
        while let Some(settled) = sent.next().await {
            why = page.enter(settled, &mut report).await.or(why);
        }
        if !page.left.is_empty() {
            report.error = Some(why.unwrap_or_else(|| CUT_OFF.to_owned()));
        }
    }
    report.untried += page.left.len();
    report
}

/// Dead letters that are sent again and whose outcome is not known yet.
struct Page {
    store: Arc<dyn DeadLetters>,
    left: Listed,
}

impl Page {
    /// Removes those delivered, and replaces those refused, with the new reason. Returns why nothing more is tried, if
    /// so.
    async fn enter(&mut self, settled: Vec<Settlement>, report: &mut ReplayReport) -> Option<String> {
        let (mut gone, mut refused, mut stopped) = (Vec::new(), Vec::new(), None);
        for settlement in settled {
            match &settlement.ending {
                Ending::Delivered => {}
                Ending::GivenUp(given_up) => report.error = Some(given_up.detail.clone().into_owned()),
                Ending::Stopped(why) => {
                    stopped = Some(why.clone());
                    continue;
                }
            }
            let mut now = dead_letters(&settlement).into_iter();
            for (id, before) in settlement.batch.deliveries().iter().filter_map(|sent| self.take(sent)) {
                match now.next() {
                    Some(now) => refused.push((id, once_more(before, now))),
                    None => gone.push(id),
                }
            }
        }
        report.delivered += gone.len();
        report.refused += refused.len();
        if !gone.is_empty()
            && let Err(error) = self.store.remove(&gone).await
        {
            let dead_letters = gone.len();
            report.error = Some(format!(
                "{dead_letters} of those delivered can't be removed, so the next replay repeats them: {error}"
            ));
        }
        if !refused.is_empty()
            && let Err(error) = self.store.replace(refused).await
        {
            tracing::warn!(%error, "dead letters that were refused again keep their old reason: the new one can't be stored");
        }
        stopped
    }

    /// The dead letter of this event. Of two logs there may be two at one position.
    fn take(&mut self, sent: &Delivery) -> Option<(DeadLetterId, DeadLetter)> {
        let is_it = |dead_letter: &DeadLetter| {
            dead_letter.position == sent.position && dead_letter.envelope.json() == sent.envelope().json()
        };
        let at = self.left.iter().position(|(_, dead_letter)| is_it(dead_letter))?;
        Some(self.left.remove(at))
    }
}

/// The dead letter after a replay: its attempts are added to those before.
fn once_more(before: DeadLetter, now: DeadLetter) -> DeadLetter {
    let attempts = before.attempts.saturating_add(now.attempts);
    DeadLetter { attempts, first_attempt: before.first_attempt, ..now }
}

impl ReplayReport {
    fn has_begun(&self) -> bool {
        self.delivered + self.refused + self.untried > 0
    }
}
