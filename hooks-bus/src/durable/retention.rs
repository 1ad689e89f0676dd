//! Removes segments: those that every hook has passed, by their age or for room; and in a full log the oldest one, or it
//! refuses to publish.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use hooks_core::{BusError, ByteSize, DropReason, HookId};

use super::config::OnFull;
use super::inner::Inner;
use super::log::Part;
use super::scan::{decode, time, uncovered};
use super::segment::PIECE;
use super::subscriber::{EvictedRange, Subscriber};

/// Which segments go of those that every hook has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// Those older than `retain`.
    Aged,
    /// Those, and the oldest others until the log has room for this many bytes.
    Room(u64),
    /// Those, and at least one, because the disk has no room.
    One,
}

impl Inner {
    /// Removes segments that every hook has passed. Returns whether there were any. Blocks.
    pub(crate) fn reclaim(&self, reclaim: Reclaim) -> Result<bool, BusError> {
        if !self.retention.holding.is_released() {
            return Ok(false);
        }
        // Before the lock: it may store the age of files.
        let now = self.storage.now();
        let saved = self.saved.lock();
        // Not above what is removed: a hook may come that begins with the oldest event.
        let Some(floor) = self.give_up(reclaim, saved.floor(), now) else { return Ok(false) };
        let log = &self.storage.log;
        let removed = match self.storage.store.set_floor(floor) {
            // There is room once a file is gone. After a crash in between, the log reports it missing.
            Err(BusError::Full(_)) if reclaim == Reclaim::One => {
                let removed = log.remove_below(floor);
                self.storage.store.set_floor(floor)?;
                removed
            }
            stored => stored.map(|()| log.remove_below(floor))?,
        };
        removed.map(|()| true).map_err(|error| self.storage.unavailable("remove a segment", &error))
    }

    /// The end of the last segment to remove. No hook begins before it from now on.
    fn give_up(&self, reclaim: Reclaim, passed: u64, now: u64) -> Option<u64> {
        let _dispatched = self.dispatched.lock();
        // Of a hook that has just come, the database does not know what it needs.
        let newcomers = if self.dirty.has_unsaved_hooks() { self.hooks.first_committed() } else { None };
        let floor = self.reclaimable(reclaim, newcomers.map_or(passed, |needed| needed.min(passed)), now);
        floor.inspect(|floor| self.storage.log.begin_at(*floor))
    }

    /// The end of the last segment to remove, of those that end at or before `passed`.
    fn reclaimable(&self, reclaim: Reclaim, passed: u64, now: u64) -> Option<u64> {
        let log = &self.storage.log;
        let goes = |part: &Part, freed: u64| match reclaim {
            _ if self.is_past(part, now) => true,
            Reclaim::Aged => false,
            Reclaim::Room(bytes) => (log.size() - freed).saturating_add(bytes) > self.config.max_bytes.bytes(),
            Reclaim::One => freed == 0,
        };
        // Most of the time there is none.
        log.oldest().filter(|oldest| oldest.end <= passed && goes(oldest, 0))?;
        let (mut floor, mut freed) = (None, 0);
        for part in log.parts_but_newest().into_iter().take_while(|part| part.end <= passed) {
            if !goes(&part, freed) {
                break;
            }
            freed += part.segment.size();
            floor = Some(part.end);
        }
        floor
    }

    /// True if all of its events are older than `retain`.
    fn is_past(&self, part: &Part, now: u64) -> bool {
        let retain = self.config.retain.get().as_secs();
        let is_older = |sealed: u64| sealed.saturating_add(retain) < now;
        retain == 0 || self.storage.log.sealed(&part.segment).is_some_and(is_older)
    }

    /// Bytes of log that no hook needs any more.
    pub(crate) fn retained_bytes(&self) -> u64 {
        self.storage.log.size().saturating_sub(self.needed())
    }

    /// The time when the oldest event was accepted, or somewhat earlier.
    pub(crate) fn oldest(&self) -> Option<SystemTime> {
        let oldest = self.storage.log.locate(0).filter(|oldest| oldest.segment.first < oldest.end)?;
        oldest.segment.begun().map(time)
    }

    /// Bytes of log that some hook still needs, and of the newest segment.
    fn needed(&self) -> u64 {
        self.storage.log.size_from(self.retention.passed.load(Ordering::Relaxed))
    }

    /// Frees space for this many bytes of log. The error names the hook that needs the oldest events. Blocks.
    pub(crate) fn free_space(&self, bytes: u64) -> Result<(), BusError> {
        let max = self.config.max_bytes.bytes();
        if bytes > max / 2 {
            return Err(self.never_fits(bytes));
        }
        let fits = || self.storage.log.size().saturating_add(bytes) <= max;
        while !fits() {
            // Hooks may have settled events since the last checkpoint.
            self.checkpoint()?;
            self.reclaim(Reclaim::Room(bytes))?;
            if fits() {
                break;
            }
            if !self.retention.holding.is_released() {
                return Err(self.full_of_what_is_kept());
            }
            // Evicts even the only segment: it is from before `max_bytes` was lowered, since newer ones leave room.
            let Some(oldest) = self.storage.log.locate(0) else { break };
            if let (OnFull::Refuse, Some((hook, position))) = (self.config.on_full, self.hooks.blocking(oldest.end)) {
                return Err(self.full(&hook, position));
            }
            self.evict(&oldest, DropReason::Overflow)?;
        }
        self.warn(bytes);
        Ok(())
    }

