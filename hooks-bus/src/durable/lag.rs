//! The lag of a hook.

use std::time::SystemTime;

use hooks_core::{HookId, Lag};

use super::format::RECORD_BYTES;
use super::inner::Inner;
use super::pending::Pending;
use super::scan::time;

impl Inner {
    /// The lag of a hook, subscribed or not. `None`: the bus does not know it.
    pub(crate) fn lag(&self, hook: &HookId) -> Option<Lag> {
        let pending = self.hooks.pending(hook)?;
        Some(match pending.scans_from {
            Some(from) => self.lag_of_scan(&pending, from),
            None => self.lag_of_queue(&pending),
        })
    }

    fn lag_of_queue(&self, pending: &Pending) -> Lag {
        let queued = &pending.queued;
        let events: u64 = queued.iter().map(|range| range.to - range.from).sum();
        let bytes: usize = queued.iter().map(|range| range.bytes).sum();
        let accepted = |from| self.cache.accepted(from).or_else(|| self.accepted(from));
        let oldest = || queued.first().and_then(|first| accepted(first.from));
        Lag {
            events: events + pending.in_flight.events as u64,
            bytes: (bytes + pending.in_flight.bytes) as u64,
            oldest: pending.oldest.or_else(oldest),
            exact: true,
        }
    }

    /// The lag of a hook that scans: all events up to the end, since nobody knows before reading which of them match. So
    /// this is the largest and oldest lag possible.
    fn lag_of_scan(&self, pending: &Pending, from: u64) -> Lag {
        let events = self.dispatched().saturating_sub(from);
        let bytes = self.bytes_from(from).saturating_sub(events * RECORD_BYTES as u64);
        let oldest = || if events > 0 { self.accepted(from) } else { None };
        Lag {
            events: events + pending.in_flight.events as u64,
            bytes: bytes + pending.in_flight.bytes as u64,
            oldest: pending.oldest.or_else(oldest),
            exact: events == 0,
        }
    }

    /// The earliest time when this position's event may have been accepted: within a minute as a rule, or the time when
    /// its segment was begun, if nothing of that was read since the log was opened.
    fn accepted(&self, position: u64) -> Option<SystemTime> {
        self.storage.log.locate(position).and_then(|part| part.segment.accepted(position)).map(time)
    }

    /// Most bytes of log from this position on.
    fn bytes_from(&self, from: u64) -> u64 {
        let end = self.dispatched();
        let behind = self.storage.log.parts().into_iter().filter(|part| part.end > from && part.segment.first < end);
        behind.map(|part| part.segment.used().saturating_sub(part.segment.nearest(from).offset)).sum()
    }
}
