//! Checks from time to time that streams and bucket are there and have the right settings, and recreates what was
//! removed. The server does not announce purges, deletions and changed settings.

use std::collections::HashSet;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::kv::CreateErrorKind;
use async_nats::jetstream::stream::{Info, Stream};
use futures_util::TryStreamExt as _;
use hooks_core::{BusError, Override};
use tokio::time::Instant;

use super::connect::{message, unavailable};
use super::health::Part;
use super::record::{HookRecord, Key};
use super::{Inner, settings, stream, subject};
use crate::overrides::encode;
use crate::sharing::hook_hash;

/// Every so many checks, all entries are listed and all dead letters counted, even if nothing hints at a change.
const FULL_CHECK_EVERY: u32 = 15;

/// More dead letters than this are counted at such full checks only.
const MANY_DEAD_LETTERS: u64 = 10_000;

/// The results of the last check.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// The time at which the bucket was made.
    bucket: Option<i128>,
    /// Messages in the bucket.
    entries: u64,
    /// The number of checks in a row at which the bucket ended before what was seen of it.
    behind: u32,
    /// The number of messages in the stream of dead letters, and its last position.
    dead_letters: (u64, u64),
}

impl Inner {
    /// Checks everything but the stream of events.
    pub(super) async fn examine(&self, last: &mut Examined, checks: u32) {
        let all = checks.is_multiple_of(FULL_CHECK_EVERY);
        if let Err(error) = self.examine_bucket(last, all).await {
            self.health.fails(Part::Bucket, message(error));
        }
        if let Err(error) = self.examine_dead_letters(last, all).await {
            self.health.fails(Part::DeadLetters, message(error));
        }
    }

    async fn examine_bucket(&self, last: &mut Examined, all: bool) -> Result<(), BusError> {
        let what = stream::bucket_name(&self.config);
        let known = self.registry.lock().overrides.up_to();
        let Some(info) = self.find(&format!("KV_{}-hooks", self.config.name), &what, Part::Bucket).await? else {
            stream::open_bucket(&self.api, &self.config).await?;
            return Ok(());
        };
        let wrong = stream::wrong_bucket(&info.config, &self.config);
        match stream::as_one(&what, &wrong) {
            Some(text) => self.health.fails(Part::Bucket, text),
            None => self.health.works(Part::Bucket),
        }
        let made = info.created.unix_timestamp_nanos();
        let is_another = last.bucket.replace(made).is_some_and(|before| before != made);
        last.behind = if info.state.last_sequence < known { last.behind + 1 } else { 0 };
        // A leader that was elected a moment ago may have to catch up.
        let went_back = last.behind > if info.config.num_replicas > 1 { 2 } else { 0 };
        if is_another {
            self.report_vanished();
            self.bucket_replaced();
        } else if went_back {
            self.bucket_went_back();
        }
        let fewer = info.state.messages < std::mem::replace(&mut last.entries, info.state.messages);
        let passed = self.registry.lock().is_older_than(info.state.first_sequence);
        if all || is_another || fewer || passed || self.health.is_failing(Part::Entries) {
            self.look_for_entries().await?;
        }
        match self.unreadable() {
            Some(text) => self.health.fails(Part::Records, text),
            None => self.health.works(Part::Records),
        }
        Ok(())
    }

    /// A text that names hooks in use whose entries can't be read.
    fn unreadable(&self) -> Option<String> {
        let (registry, now, bucket) = (self.registry.lock(), Instant::now(), format!("{}-hooks", self.config.name));
        let in_use =
            registry.unreadable().filter(|token| registry.any_member_has(hook_hash(&subject::hook_of(token)), now));
        let keys: Vec<_> = in_use.map(|token| format!("`{}`", Key::Hook(token))).collect();
        let text = || {
            format!(
                "nobody can read {} in the key-value bucket `{bucket}`, so the position there is not kept: somebody overwrote it, or a newer version wrote it; remove it (`nats kv del {bucket} KEY`), and the hook goes on where it was",
                keys.join(", ")
            )
        };
        (!keys.is_empty()).then(text)
    }

