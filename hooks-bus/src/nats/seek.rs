//! Moves hooks to another place in the stream: by the revision of their entry that was seen, never without.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use hooks_core::{
    BusError, Filter, HookId,
    bus::{Seek, SeekError, SeekTo, Sought},
};
use tokio::time::Instant;

use super::connect::{connected, unavailable};
use super::hook::Hook;
use super::inner::Tail;
use super::record::{HookRecord, Key};
use super::refusal::is_conflict;
use super::{Inner, subject};
use crate::sharing::{PositionRange, raised, ranges_before, ranges_behind};

/// A hook's entry, and its revision.
type Entry = (HookRecord, u64);

impl Inner {
    pub(super) async fn seek(&self, id: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        connected(&self.client)?;
        let here = self.hooks.lock().get(id).cloned();
        let Some(hook) = here.filter(|hook| hook.is_owned()) else { return self.seek_unowned(id, seek).await };
        // The entry is not written meanwhile.
        let _turn = hook.write_lock.lock().await;
        let Some(entry) = self.owned_entry(&hook) else { return Err(overtaken(id)) };
        let (sought, record) = self.plan(&entry, seek).await?;
        if seek.dry_run {
            return Ok(sought);
        }
        match self.write_place(&hook.tag.token, &record, entry.1).await? {
            Some(revision) => {
                hook.acquired(revision, (record.position, &record.acked_ranges), Instant::now());
                // The watch may have been faster than the answer.
                if let Some(newer) = self.registry.lock().lost_by(&hook.tag.token, revision) {
                    hook.lose(newer);
                }
                hook.count_skipped(sought.skipped);
                Ok(sought)
            }
            None => {
                self.reload_entry(&hook).await;
                Err(overtaken(id))
            }
        }
    }

    /// What the entry of a hook is that this instance owns.
    fn owned_entry(&self, hook: &Hook) -> Option<Entry> {
        let write = hook.place_to_write()?;
        let (owner, log, of) = (Some(self.me.clone()), self.log_name.clone(), hook.mark());
        let (position, began) = (write.position, self.registry.lock().began(&hook.tag.token));
        let record = HookRecord { owner, log, position, began, of, acked_ranges: write.acked_ranges };
        Some((record, write.revision))
    }

    /// Moves a hook that no instance has: whoever had it and writes next notices, and whoever acquires it goes on there.
    async fn seek_unowned(&self, id: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        let token = subject::of_hook(id.as_str());
        let (entry, owner) = {
            let registry = self.registry.lock();
            (registry.entry(&token), registry.owner(&token, Instant::now()).map(str::to_owned))
        };
        if let Some(owner) = owner.filter(|owner| *owner != self.me) {
            return Err(SeekError::Elsewhere(owner));
        }
        let Some((record, revision)) = entry else { return Err(SeekError::Unknown(id.clone())) };
        let entry = (self.in_present_log(HookRecord { owner: None, ..record }), revision);
        let (sought, record) = self.plan(&entry, seek).await?;
        if seek.dry_run {
            return Ok(sought);
        }
        match self.write_place(&token, &record, revision).await? {
            Some(revision) => {
                self.registry.lock().set(&token, record, revision);
                Ok(sought)
            }
            None => Err(overtaken(id)),
        }
    }

    /// A position in a stream that was deleted says nothing about the one that was made after it.
    fn in_present_log(&self, record: HookRecord) -> HookRecord {
        if record.log == self.log_name {
            return record;
        }
        record.in_another(&self.log_name)
    }

