//! How far a hook is behind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{HookId, Lag};

use super::format::RECORD_BYTES;
use super::inner::Inner;
use super::subscriber::Pending;

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
        let ring = self.ring.lock();
        let noted = pending.noted.iter().filter_map(|position| ring.get(*position));
        let bytes = noted.map(|(envelope, _)| envelope.len()).sum::<usize>() + pending.in_hand.bytes;
        let first = pending.noted.first().and_then(|position| ring.get(*position)).map(|(_, accepted)| accepted);
        Lag {
            events: (pending.noted.len() + pending.in_hand.events) as u64,
            bytes: bytes as u64,
            oldest: pending.oldest.or(first).and_then(time),
            exact: true,
        }
    }

    /// Everything up to the end: how much of it concerns the hook is not known before it is read.
    fn lag_of_scan(&self, pending: &Pending, from: u64) -> Lag {
        let events = self.handed_out().saturating_sub(from);
        let bytes = self.bytes_from(from).saturating_sub(events * RECORD_BYTES as u64);
        let begun = (events > 0).then(|| self.log.locate(from)).flatten().map(|part| part.segment.begun);
        Lag {
            events: events + pending.in_hand.events as u64,
            bytes: bytes + pending.in_hand.bytes as u64,
            oldest: pending.oldest.or(begun).and_then(time),
            exact: events == 0,
        }
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
        Self { in_hand: super::cursor::Sum::default(), oldest: None, noted: Vec::new(), scans_from: Some(position) }
    }
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
