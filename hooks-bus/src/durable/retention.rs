//! Frees space in a full log: evicts the oldest segment, or refuses to publish.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hooks_core::{BusError, ByteSize, DropReason, HookId};

use super::config::OnFull;
use super::inner::Inner;
use super::log::Part;
use super::scan::{decode, uncovered};
use super::segment::PIECE;
use super::subscriber::{EvictedRange, Subscriber};

impl Inner {
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
            self.reclaim()?;
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

    /// Warns when the log passes 80 % of `max_bytes`, and again only after it was below 70 %.
    fn warn(&self, bytes: u64) {
        let tenth = self.config.max_bytes.bytes() / 10;
        let after = || self.storage.log.size().saturating_add(bytes);
        if after() < 7 * tenth {
            self.retention.nearly_full.store(false, Ordering::Relaxed);
        }
        if after() < 8 * tenth || self.retention.nearly_full.load(Ordering::Relaxed) {
            return;
        }
        // Removes segments that no hook needs. The checkpointer reports errors.
        let _ = self.checkpoint().and_then(|()| self.reclaim());
        let Some(oldest) = self.storage.log.locate(0) else { return };
        if after() < 8 * tenth {
            return;
        }
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
