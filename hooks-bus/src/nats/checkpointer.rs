//! Writes positions of owned hooks to their entries, and recreates entries that are gone.

use async_nats::jetstream::kv::CreateErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use tokio::time::Instant;

use super::Inner;
use super::connect::chain;
use super::hook::Hook;
use super::record::{HookRecord, Key};
use super::refusal::is_conflict;
use super::registry::Seen;
use crate::sharing::CheckpointWrite;

/// Most requests about hooks at a time.
pub(super) const MAX_WRITES: usize = 128;

impl Inner {
    /// Writes a hook's position if it moved.
    pub(super) async fn checkpoint(&self, hook: &Hook) {
        let _turn = hook.write_lock.lock().await;
        let Some(write) = hook.checkpoint_due(Instant::now(), false) else { return };
        let revision = self.write_checkpoint(hook, &write, true).await;
        hook.checkpoint_written(revision, write.position, Instant::now());
    }

    /// Writes a hook's position and gives up owning it.
    pub(super) async fn release(&self, hook: &Hook) {
        let _turn = hook.write_lock.lock().await;
        // The answer to the write before may have been lost: the first try then finds out by which entry it is owned.
        for _ in 0..2 {
            let Some(write) = hook.checkpoint_due(Instant::now(), true) else { return };
            match self.write_checkpoint(hook, &write, false).await {
                Some(_) => return hook.released(),
                None => hook.checkpoint_written(None, write.position, Instant::now()),
            }
        }
    }

    /// Writes an entry by its revision; returns the new one. A write that fails because another instance
    /// wrote in between loses the hook.
    async fn write_checkpoint(&self, hook: &Hook, write: &CheckpointWrite, keep: bool) -> Option<u64> {
        let record = HookRecord {
            owner: keep.then(|| self.me.clone()),
            log: self.log_name.clone(),
            position: write.position,
            began: self.registry.lock().began(&hook.tag.token),
            of: hook.mark(),
            acked_ranges: write.acked_ranges.clone(),
        };
        let key = Key::Hook(&hook.tag.token).to_string();
        match self.storage.bucket.update(&key, record.encode(), write.revision).await {
            Ok(revision) => {
                self.registry.lock().set(&hook.tag.token, record, revision);
                Some(revision)
            }
            Err(error) if is_conflict(&error) => {
                if self.reload_entry(hook).await {
                    self.recreate_entry(hook, record).await
                } else {
                    None
                }
            }
            Err(error) => {
                tracing::debug!(hook = %hook.id, error = chain(&error), "the hook's position can't be written to NATS now: tried again soon");
                None
            }
        }
    }

    /// Reads a hook's entry: an answer may have been lost, the hook, or its entry. Returns true if the entry is gone.
    pub(super) async fn reload_entry(&self, hook: &Hook) -> bool {
        let (key, bucket) = (Key::Hook(&hook.tag.token).to_string(), &self.storage.bucket);
        // The leader answers: other servers may be behind, which would look as if the bucket had gone back.
        match bucket.stream.get_last_raw_message_by_subject(&format!("{}{key}", bucket.prefix)).await {
            Ok(entry) => {
                if hook.is_owned_later_than(entry.sequence) {
                    self.bucket_went_back();
                }
                let value = entry.headers.get("KV-Operation").is_none().then_some(&*entry.payload);
                let written = entry.time.unix_timestamp_nanos();
                let seen = Seen { key: &key, value, revision: entry.sequence, written };
                let change = self.registry.lock().see(seen, Instant::now());
                self.apply(change);
                false
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                self.registry.lock().remove_entry(&hook.tag.token, false);
                true
            }
            Err(error) => {
                tracing::debug!(hook = %hook.id, error = chain(&error), "the hook's entry in NATS can't be read now");
                false
            }
        }
    }

    /// Makes an entry that is gone. The instance that does so first owns the hook.
    pub(super) async fn recreate_entry(&self, hook: &Hook, record: HookRecord) -> Option<u64> {
        if self.is_undefined(hook) {
            return None;
        }
        let position = record.position;
        match self.storage.bucket.create(Key::Hook(&hook.tag.token).to_string(), record.encode()).await {
            Ok(revision) => {
                tracing::error!(hook = %hook.id, position, "the hook's entry in NATS was removed: made again, nothing is skipped");
                self.report_vanished();
                self.registry.lock().set(&hook.tag.token, record, revision);
                Some(revision)
            }
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                // Another instance was faster, or the entry was there all the time.
                self.reload_entry(hook).await;
                None
            }
            Err(error) => {
                tracing::debug!(hook = %hook.id, error = chain(&error), "the hook's entry in NATS can't be made again now");
                None
            }
        }
    }
}
