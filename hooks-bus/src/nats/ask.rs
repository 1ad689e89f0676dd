//! Operators' questions to instances, as plain messages: a question goes to `NAME.ask.INSTANCE`, the answer comes
//! in as many parts as it takes, and an empty part ends it. Neither is stored.

use std::time::Duration;

use async_nats::{StatusCode, Subject};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use hooks_core::{
    BusError, HookId,
    bus::{Answering, AskError, DeadLetters as _, HookPlace, Instances},
};
use tokio::time::{Instant, sleep};

use super::connect::unavailable;
use super::dead_letters::NatsDeadLetters;
use super::{NatsBus, subject};

/// Questions that an instance answers at a time.
const MAX_QUESTIONS: usize = 8;

/// Longest part of an answer, in bytes, where the server allows it.
const MAX_PART_BYTES: usize = 256 << 10;

/// The interval at which an asking instance checks that the other is alive.
const LIVENESS_EVERY: Duration = Duration::from_secs(1);

#[async_trait]
impl Instances for NatsBus {
    fn living(&self) -> Vec<String> {
        self.inner.registry.lock().living(Instant::now())
    }

    fn lapsed(&self) -> Vec<String> {
        self.inner.registry.lock().lapsed(Instant::now())
    }

    fn lease(&self) -> Duration {
        self.inner.config.lease.get()
    }

    fn place(&self, hook: &HookId) -> Option<HookPlace> {
        let registry = self.inner.registry.lock();
        let token = subject::of_hook(hook.as_str());
        let owner = registry.owner(&token, Instant::now()).map(str::to_owned);
        Some(HookPlace { owner, position: registry.record(&token)?.position })
    }

    async fn owned(&self, hook: &HookId) {
        let hook = self.inner.hooks.lock().get(hook).cloned();
        if let Some(hook) = hook {
            hook.until_owned().await;
        }
    }

    async fn ask(&self, instance: &str, question: Vec<u8>) -> Result<Vec<u8>, AskError> {
        let client = &self.inner.client;
        let failed = |error: &dyn std::error::Error| {
            AskError::Silent(unavailable(&format!("ask the instance {instance}"), error))
        };
        let lost = || {
            let text = format!("the connection was lost while the instance {instance} was asked");
            AskError::Silent(BusError::Unavailable(text))
        };
        let gone = || AskError::Gone(instance.to_owned());
        let mut connections = self.inner.connections.clone();
        connections.mark_unchanged();
        let inbox = client.new_inbox();
        let mut parts = client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let sent = client.publish_with_reply(self.ask_subject(instance), inbox, question.into()).await;
        sent.map_err(|error| failed(&error))?;
        let mut answer = Vec::new();
        loop {
            tokio::select! {
                part = parts.next() => match part {
                    Some(part) if part.status == Some(StatusCode::NO_RESPONDERS) => return Err(gone()),
                    Some(part) if part.payload.is_empty() => return Ok(answer),
                    Some(part) => answer.extend_from_slice(&part.payload),
                    None => return Err(lost()),
                },
                // The rest of the answer is lost.
                _ = connections.changed() => return Err(lost()),
                () = sleep(LIVENESS_EVERY) => if !self.living().iter().any(|alive| alive == instance) {
                    return Err(gone());
                },
            }
        }
    }

    async fn answer(&self, answer: &Answering) -> Result<(), BusError> {
        let client = &self.inner.client;
        let questions = client.subscribe(self.ask_subject(&self.inner.me)).await;
        let questions = questions.map_err(|error| unavailable("listen to operators", &error))?;
        questions
            .for_each_concurrent(MAX_QUESTIONS, |question| {
                async move {
                    let Some(reply) = question.reply else { return };
                    // An instance that hung finds old questions. Those who asked took it for gone, and other instances
                    // may have acted since.
                    if !self.inner.lease.holds(Instant::now()) && !self.inner.lease.is_given_up() {
                        return;
                    }
                    self.reply(reply, answer(question.payload.to_vec()).await).await;
                }
            })
            .await;
        Ok(())
    }
}

impl NatsBus {
    async fn reply(&self, to: Subject, answer: Vec<u8>) {
        let client = &self.inner.client;
        let longest = MAX_PART_BYTES.min(client.server_info().max_payload).max(1);
        let answer = Bytes::from(answer);
        let parts = (0..answer.len()).step_by(longest).map(|at| answer.slice(at..answer.len().min(at + longest)));
        for part in parts.chain([Bytes::new()]) {
            // The asking instance notices the lost connection.
            if client.publish(to.clone(), part).await.is_err() {
                return;
            }
        }
    }

    /// A hook's entry, as operators see it.
    pub(super) fn hook_details(&self, hook: &HookId) -> Option<serde_json::Value> {
        let place = self.place(hook)?;
        let behind = self.inner.committed_lag(hook)?.events;
        let dead_letters = NatsDeadLetters::new(self.inner.clone(), hook).count();
        Some(serde_json::json!({
            "hook": hook,
            "owner": place.owner.as_deref().unwrap_or("none"),
            "position": place.position,
            "behind": behind,
            "dead_letters": dead_letters,
        }))
    }

    fn ask_subject(&self, instance: &str) -> String {
        format!("{}.ask.{instance}", self.inner.config.name)
    }
}
