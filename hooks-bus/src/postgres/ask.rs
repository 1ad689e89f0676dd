//! Operators' questions to instances: rows of `hooks.questions`, with notices for who is asked and who asks.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use hooks_core::{
    BusError, HookId,
    bus::{Answering, AskError, DeadLetters as _, HookPlace, Instances},
};
use tokio::time::{Instant, timeout};

use super::PostgresBus;
use super::dead_letters::PostgresDeadLetters;

/// Questions that an instance answers at a time.
const MAX_QUESTIONS: usize = 8;

/// The longest wait for a notice: then who asks looks whether the other is alive, and who is asked for questions.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const ASK: &str = "WITH asked AS (INSERT INTO hooks.questions (instance, question) VALUES ($1, $2) RETURNING id) \
     SELECT id, pg_notify('hooks_ask', $1) FROM asked";

const TAKE: &str = "SELECT answer FROM hooks.questions WHERE id = $1 AND answer IS NOT NULL";

const END: &str = "DELETE FROM hooks.questions WHERE id = $1 OR asked < clock_timestamp() - interval '1 hour'";

/// Questions that were asked while nobody listened are old: those who asked took the instance for gone.
const QUESTIONS: &str = "SELECT id, question FROM hooks.questions WHERE instance = $1 AND answer IS NULL AND id <> ALL ($2) \
     AND asked > clock_timestamp() - interval '30 seconds' ORDER BY id LIMIT $3";

/// The time after which a question is too old to come again: a little more.
const FORGET_AFTER: Duration = Duration::from_secs(60);

const ANSWER: &str = "WITH answered AS (UPDATE hooks.questions SET answer = $2 WHERE id = $1 RETURNING id) \
     SELECT pg_notify('hooks_ask', '') FROM answered";

#[async_trait]
impl Instances for PostgresBus {
    fn living(&self) -> Vec<String> {
        self.inner.registry.lock().with_hooks(true)
    }

    fn lapsed(&self) -> Vec<String> {
        self.inner.registry.lock().with_hooks(false)
    }

    fn lease(&self) -> Duration {
        self.inner.config.lease.get()
    }

    fn place(&self, hook: &HookId) -> Option<HookPlace> {
        let registry = self.inner.registry.lock();
        let owner = registry.owner(hook).map(str::to_owned);
        Some(HookPlace { owner, position: registry.hooks.get(hook)?.position })
    }

    async fn owned(&self, hook: &HookId) {
        let hook = self.inner.hooks.lock().get(hook).cloned();
        if let Some(hook) = hook {
            hook.until_owned().await;
        }
    }

    async fn ask(&self, instance: &str, question: Vec<u8>) -> Result<Vec<u8>, AskError> {
        let work = &self.inner.work;
        let failed = |error: super::link::Failed| AskError::Silent(error.to(&format!("ask the instance {instance}")));
        let id: i64 = work.one(ASK, &[&instance, &question]).await.map_err(failed)?.get(0);
        let answer = async {
            loop {
                let answered = self.inner.heard.asked.notified();
                if let Some(row) = work.query(TAKE, &[&id]).await.map_err(failed)?.first() {
                    return Ok(row.get(0));
                }
                if timeout(LOOK_EVERY, answered).await.is_err() && !self.living().iter().any(|alive| alive == instance)
                {
                    return Err(AskError::Gone(instance.to_owned()));
                }
            }
        };
        let answer = answer.await;
        // What is left is removed with a later question.
        let _ = work.query(END, &[&id]).await;
        answer
    }

    async fn answer(&self, answer: &Answering) -> Result<(), BusError> {
        let inner = &self.inner;
        // Those that were taken: ids commit in any order.
        let mut taken = VecDeque::<(Instant, i64)>::new();
        loop {
            while taken.front().is_some_and(|(since, _)| since.elapsed() > FORGET_AFTER) {
                taken.pop_front();
            }
            let known: Vec<i64> = taken.iter().map(|(_, id)| *id).collect();
            let asked = inner.heard.asked.notified();
            // What fails is asked again: the connection renews itself.
            let rows =
                inner.work.query(QUESTIONS, &[&inner.me, &known, &(MAX_QUESTIONS as i64)]).await.unwrap_or_default();
            if rows.is_empty() {
                let _ = timeout(LOOK_EVERY, asked).await;
                continue;
            }
            taken.extend(rows.iter().map(|row| (Instant::now(), row.get::<_, i64>(0))));
            // Those who asked an instance that hung took it for gone, and others may have acted since.
            if !inner.lease.holds(Instant::now()) && !inner.lease.is_given_up() {
                continue;
            }
            stream::iter(&rows)
                .for_each_concurrent(MAX_QUESTIONS, |row| async move {
                    let (id, question): (i64, Vec<u8>) = (row.get(0), row.get(1));
                    // Who asked notices the silence.
                    let _ = inner.work.query(ANSWER, &[&id, &answer(question).await]).await;
                })
                .await;
        }
    }
}

impl PostgresBus {
    /// A hook's row, as operators see it.
    pub(super) fn hook_details(&self, hook: &HookId) -> Option<serde_json::Value> {
        let place = self.place(hook)?;
        Some(serde_json::json!({
            "hook": hook,
            "owner": place.owner.as_deref().unwrap_or("none"),
            "position": place.position,
            "behind": self.inner.tail.last().saturating_sub(place.position),
            "dead_letters": PostgresDeadLetters::new(self.inner.clone(), hook).count(),
        }))
    }
}
