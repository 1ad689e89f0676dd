//! Moves hooks to another place in the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hooks_core::{
    BusError, DropReason, Filter, HookId,
    bus::{Seek, SeekError, SeekTo, Sought},
};

use super::checkpoint::Behind;
use super::inner::Inner;
use super::log::SegmentCursor;
use super::scan::decode;
use super::segment::PIECE;
use super::start::Start;

/// Most bytes of log that are read to count events.
const MOST_COUNTED: usize = 64 << 20;

/// Most tries to move a hook that goes on meanwhile.
const ATTEMPTS: usize = 16;

/// Positions from the first to before the second.
type Range = (u64, u64);

/// What was asked for, found in the log.
#[derive(Debug, Clone, Copy)]
enum Target {
    Start(Start),
    Position(u64),
}

/// A hook's place, and the one that it gets.
#[derive(Debug)]
struct Plan {
    before: Behind,
    after: Behind,
    /// False if what was asked for is gone.
    reached: bool,
}

impl Plan {
    /// What the hook gets again, or what it gives up.
    fn between(&self) -> Vec<Range> {
        let (before, after) = (self.before.committed, self.after.committed);
        if after <= before {
            return std::iter::once((after, before)).chain(self.before.acked_ranges.iter().copied()).collect();
        }
        let mut open = Vec::new();
        let mut from = before;
        for (acked, to) in &self.before.acked_ranges {
            open.push((from, (*acked).min(after)));
            from = *to;
        }
        open.push((from, after));
        open.retain(|(from, to)| from < to);
        open
    }

    fn is_ahead(&self) -> bool {
        self.after.committed > self.before.committed
    }
}

impl Inner {
    /// Moves a hook. Returns when that would survive a crash.
    pub(crate) async fn seek(self: &Arc<Self>, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        let (hook, seek) = (hook.clone(), seek.clone());
        self.blocking(move |inner| Ok(inner.seek_now(&hook, &seek))).await?
    }

    /// Blocks.
    fn seek_now(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        let mut target = match seek.to {
            SeekTo::Start(from) => Target::Start(self.find_start(from)?),
            SeekTo::Position(position) => Target::Position(position.get()),
        };
        for _ in 0..ATTEMPTS {
            let plan = self.plan(hook, target)?;
            let (before, after) = (plan.before.committed, plan.after.committed);
            seek.check(before, after)?;
            let (events, exact) = self.count_between(&plan.between(), seek.filter.as_deref())?;
            let sought = Sought::new(before, after, events, exact).reached(plan.reached);
            if seek.dry_run {
                return Ok(sought);
            }
            // What comes from now on is not counted, and so not skipped.
            if plan.is_ahead() {
                target = Target::Position(after);
            }
            if let Some(landed) = self.move_hook(hook, &plan, events)? {
                let reached = sought.reached && landed == after;
                return Ok(Sought { after: landed, ..sought }.reached(reached));
            }
        }
        Err(BusError::Unavailable(format!("the hook `{hook}` goes on while it is to be moved: try again")).into())
    }

    fn plan(&self, hook: &HookId, target: Target) -> Result<Plan, SeekError> {
        let dispatched = self.dispatched.lock();
        let (end, begin) = (*dispatched, self.storage.log.begin());
        let before = self.hooks.behind(hook, end).ok_or_else(|| SeekError::Unknown(hook.clone()))?;
        let (position, reached) = match target {
            Target::Position(to) if to > end => return Err(SeekError::BeyondEnd { to, end }),
            Target::Position(to) => (to.max(begin), to >= begin),
            Target::Start(start) => {
                let (position, is_gone) = self.position_of(start, end);
                (position, !is_gone)
            }
        };
        // Who is there already also goes back: what it has in flight, or has settled further on, comes again.
        let is_back = position <= before.committed;
        let after = if is_back { Behind::at(position) } else { before.clone().raised(position) };
        Ok(Plan { before, after, reached })
    }

    /// Stores a hook's new place, then has it go on there. Returns where that is, since older events may have gone. `None`:
    /// it has gone on meanwhile, so that another number of events would be skipped.
    fn move_hook(&self, hook: &HookId, plan: &Plan, events: u64) -> Result<Option<u64>, BusError> {
        // No checkpoint is written meanwhile, and no segment is removed that every hook has passed.
        let mut saved = self.saved.lock();
        let place = {
            let dispatched = self.dispatched.lock();
            if plan.is_ahead() && self.hooks.behind(hook, *dispatched).is_none_or(|now| now != plan.before) {
                return Ok(None);
            }
            plan.after.clone().raised(self.storage.log.begin())
        };
        let stored = self.storage.store.set_place(hook, &place);
        let dispatched = self.dispatched.lock();
        if let Some(subscriber) = self.hooks.get(hook) {
            // Also after an error: the database may have it all the same.
            self.dirty.insert(&subscriber);
        }
        stored?;
        let place = place.raised(self.storage.log.begin());
        let landed = place.committed;
        saved.behind.insert(hook.clone(), landed);
        self.retention.passed.store(saved.floor(), Ordering::Relaxed);
        if let Some(subscriber) = self.hooks.move_to(hook, place, *dispatched)
            && plan.is_ahead()
        {
            subscriber.count_lost(usize::try_from(events).unwrap_or(usize::MAX), DropReason::Skipped);
        }
        Ok(Some(landed))
    }

    /// Counts the events in these ranges that match. Returns whether all of those counted do. Blocks.
    fn count_between(&self, ranges: &[Range], filter: Option<&Filter>) -> Result<(u64, bool), BusError> {
        let (mut events, mut exact, mut left) = (0, true, MOST_COUNTED);
        for (from, to) in ranges {
            let rest = match filter {
                Some(filter) => {
                    let (counted, rest) = self.count_range((*from, *to), filter, &mut left)?;
                    events += counted;
                    rest
                }
                None => *from,
            };
            events += to - rest;
            exact &= rest == *to;
        }
        Ok((events, exact))
    }

    /// Counts matching events of a range until so many bytes are read. Returns also the position where it ended.
    fn count_range(&self, (from, to): Range, filter: &Filter, left: &mut usize) -> Result<(u64, u64), BusError> {
        let failed = |error| self.storage.unavailable("count events", &error);
        let (log, mut events, mut at) = (&self.storage.log, 0, from);
        while at < to && *left > 0 {
            let Some(mut cursor) = SegmentCursor::at(log, at).map_err(failed)? else { break };
            cursor.part.end = cursor.part.end.min(to);
            while cursor.place.position < cursor.part.end && *left > 0 {
                let piece = cursor.read(PIECE).map_err(failed)?;
                *left = left.saturating_sub(PIECE);
                let slices = decode(&piece, &self.storage.dir, &self.cache.budget);
                let inside = slices.iter().flat_map(|slice| slice.events()).filter(|(at, _)| (from..to).contains(at));
                events += inside.filter(|(_, envelope)| filter.matches(envelope)).count() as u64;
                cursor.place = piece.next;
            }
            let next = cursor.place.position.max(at).min(to);
            if next == at {
                break;
            }
            at = next;
        }
        Ok((events, at))
    }
}