    /// A stream's state. `None`: it is gone, and may be recreated.
    async fn find(&self, name: &str, what: &str, part: Part) -> Result<Option<Info>, BusError> {
        let error = match self.api.get_stream(name).await {
            Ok(found) => return Ok(Some(found.cached_info().clone())),
            Err(error) => error,
        };
        match error.kind() {
            GetStreamErrorKind::JetStream(refused) if refused.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                self.health.fails(part, format!("{what} was deleted"));
                let none = || BusError::Unavailable(format!("{what} was deleted, and is not made again (`create`)"));
                if self.config.create { Ok(None) } else { Err(none()) }
            }
            _ => Err(unavailable(&format!("look at {what}"), &error)),
        }
    }

    /// The bucket's server lost what it had not synced, or an older copy was restored.
    pub(super) fn bucket_went_back(&self) {
        let what = stream::bucket_name(&self.config);
        tracing::error!(
            "{what} was rolled back: its server lost what it had not synced, or an older copy was restored; this instance writes what it knows again"
        );
        self.bucket_replaced();
    }

    /// The bucket was deleted and made again, or rolled back: known revisions mean nothing any more.
    fn bucket_replaced(&self) {
        self.registry.lock().reset_revisions();
        self.hooks.lock().values().for_each(|hook| hook.reset_revisions());
        self.rebalance_needed.notify_one();
    }

    /// Finds entries that have vanished. An instance that may own the hook recreates its entry.
    async fn look_for_entries(&self) -> Result<(), BusError> {
        let bucket = &self.storage.bucket;
        let failed = |error: &dyn std::error::Error| unavailable("look for the entries of hooks", error);
        let listed = bucket.stream.info_with_subjects(format!("{}>", bucket.prefix)).await;
        let mut listed = listed.map_err(|error| failed(&error))?;
        let up_to = listed.info.state.last_sequence;
        let mut keys = HashSet::new();
        while let Some((subject, _)) = listed.try_next().await.map_err(|error| failed(&error))? {
            keys.extend(subject.strip_prefix(&bucket.prefix).map(str::to_owned));
        }
        let missing = self.registry.lock().remove_missing(&keys, up_to);
        if missing.is_empty() {
            self.health.works(Part::Entries);
            return Ok(());
        }
        self.report_vanished();
        // An instance without hooks, as of an operator's command, makes nothing.
        if self.hooks.lock().is_empty() {
            return Ok(());
        }
        for (hook, record) in missing.definitions {
            self.recreate_definition(&hook, record).await?;
        }
        for (token, kept) in missing.overrides {
            self.recreate_override(&token, kept).await?;
        }
        for token in missing.hooks {
            let here = self.hooks.lock().values().find(|hook| hook.tag.token == token).cloned();
            match here {
                Some(hook) => hook.checkpoint_soon(),
                None => self.recreate_unused_entry(&token).await?,
            }
        }
        self.rebalance_needed.notify_one();
        Ok(())
    }

    pub(super) fn report_vanished(&self) {
        let name = &self.config.name;
        let text = format!(
            "entries of the key-value bucket `{name}-hooks` vanished: somebody purged or deleted them, or a limit did; they are made again, and hooks go on where they were"
        );
        self.health.fails(Part::Entries, text);
    }

    /// Recreates the entry of a hook that no instance has, so that its position is kept.
    async fn recreate_unused_entry(&self, token: &str) -> Result<(), BusError> {
        let hash = hook_hash(&subject::hook_of(token));
        let (record, in_use) = {
            let registry = self.registry.lock();
            (registry.vanished(token), registry.any_member_has(hash, Instant::now()))
        };
        let Some(record) = record.filter(|_| !in_use) else { return Ok(()) };
        let record = HookRecord { owner: None, ..record };
        match self.storage.bucket.create(Key::Hook(token).to_string(), record.encode()).await {
            Ok(revision) => self.registry.lock().set(token, record, revision),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable("keep the position of a hook again", &error)),
        }
        Ok(())
    }

    /// Recreates a hook's override, unless another instance was faster.
    async fn recreate_override(&self, token: &str, kept: Override) -> Result<(), BusError> {
        let made = self.storage.bucket.create(Key::Override(token).to_string(), encode(&kept).into()).await;
        match made {
            Ok(revision) => drop(self.registry.lock().overrides.see(token, Some(kept), revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
            Err(error) => return Err(unavailable("keep again whether a hook is disabled", &error)),
        }
        Ok(())
    }

    async fn examine_dead_letters(&self, last: &mut Examined, all: bool) -> Result<(), BusError> {
        let what = stream::dead_letters_name(&self.config);
        let Some(info) = self.find(&format!("{}-dead", self.config.name), &what, Part::DeadLetters).await? else {
            let made: Stream = stream::open_dead_letters(&self.api, &self.config).await?;
            return self.dead_letter_counts.refresh(&made, &self.config.name).await;
        };
        let wrong = stream::wrong_dead_letters(&info.config, &self.config);
        match stream::as_one(&what, &wrong) {
            Some(text) => self.health.fails(Part::DeadLetters, text),
            None => self.health.works(Part::DeadLetters),
        }
        let now = (info.state.messages, info.state.last_sequence);
        if all || (now != last.dead_letters && now.0 <= MANY_DEAD_LETTERS) {
            last.dead_letters = now;
            self.dead_letter_counts.refresh(&self.storage.dead_letters, &self.config.name).await?;
        }
        Ok(())
    }

    /// Checks the settings of the stream of events that promises depend on.
    pub(super) fn examine_events(&self, info: &Info) {
        let wrong = settings::of_events(&info.config, &subject::of_all(&self.config.name));
        match stream::as_one(&stream::events_name(&self.config), &wrong) {
            Some(text) => self.health.fails(Part::Events, text),
            None => self.health.works(Part::Events),
        }
    }
}
