//! The dead letters of the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use hooks_core::{BusError, DeadLetter, DeadLetterId, HookId, async_trait, bus::DeadLetters};

use super::World;
use super::fault::Fault;

/// Most dead letters of a hook.
pub(crate) const MOST: usize = 4;

pub(crate) type DeadLetterMap = BTreeMap<DeadLetterId, DeadLetter>;

pub(crate) struct DeadLettersOf {
    pub(crate) fault: Fault,
    pub(crate) hook: HookId,
    pub(crate) world: Arc<World>,
}

#[async_trait]
impl DeadLetters for DeadLettersOf {
    async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let mut state = self.world.state.lock();
        let kept = state.dead_letters.entry(self.hook.clone()).or_default();
        let room = MOST.saturating_sub(kept.len());
        let full = dead_letters.len() > room;
        if full && self.fault != Fault::KeepsSome {
            return Err(BusError::Full(format!("{MOST} dead letters")));
        }
        for mut dead_letter in dead_letters.into_iter().take(room) {
            let next = DeadLetterId::new(kept.last_key_value().map_or(1, |(id, _)| id.get() + 1));
            if self.fault != Fault::DeadLettersTwice {
                kept.retain(|_, known| known.position != dead_letter.position);
            }
            if self.fault == Fault::CutsDeadLetters {
                dead_letter.detail = dead_letter.detail.chars().take(100).collect();
            }
            kept.insert(next, dead_letter);
        }
        if full { Err(BusError::Full(format!("{MOST} dead letters"))) } else { Ok(()) }
    }

    async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError> {
        let state = self.world.state.lock();
        let kept = state.dead_letters.get(&self.hook).into_iter().flatten();
        let later = kept.filter(|(id, _)| after.is_none_or(|after| **id > after));
        Ok(later.take(max).map(|(id, dead_letter)| (*id, dead_letter.clone())).collect())
    }

    async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError> {
        let mut state = self.world.state.lock();
        let kept = state.dead_letters.entry(self.hook.clone()).or_default();
        let removed = ids.iter().filter(|id| kept.remove(id).is_some()).count();
        Ok(if self.fault == Fault::MiscountsRemoved { ids.len() } else { removed })
    }

    fn count(&self) -> u64 {
        self.world.state.lock().dead_letters.get(&self.hook).map_or(0, |dead_letters| dead_letters.len() as u64)
    }
}
