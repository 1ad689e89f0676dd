//! How far a hook is behind.

use std::time::SystemTime;

use hooks_core::{HookId, Lag};

use super::format::RECORD_BYTES;
use super::inner::Inner;
use super::scan::time;
use super::subscriber::Pending;
use crate::buffer::budget::Amount;

impl Inner {
    /// What a hook has not settled, subscribed or not.
    pub(crate) fn lag(&self, hook: &HookId) -> Option<Lag> {
        let subscriber = self.hooks.lock().get(hook).map(|(_, subscriber)| subscriber.clone());
        let pending = match subscriber {
            Some(subscriber) => subscriber.pending(),
            None => Pending::from(self.away.lock().get(hook)?.behind.committed),
        };
        Some(match pending.scans_from {
            Some(from) => self.lag_of_scan(&pending, from),
            None => self.lag_of_queue(&pending),
        })
    }

    fn lag_of_queue(&self, pending: &Pending) -> Lag {
        let queued = &pending.queued;
        let events: u64 = queued.iter().map(|range| range.to - range.from).sum();
        let bytes: usize = queued.iter().map(|range| range.bytes).sum();
        let in_memory = |from| self.tail.lock().run(from, u64::MAX).map(|run| run.accepted());
        let oldest = || queued.first().and_then(|first| in_memory(first.from).or_else(|| self.accepted(first.from)));
        Lag {
            events: events + pending.in_flight.events as u64,
            bytes: (bytes + pending.in_flight.bytes) as u64,
            oldest: pending.oldest.or_else(oldest),
            exact: true,
        }
    }

    /// Everything up to the end: how much of it concerns the hook is not known before it is read. So this is the
    /// most it can be, since the earliest that it can be.
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

    /// When the event of this position was accepted, at the earliest. A minute earlier as a rule, and as early as its
    /// segment was begun where nothing was read of that since the log was opened.
    fn accepted(&self, position: u64) -> Option<SystemTime> {
        self.log.locate(position).and_then(|part| part.segment.accepted(position)).map(time)
    }

    /// How many bytes of log there are from this position on, at most.
    fn bytes_from(&self, from: u64) -> u64 {
        let end = self.dispatched();
        let behind = self.log.parts().into_iter().filter(|part| part.end > from && part.segment.first < end);
        behind.map(|part| part.segment.used().saturating_sub(part.segment.nearest(from).offset)).sum()
    }
}

impl From<u64> for Pending {
    fn from(position: u64) -> Self {
        Self { in_flight: Amount::default(), oldest: None, queued: Vec::new(), scans_from: Some(position) }
    }
}
