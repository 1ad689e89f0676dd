//! What is noted about hooks: kept in the bucket, seen by every instance, heeded by its dispatcher.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_nats::jetstream::stream::RawMessageErrorKind;
use hooks_core::{BusError, HookId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::unavailable;
use super::hook::Hook;
use super::record::Key;
use super::table::Seen;
use super::{Inner, subject};

/// Hooks about which another process noted something that nobody has heeded here. Each is there at most once.
#[derive(Debug, Default)]
pub(super) struct Unheeded {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Arc<Hook>>,
    /// Those that are being heeded.
    given: HashMap<HookId, Arc<Hook>>,
    /// Somebody heeds notes, so it is right to hold hooks until that is done.
    heeds: bool,
}

impl Unheeded {
    /// Something was noted about this hook.
    fn push(&self, hook: Arc<Hook>) {
        let mut queue = self.queue.lock();
        if hook.note_arrived(queue.heeds) {
            queue.waiting.push_back(hook);
            self.arrived.notify_one();
        }
    }

    pub(super) async fn next(&self) -> HookId {
        loop {
            {
                let mut queue = self.queue.lock();
                queue.heeds = true;
                if let Some(hook) = queue.waiting.pop_front() {
                    hook.note_given();
                    queue.given.insert(hook.id.clone(), hook.clone());
                    return hook.id.clone();
                }
            }
            self.arrived.notified().await;
        }
    }

    pub(super) fn heeded(&self, hook: &HookId) {
        if let Some(hook) = self.queue.lock().given.remove(hook) {
            hook.note_heeded();
        }
    }
}

impl Inner {
    pub(super) async fn note(&self, hook: &HookId, text: Option<String>) -> Result<(), BusError> {
        let token = subject::of_hook(hook.as_str());
        let key = Key::Note(&token).to_string();
        let failed = |error: &dyn std::error::Error| unavailable("note something about a hook", error);
        match text {
            Some(text) => {
                let put = self.kept.bucket.put(key, text.clone().into()).await;
                let revision = put.map_err(|error| failed(&error))?;
                self.table.lock().notes.see(&token, Some(text), revision);
            }
            None => {
                let before = self.table.lock().notes.revision(&token);
                self.kept.bucket.purge(key).await.map_err(|error| failed(&error))?;
                self.table.lock().notes.remove(&token, before);
            }
        }
        Ok(())
    }

    pub(super) fn noted(&self, hook: &HookId) -> Option<String> {
        self.table.lock().notes.get(&subject::of_hook(hook.as_str()))
    }

    pub(super) fn note_seen(&self, token: &str) {
        let hook = self.hooks.lock().values().find(|hook| hook.token == token).cloned();
        hook.into_iter().for_each(|hook| self.unheeded.push(hook));
    }

    /// Reads what was noted while nothing was heard. The watch may begin anew later than this instance may
    /// go on; asks the leader, because other servers may be behind.
    pub(super) async fn catch_up_on_notes(&self) -> Result<(), BusError> {
        let bucket = &self.kept.bucket;
        loop {
            let from = self.table.lock().notes.up_to() + 1;
            let next = bucket.stream.raw_message_builder().sequence(from);
            let note = match next.next_by_subject(format!("{}{}", bucket.prefix, Key::Note(">"))).send().await {
                Ok(note) => note,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(()),
                Err(error) => return Err(unavailable("read what is noted about hooks", &error)),
            };
            let removed = note.headers.get("KV-Operation").is_some();
            let key = note.subject.strip_prefix(&bucket.prefix).unwrap_or_default();
            let change = {
                let mut table = self.table.lock();
                table.notes.is_up_to(note.sequence);
                let value = (!removed).then_some(&*note.payload);
                let written = note.time.unix_timestamp_nanos();
                table.see(Seen { key, value, revision: note.sequence, written }, Instant::now())
            };
            self.apply(change);
        }
    }
}
