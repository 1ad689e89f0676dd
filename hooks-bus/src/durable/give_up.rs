//! What happens when there is no room: the oldest segment goes, or publishing is refused.

use std::io;
use std::sync::Arc;

use hooks_core::{BusError, Bytes, DropReason, HookId};

use super::config::OnFull;
use super::inner::Inner;
use super::log::Part;
use super::row::Behind;
use super::scan::decode;
use super::segment::PIECE;
use super::subscriber::{Loss, Subscriber};

impl Inner {
    /// Makes room for this many bytes of log, or says who is in the way. Blocks.
    pub(crate) fn make_room(&self, bytes: u64) -> Result<(), BusError> {
        let max = self.config.max_bytes.0;
        let fits = || self.log.size().saturating_add(bytes) <= max;
        while !fits() {
            // Hooks may have gone on since positions were last kept.
            self.keep()?;
            self.reclaim()?;
            if fits() {
                break;
            }
            let Some(oldest) = self.log.oldest() else {
                let (need, max) = (Bytes(bytes), self.config.max_bytes);
                return Err(BusError::Full(format!(
                    "these events need {need} of log and `bus.max_bytes` is {max}: publish fewer at once, or raise it"
                )));
            };
            if let (OnFull::Refuse, Some((hook, position))) = (self.config.on_full, self.holder(&oldest)) {
                return Err(self.full(&hook, position));
            }
            self.give_up(&oldest, DropReason::Overflow)?;
        }
        self.warn(bytes);
        Ok(())
    }

    /// The enabled hook that is furthest behind, if it needs this segment.
    fn holder(&self, part: &Part) -> Option<(HookId, u64)> {
        let hooks = self.hooks.lock();
        let enabled = hooks.values().map(|(_, hook)| hook).filter(|hook| hook.is_enabled());
        let behind = enabled.filter_map(|hook| Some((hook.prefix()?, hook.hook.clone())));
        let (position, hook) = behind.min()?;
        (position < part.end).then_some((hook, position))
    }

    fn full(&self, hook: &HookId, position: u64) -> BusError {
        let (max, dir) = (self.config.max_bytes, self.dir.display());
        let behind = self.handed_out().saturating_sub(position);
        BusError::Full(format!(
            "the log in `{dir}` has reached `bus.max_bytes` ({max}) and hook `{hook}` holds its oldest events, {behind} from the end: \
             wait until it has caught up, disable or forget it, or raise `bus.max_bytes`"
        ))
    }

    /// Once when the log passes 80 % of what it may take.
    fn warn(&self, bytes: u64) {
        let before = self.log.size();
        let after = before.saturating_add(bytes);
        let line = self.config.max_bytes.0 / 5 * 4;
        if before < line && after >= line {
            let oldest = self.log.oldest().and_then(|part| self.holder(&part));
            let hook = oldest.as_ref().map(|(hook, _)| hook.as_str()).unwrap_or_default();
            tracing::warn!(dir = %self.dir.display(), hook, bytes = after, max_bytes = %self.config.max_bytes, "the log is nearly full; this hook holds its oldest events");
        }
    }

    /// Gives a segment up. Whatever hooks lose by it is counted before it goes. Blocks.
    pub(crate) fn give_up(&self, part: &Part, reason: DropReason) -> Result<(), BusError> {
        let subscribers: Vec<Arc<Subscriber>> = self.hooks.lock().values().map(|(_, hook)| hook.clone()).collect();
        let mut losers: Vec<(Arc<Subscriber>, Loss)> = Vec::new();
        for subscriber in subscribers {
            if subscriber.prefix().is_none_or(|prefix| prefix >= part.end) {
                continue;
            }
            let (noted, loss) = subscriber.skip(part.end, reason);
            log_loss(&subscriber.hook, noted, reason);
            losers.extend(loss.map(|loss| (subscriber.clone(), loss)));
            self.bell.mark(&subscriber);
        }
        self.skip_away(part);
        if let Err(error) = self.count(part, &losers, reason) {
            tracing::error!(dir = %self.dir.display(), %error, "not all events that were given up could be counted");
        }
        self.keep()?;
        let mut kept = self.kept.lock();
        self.store.set_floor(part.end)?;
        kept.behind.values_mut().for_each(|prefix| *prefix = part.end.max(*prefix));
        self.log.remove_below(part.end).map_err(|error| self.unavailable("remove a segment", &error))
    }

    /// Hooks that are not subscribed have no filter: what they lose is not known.
    fn skip_away(&self, part: &Part) {
        for (hook, away) in self.away.lock().iter_mut().filter(|(_, away)| away.behind.prefix < part.end) {
            let events = part.end - away.behind.prefix;
            tracing::warn!(%hook, events, "the log is full: a hook that is not subscribed loses what it wanted of these events");
            away.behind = std::mem::replace(&mut away.behind, Behind::at(0)).raised(part.end);
        }
    }

    /// Reads the segment once for all of them.
    fn count(&self, part: &Part, losers: &[(Arc<Subscriber>, Loss)], reason: DropReason) -> io::Result<()> {
        let Some(from) = losers.iter().map(|(_, loss)| loss.from).min() else { return Ok(()) };
        let mut counts = vec![0; losers.len()];
        let mut place = part.segment.seek(from.max(part.segment.first), part.end)?;
        while place.position < part.end {
            let piece = part.segment.read(place, part.end, PIECE)?;
            for (position, envelope) in decode(&piece, &self.dir, &self.memory).iter().flat_map(|slice| slice.events())
            {
                for ((_, loss), count) in losers.iter().zip(&mut counts) {
                    *count += usize::from(loss.includes(position, envelope));
                }
            }
            place = piece.next;
        }
        for ((subscriber, _), count) in losers.iter().zip(counts) {
            subscriber.lost(count, reason);
            log_loss(&subscriber.hook, count, reason);
        }
        Ok(())
    }

    pub(crate) fn unavailable(&self, what: &str, error: &dyn std::fmt::Display) -> BusError {
        BusError::Unavailable(format!("can't {what} in `{}`: {error}", self.dir.display()))
    }
}

fn log_loss(hook: &HookId, events: usize, reason: DropReason) {
    if events > 0 {
        tracing::warn!(%hook, events, %reason, "the oldest events of the log are given up before they were delivered");
    }
}
