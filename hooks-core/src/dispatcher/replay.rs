//! Dead letters go to their receiver once more, or are dropped.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::slot::Slot;
use super::turns::{Turn, whole};
use super::{Dispatcher, ReplayError, ReplayReport};
use crate::bus::{BusError, Delivery};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId};
use crate::id::HookId;
use crate::worker::{EndpointState, Replay, Replayed};

impl Dispatcher {
    /// Delivers those of a hook's dead letters once more that `select` picks, oldest first, and forgets
    /// what was delivered. They travel through the hook's own worker, in batches between the live ones,
    /// with its rate limit; their order among the live events is not promised. Letters that come while
    /// this runs are left alone. Whoever else replays or drops letters of the hook at the same time finds those that
    /// are left: each is delivered once.
    ///
    /// # Errors
    /// When there is no such hook, it is disabled, or its bus keeps no dead letters or can't read them. What ends a
    /// replay that has begun is no error (a receiver that does not take them, a hook that is changed meanwhile):
    /// the report says how far it came, and why not further.
    ///
    /// # Cancel safety
    /// A dropped call begins nothing more. What is on its way, at most 256 letters, comes to its end.
    pub async fn replay(
        &self,
        id: &HookId,
        mut select: impl FnMut(LetterId, &DeadLetter) -> bool + Send,
    ) -> Result<ReplayReport, ReplayError> {
        let slot = self.0.slot(id).map_err(|_| ReplayError::UnknownHook(id.clone()))?;
        let store = slot.dead_letters.clone().ok_or_else(|| ReplayError::Unsupported(id.clone()))?;
        if slot.state() == EndpointState::Disabled {
            return Err(ReplayError::Disabled(id.clone()));
        }
        let (mut pages, mut report) = (Pages::new(store.clone()), ReplayReport::default());
        loop {
            // Only for this page: whoever waits does not wait for all.
            let turn = self.0.letters.take(id).await;
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
            let picked = page.into_iter().filter(|(id, letter)| select(*id, letter)).collect();
            let (slot, store) = (slot.clone(), store.clone());
            report = whole(one_page(slot, store, picked, report, turn)).await;
        }
    }

    /// Drops those of a hook's dead letters that `select` picks, of the letters that there are now, and says how many
    /// these were. What a [replay](Self::replay) has on its way is left to it. The hook need not be here.
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
        mut select: impl FnMut(LetterId, &DeadLetter) -> bool + Send,
    ) -> Result<usize, ReplayError> {
        let store = self.0.bus.dead_letters(id).ok_or_else(|| ReplayError::Unsupported(id.clone()))?;
        let failed = |error: BusError| ReplayError::Store { hook: id.clone(), error };
        let (mut pages, mut dropped) = (Pages::new(store.clone()), 0);
        loop {
            let turn = self.0.letters.take(id).await;
            let page = pages.next().await.map_err(failed)?;
            if page.is_empty() {
                return Ok(dropped);
            }
            let picked: Vec<LetterId> =
                page.iter().filter(|(id, letter)| select(*id, letter)).map(|(id, _)| *id).collect();
            let store = store.clone();
            let removed = whole(async move {
                let removed = store.remove(&picked).await;
                drop(turn);
                removed
            });
            dropped += removed.await.map_err(failed)?;
        }
    }
}

/// How many letters are read at a time.
const PAGE: usize = 256;

type Letters = Vec<(LetterId, DeadLetter)>;

/// The letters that there were at the beginning, as far as they still are.
struct Pages {
    store: Arc<dyn DeadLetters>,
    after: Option<LetterId>,
    /// `None`: they are not counted yet.
    left: Option<u64>,
}

impl Pages {
    fn new(store: Arc<dyn DeadLetters>) -> Self {
        Self { store, after: None, left: None }
    }

    /// An empty one is the end.
    async fn next(&mut self) -> Result<Letters, BusError> {
        let left = match self.left {
            Some(left) => left,
            None => self.store.recount().await?,
        };
        self.left = Some(left);
        if left == 0 {
            return Ok(Letters::new());
        }
        let page = self.store.list(self.after, PAGE.min(usize::try_from(left).unwrap_or(PAGE))).await?;
        self.left = Some(left.saturating_sub(page.len() as u64));
        self.after = page.last().map(|(id, _)| *id);
        Ok(page)
    }
}

/// Delivers what was picked of a page, unless the replay was stopped before.
async fn one_page(
    slot: Arc<Slot>,
    store: Arc<dyn DeadLetters>,
    picked: Letters,
    mut report: ReplayReport,
    _turn: Turn,
) -> ReplayReport {
    for batch in batches(picked, &slot) {
        if report.untried > 0 {
            report.untried += batch.len();
        } else {
            one_batch(&slot, &*store, batch, &mut report).await;
        }
    }
    report
}

/// Cuts letters into batches within the hook's limits.
fn batches(letters: Letters, slot: &Slot) -> Vec<Letters> {
    let limits = slot.hook.batch;
    let mut batches: Vec<Letters> = Vec::new();
    let mut bytes = 0;
    for letter in letters {
        let length = letter.1.envelope.len() + 1;
        let fits =
            |batch: &&mut Letters| batch.len() < limits.max_events.get() && bytes + length <= limits.max_bytes.get();
        match batches.last_mut().filter(fits) {
            Some(batch) => {
                bytes += length;
                batch.push(letter);
            }
            None => {
                bytes = length;
                batches.push(vec![letter]);
            }
        }
    }
    batches
}

async fn one_batch(slot: &Slot, store: &dyn DeadLetters, letters: Letters, report: &mut ReplayReport) {
    let delivery = |(_, letter): &(LetterId, DeadLetter)| Delivery {
        position: letter.position,
        envelope: letter.envelope.clone(),
    };
    let (done, ended) = oneshot::channel();
    slot.replays.push(Replay { deliveries: letters.iter().map(delivery).collect(), done });
    // Its turn did not come before the worker ended.
    let Replayed { delivered, refused, error, stopped } = ended.await.unwrap_or_else(|_| Replayed::cut_off());
    let gone: Vec<LetterId> =
        letters.iter().filter(|(_, letter)| delivered.contains(&letter.position)).map(|(id, _)| *id).collect();
    report.delivered += delivered.len();
    report.refused += refused.len();
    report.untried += if stopped { letters.len() - delivered.len() - refused.len() } else { 0 };
    report.error = error.or(report.error.take());
    if let Err(error) = store.remove(&gone).await {
        let letters = gone.len();
        report.error =
            Some(format!("{letters} of those delivered can't be removed, so the next replay repeats them: {error}"));
    }
}

impl ReplayReport {
    fn has_begun(&self) -> bool {
        self.delivered + self.refused + self.untried > 0
    }
}
