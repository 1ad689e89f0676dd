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
use crate::sharing::PositionRange;

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
        let record = if is_back {
            HookRecord { position: to, acked_ranges: Vec::new(), ..before.clone() }
        } else {
            raised(before.clone(), to)
        };
        seek.check(from + 1, to + 1)?;
        let between = if is_back { ranges_behind(to, before) } else { ranges_before(to, before, from) };
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

/// An entry with everything up to a position settled.
fn raised(mut record: HookRecord, to: u64) -> HookRecord {
    record.position = record.position.max(to);
    record.acked_ranges.retain(|range| range.1 > record.position);
    if let Some(PositionRange(first, last)) = record.acked_ranges.first().copied()
        && first <= record.position + 1
    {
        record.position = last;
        record.acked_ranges.remove(0);
    }
    record
}

/// What comes again behind `to`, each from behind the first to the second: all up to the position, and what was settled
/// beyond it.
fn ranges_behind(to: u64, before: &HookRecord) -> Vec<PositionRange> {
    let acked = before.acked_ranges.iter().map(|range| PositionRange(range.0.saturating_sub(1), range.1));
    std::iter::once(PositionRange(to, before.position)).chain(acked).filter(|range| range.0 < range.1).collect()
}

/// What is skipped up to `to`: all that is not settled.
fn ranges_before(to: u64, before: &HookRecord, from: u64) -> Vec<PositionRange> {
    let (mut open, mut from) = (Vec::new(), from);
    for acked in &before.acked_ranges {
        open.push(PositionRange(from, acked.0.saturating_sub(1).min(to)));
        from = from.max(acked.1);
    }
    open.push(PositionRange(from, to));
    open.retain(|range| range.0 < range.1);
    open
}

fn overtaken(hook: &HookId) -> SeekError {
    BusError::Unavailable(format!("the hook `{hook}` changes hands: try again")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(position: u64, acked: &[(u64, u64)]) -> HookRecord {
        let acked_ranges = acked.iter().map(|(from, to)| PositionRange(*from, *to)).collect();
        HookRecord { owner: None, log: "l".to_owned(), position, began: None, of: None, acked_ranges }
    }

    fn pairs(ranges: Vec<PositionRange>) -> Vec<(u64, u64)> {
        ranges.into_iter().map(|range| (range.0, range.1)).collect()
    }

    #[test]
    fn what_lies_between_is_what_is_not_settled_or_all_of_it() {
        let before = record(10, &[(13, 14), (17, 17)]);
        assert_eq!(pairs(ranges_before(15, &before, 10)), [(10, 12), (14, 15)]);
        assert_eq!(pairs(ranges_before(30, &before, 10)), [(10, 12), (14, 16), (17, 30)]);
        assert_eq!(pairs(ranges_before(11, &before, 10)), [(10, 11)]);
        assert_eq!(pairs(ranges_behind(3, &before)), [(3, 10), (12, 14), (16, 17)]);
        assert_eq!(pairs(ranges_behind(10, &before)), [(12, 14), (16, 17)]);
        assert_eq!(raised(before.clone(), 12), record(14, &[(17, 17)]));
        assert_eq!(raised(before.clone(), 11), record(11, &[(13, 14), (17, 17)]));
        assert_eq!(raised(before, 20), record(20, &[]));
    }
}
