//! The dead letters of one hook, in the database.

use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{BusError, DeadLetter, DeadLetterId, HookId, bus::DeadLetters};

use super::dead_letter_table::{self, Inserted};
use super::inner::Inner;

pub(crate) struct DurableDeadLetters {
    pub(crate) inner: Arc<Inner>,
    pub(crate) hook: HookId,
}

#[async_trait]
impl DeadLetters for DurableDeadLetters {
    async fn keep(&self, dead_letters: Vec<DeadLetter>) -> Result<(), BusError> {
        let limits = self.inner.config.dead_letters;
        let most = (limits.max_events, limits.max_bytes.bytes());
        self.blocking(move |inner, hook| {
            match inner.storage.store.write(|change| dead_letter_table::insert(change, hook, &dead_letters, most))? {
                Inserted::All(totals) => {
                    inner.facts.set_dead_letters(hook, totals);
                    Ok(())
                }
                Inserted::Full(there) => Err(BusError::Full(format!(
                    "hook `{hook}` has {} dead letters of {} bytes, and may have {} of {}: replay or drop some, or raise the bus's `dead_letters`",
                    there.events, there.bytes, limits.max_events, limits.max_bytes
                ))),
            }
        })
        .await
    }

    async fn replace(&self, dead_letters: Vec<(DeadLetterId, DeadLetter)>) -> Result<(), BusError> {
        self.blocking(move |inner, hook| {
            let totals = inner.storage.store.write(|change| dead_letter_table::replace(change, hook, &dead_letters))?;
            inner.facts.set_dead_letters(hook, totals);
            Ok(())
        })
        .await
    }

    async fn list(&self, after: Option<DeadLetterId>, max: usize) -> Result<Vec<(DeadLetterId, DeadLetter)>, BusError> {
        self.blocking(move |inner, hook| {
            inner.storage.store.read(|database| dead_letter_table::list(database, hook, after, max))
        })
        .await
    }

    async fn remove(&self, ids: &[DeadLetterId]) -> Result<usize, BusError> {
        let ids = ids.to_vec();
        self.blocking(move |inner, hook| {
            let (removed, totals) =
                inner.storage.store.write(|change| dead_letter_table::remove(change, hook, &ids))?;
            inner.facts.set_dead_letters(hook, totals);
            Ok(removed)
        })
        .await
    }

    fn count(&self) -> u64 {
        self.inner.facts.dead_letters(&self.hook)
    }
}

impl DurableDeadLetters {
    /// Runs work on the database without blocking the caller's thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &HookId) -> Result<T, BusError> + Send + 'static,
    ) -> Result<T, BusError> {
        let (inner, hook) = (self.inner.clone(), self.hook.clone());
        inner.blocking(move |inner| work(inner, &hook)).await
    }
}