    /// The error for a slice above half of the log, the most that a segment may take: the next one must fit beside it.
    fn never_fits(&self, bytes: u64) -> BusError {
        let (need, max) = (ByteSize::new(bytes), self.config.max_bytes);
        BusError::TooLarge(format!(
            "together these events need {need} of log, more than half of the bus's `max_bytes` ({max}): publish fewer at once or shorter ones, or raise it"
        ))
    }

    fn full_of_what_is_kept(&self) -> BusError {
        let (max, dir) = (self.config.max_bytes, self.storage.dir.display());
        BusError::Full(format!(
            "the log in `{dir}` has reached the bus's `max_bytes` ({max}), and only who delivers from it frees space"
        ))
    }

    fn full(&self, hook: &HookId, position: u64) -> BusError {
        let (max, dir) = (self.config.max_bytes, self.storage.dir.display());
        let behind = self.dispatched().saturating_sub(position);
        BusError::Full(format!(
            "the log in `{dir}` has reached the bus's `max_bytes` ({max}) and hook `{hook}` holds its oldest events, {behind} from the end: \
             wait until it has caught up, disable or forget it, or raise `max_bytes`"
        ))
    }

    /// Warns when the events that hooks still need pass 80 % of `max_bytes`, and again only after they were below 70 %.
    fn warn(&self, bytes: u64) {
        let tenth = self.config.max_bytes.bytes() / 10;
        let after = || self.needed().saturating_add(bytes);
        if after() < 7 * tenth {
            self.retention.nearly_full.store(false, Ordering::Relaxed);
        }
        if after() < 8 * tenth || self.retention.nearly_full.load(Ordering::Relaxed) {
            return;
        }
        // Hooks may have settled events since the last checkpoint. The checkpointer reports errors.
        let _ = self.checkpoint();
        let passed = self.retention.passed.load(Ordering::Relaxed);
        let Some(oldest) = self.storage.log.locate(passed).filter(|_| after() >= 8 * tenth) else { return };
        let (hook, what) = match (self.hooks.blocking(oldest.end), self.hooks.evictable(oldest.end)) {
            (Some((hook, _)), _) => (hook, "this hook holds its oldest events"),
            (None, Some(hook)) => {
                (hook, "this hook, disabled or not in the config, is about to lose its oldest events")
            }
            (None, None) => return,
        };
        self.retention.nearly_full.store(true, Ordering::Relaxed);
        let (dir, max_bytes) = (self.storage.dir.display(), self.config.max_bytes);
        tracing::warn!(%dir, %hook, bytes = after(), %max_bytes, "the log is nearly full: {what}");
    }

    /// Removes a segment, and counts the events that each hook loses before. Blocks.
    pub(crate) fn evict(&self, part: &Part, reason: DropReason) -> Result<(), BusError> {
        {
            // A hook that comes from now on begins behind it.
            let _dispatched = self.dispatched.lock();
            self.storage.log.begin_at(part.end);
        }
        let mut evicted: Vec<(Arc<Subscriber>, EvictedRange)> = Vec::new();
        for subscriber in self.hooks.subscribed() {
            if subscriber.committed().is_none_or(|committed| committed >= part.end) {
                continue;
            }
            let (queued, range) = subscriber.skip(part.end, reason);
            log_dropped(&subscriber.hook, queued, reason);
            evicted.extend(range.map(|range| (subscriber.clone(), range)));
            self.dirty.insert(&subscriber);
        }
        self.hooks.evict_away(part.end, reason);
        if let Err(error) = self.count(part, &evicted, reason) {
            tracing::error!(dir = %self.storage.dir.display(), %error, "can't count all events that hooks lost with a dropped segment");
        }
        self.checkpoint()?;
        let mut saved = self.saved.lock();
        self.storage.store.set_floor(part.end)?;
        saved.behind.values_mut().for_each(|committed| *committed = part.end.max(*committed));
        self.storage.log.remove(&part.segment).map_err(|error| self.storage.unavailable("remove a segment", &error))
    }

    /// Reads the segment once, and counts the lost events of each hook.
    fn count(&self, part: &Part, evicted: &[(Arc<Subscriber>, EvictedRange)], reason: DropReason) -> io::Result<()> {
        let Some(from) = evicted.iter().map(|(_, range)| range.from).min() else { return Ok(()) };
        // For each hook, lost events and unreadable positions.
        let mut counts = vec![(0, 0); evicted.len()];
        let mut place = part.segment.seek(from.max(part.segment.first), part.end)?;
        let mut seen = from;
        while place.position < part.end {
            let piece = part.segment.read(place, part.end, PIECE)?;
            let slices = decode(&piece, &self.storage.dir, &self.cache.budget);
            let present = slices.iter().map(|slice| (slice.first(), slice.until()));
            let unreadable = uncovered(present, seen, piece.next.position.min(part.end));
            for ((_, range), (read, unread)) in evicted.iter().zip(&mut counts) {
                let events = slices.iter().flat_map(|slice| slice.events());
                *read += events.filter(|(position, envelope)| range.includes(*position, envelope)).count();
                *unread += unreadable.iter().map(|lost| range.unacked_in(*lost)).sum::<u64>() as usize;
            }
            (place, seen) = (piece.next, piece.next.position);
        }
        for ((subscriber, _), (read, unread)) in evicted.iter().zip(counts) {
            for (count, reason) in [(read, reason), (unread, DropReason::Unreadable)] {
                subscriber.count_lost(count, reason);
                log_dropped(&subscriber.hook, count, reason);
            }
        }
        Ok(())
    }
}

fn log_dropped(hook: &HookId, events: usize, reason: DropReason) {
    if events > 0 {
        tracing::warn!(%hook, events, %reason, "the log dropped events before the hook had settled them");
    }
}
