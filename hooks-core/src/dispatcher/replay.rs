//! Dead letters go to their receiver once more.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::slot::Slot;
use super::{Dispatcher, ReplayError, ReplayReport};
use crate::bus::{BusError, Delivery};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterId};
use crate::id::HookId;
use crate::worker::{EndpointState, Replay, Replayed};

impl Dispatcher {
    /// Delivers those of a hook's dead letters once more that `select` picks, oldest first, and forgets
    /// what was delivered. They travel through the hook's own worker, in batches between the live ones,
    /// with its rate limit; their order among the live events is not promised. Letters that come while
    /// this runs are left alone.
    ///
    /// # Errors
    /// When there is no such hook, it is disabled or changed meanwhile, or its bus keeps no dead letters.
    /// A receiver that does not take them is no error: the report says so.
    ///
    /// # Cancel safety
    /// A dropped call may have delivered letters that stay among the dead ones.
    pub async fn replay(
        &self,
        id: &HookId,
        mut select: impl FnMut(LetterId, &DeadLetter) -> bool + Send,
    ) -> Result<ReplayReport, ReplayError> {
        let slot = self.slot(id).map_err(|_| ReplayError::UnknownHook(id.clone()))?;
        let store = slot.dead_letters.clone().ok_or_else(|| ReplayError::Unsupported(id.clone()))?;
        let failed = |error: BusError| ReplayError::Store { hook: id.clone(), error };
        let mut left = store.count();
        let (mut after, mut report) = (None, ReplayReport::default());
        while left > 0 {
            let page = store.list(after, PAGE.min(usize::try_from(left).unwrap_or(PAGE))).await.map_err(failed)?;
            let Some((last, _)) = page.last() else { break };
            (after, left) = (Some(*last), left - page.len() as u64);
            let picked = page.into_iter().filter(|(id, letter)| select(*id, letter)).collect();
            for batch in batches(picked, &slot) {
                if report.untried > 0 {
                    report.untried += batch.len();
                    continue;
                }
                one_batch(&slot, &store, batch, &mut report).await?;
            }
        }
        Ok(report)
    }
}

/// How many letters are read at a time.
const PAGE: usize = 256;

type Letters = Vec<(LetterId, DeadLetter)>;

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

async fn one_batch(
    slot: &Slot,
    store: &Arc<dyn DeadLetters>,
    letters: Letters,
    report: &mut ReplayReport,
) -> Result<(), ReplayError> {
    let hook = || slot.hook.id.clone();
    if slot.state() == EndpointState::Disabled {
        return Err(ReplayError::Disabled(hook()));
    }
    let delivery = |(_, letter): &(LetterId, DeadLetter)| Delivery {
        position: letter.position,
        envelope: letter.envelope.clone(),
    };
    let (done, ended) = oneshot::channel();
    slot.replays.push(Replay { deliveries: letters.iter().map(delivery).collect(), done });
    let Replayed { delivered, refused, error, stopped } = ended.await.map_err(|_| ReplayError::Interrupted(hook()))?;
    let gone: Vec<LetterId> =
        letters.iter().filter(|(_, letter)| delivered.contains(&letter.position)).map(|(id, _)| *id).collect();
    store.remove(&gone).await.map_err(|error| ReplayError::Store { hook: hook(), error })?;
    report.delivered += delivered.len();
    report.refused += refused.len();
    report.untried += if stopped { letters.len() - delivered.len() - refused.len() } else { 0 };
    report.error = error.or(report.error.take());
    Ok(())
}