    /// Where a hook goes, and its entry then.
    async fn plan(&self, entry: &Entry, seek: &Seek) -> Result<(Sought, HookRecord), SeekError> {
        let before = &entry.0;
        let tail = self.refresh_tail().await?;
        let (to, reached) = self.target(seek.to, tail).await?;
        // Events that are gone can't come again.
        let from = before.position.max(tail.first.saturating_sub(1)).min(tail.last);
        // Who is there already also goes back: what it has in flight, or has settled further on, comes again.
        let is_back = to <= from;
        let place = (before.position, before.acked_ranges.clone());
        seek.check(from + 1, to + 1)?;
        let between = if is_back { ranges_behind(to, &place) } else { ranges_before(to, &place.1, from) };
        let (position, acked_ranges) = if is_back { (to, Vec::new()) } else { raised(place, to) };
        let record = HookRecord { position, acked_ranges, ..before.clone() };
        let (events, exact) = self.count_between(&between, seek.filter.as_deref()).await?;
        Ok((Sought::new(from + 1, record.position + 1, events, exact).reached(reached), record))
    }

    /// The position before the place that was asked for, and whether the stream still has it.
    async fn target(&self, to: SeekTo, tail: Tail) -> Result<(u64, bool), SeekError> {
        let begin = tail.first.saturating_sub(1);
        match to {
            SeekTo::Position(to) if to.get() > tail.last + 1 => {
                Err(SeekError::BeyondEnd { to: to.get(), end: tail.last + 1 })
            }
            SeekTo::Position(to) => {
                let before = to.get().saturating_sub(1);
                Ok((before.max(begin), before >= begin))
            }
            SeekTo::Start(from) => {
                let found = self.before_first(from, tail).await?;
                // Without events before it, an older one may have been asked for.
                let is_gone = from.since(std::time::SystemTime::now()).is_some() && found == begin && begin > 0;
                Ok((found, !is_gone))
            }
        }
    }

    /// Returns the new revision. `None`: another instance wrote the entry.
    async fn write_place(&self, token: &str, record: &HookRecord, revision: u64) -> Result<Option<u64>, BusError> {
        match self.storage.bucket.update(&Key::Hook(token).to_string(), record.encode(), revision).await {
            Ok(revision) => {
                self.registry.lock().set(token, record.clone(), revision);
                Ok(Some(revision))
            }
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(unavailable("move a hook", &error)),
        }
    }

    /// Counts the events in these ranges that match. Returns whether all of those counted do.
    async fn count_between(&self, ranges: &[PositionRange], filter: Option<&Filter>) -> Result<(u64, bool), BusError> {
        let (mut events, mut exact) = (0, true);
        for (index, PositionRange(from, to)) in ranges.iter().enumerate() {
            let Some(filter) = filter.filter(|_| index < MOST_RANGES) else {
                (events, exact) = (events + (to - from), false);
                continue;
            };
            let server = subject::filter(&self.config.name, filter, self.several_filters());
            let (behind, beyond) =
                (self.pending(*from, &server.subjects).await?, self.pending(*to, &server.subjects).await?);
            events += behind.saturating_sub(beyond);
            exact &= server.exact || behind == beyond;
        }
        Ok((events, exact))
    }

    /// Number of events behind a position on these subjects.
    async fn pending(&self, after: u64, subjects: &[String]) -> Result<u64, BusError> {
        let failed = |error: &dyn std::error::Error| unavailable("count events", error);
        let (filter_subject, filter_subjects) = match subjects {
            [one] => (one.clone(), Vec::new()),
            several => (String::new(), several.to_vec()),
        };
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.saturating_add(1) },
            ack_policy: AckPolicy::None,
            headers_only: true,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            filter_subject,
            filter_subjects,
            ..pull::Config::default()
        };
        let events = &self.storage.events;
        let consumer = events.create_consumer(config).await.map_err(|error| failed(&error))?;
        let pending = consumer.cached_info().num_pending;
        // The server would remove it after a while anyway.
        let _ = events.delete_consumer(&consumer.cached_info().name).await;
        Ok(pending)
    }
}

/// Most ranges whose events are counted by the server. Those of further ones all count.
const MOST_RANGES: usize = 8;

fn overtaken(hook: &HookId) -> SeekError {
    BusError::Unavailable(format!("the hook `{hook}` changes hands: try again")).into()
}
