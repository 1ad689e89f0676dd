//! How far a hook is behind.

use std::time::SystemTime;

use hooks_core::{HookId, Lag};

use super::format::RECORD_BYTES;
use super::inner::Inner;
use super::scan::time;
use super::subscriber::Pending;
use crate::hold::room::Amount;

impl Inner {
    /// What a hook has not settled, subscribed or not.
    pub(crate) fn lag(&self, hook: &HookId) -> Option<Lag> {
        let subscriber = self.hooks.lock().get(hook).map(|(_, subscriber)| subscriber.clone());
        let pending = match subscriber {
            Some(subscriber) => subscriber.pending(),
            None => Pending::from(self.away.lock().get(hook)?.behind.prefix),
        };
        Some(match pending.scans_from {
            Some(from) => self.lag_of_scan(&pending, from),
            None => self.lag_of_noted(&pending),
        })
    }

    fn lag_of_noted(&self, pending: &Pending) -> Lag {
        let noted = &pending.noted;
        let events: u64 = noted.iter().map(|stretch| stretch.to - stretch.from).sum();
        let bytes: usize = noted.iter().map(|stretch| stretch.bytes).sum();
        let in_memory = |from| self.ring.lock().run(from, u64::MAX).map(|run| run.accepted());
        let oldest = || noted.first().and_then(|first| in_memory(first.from).or_else(|| self.begun(first.from)));
        Lag {
            events: events + pending.in_hand.events as u64,
            bytes: (bytes + pending.in_hand.bytes) as u64,
            oldest: pending.oldest.or_else(oldest),
            exact: true,
        }
    }

    /// Everything up to the end: how much of it concerns the hook is not known before it is read.
    fn lag_of_scan(&self, pending: &Pending, from: u64) -> Lag {
        let events = self.handed_out().saturating_sub(from);
        let bytes = self.bytes_from(from).saturating_sub(events * RECORD_BYTES as u64);
        let begun = (events > 0).then(|| self.begun(from)).flatten();
        Lag {
            events: events + pending.in_hand.events as u64,
            bytes: bytes + pending.in_hand.bytes as u64,
            oldest: pending.oldest.or(begun),
            exact: events == 0,
        }
    }

    /// When the segment was begun that holds this position.
    fn begun(&self, position: u64) -> Option<SystemTime> {
        self.log.locate(position).map(|part| time(part.segment.begun))
    }

    /// About how many bytes of log there are from this position on.
    fn bytes_from(&self, from: u64) -> u64 {
        let end = self.handed_out();
        let behind = self.log.parts().into_iter().filter(|part| part.end > from && part.segment.first < end);
        let sizes = behind.map(|part| {
            let last = if part.is_sealed { part.segment.size() } else { part.segment.nearest(u64::MAX).offset };
            last.saturating_sub(part.segment.nearest(from).offset)
        });
        sizes.sum()
    }
}

impl From<u64> for Pending {
    fn from(position: u64) -> Self {
        Self { in_hand: Amount::default(), oldest: None, noted: Vec::new(), scans_from: Some(position) }
    }
}
