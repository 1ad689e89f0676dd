//! The events that a receiver saw, checked against those that it should have seen.

/// The counts of one receiver. Each event has a place in the order that it was published in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiverStats {
    /// The number of times that each event was accepted.
    seen: Vec<u32>,
    /// The place behind the last event that was accepted.
    next: usize,
    /// Events accepted after one that was published later.
    pub(crate) disorder: u64,
    /// Events that nobody published.
    pub(crate) unknown: u64,
    /// Requests that arrived whole or in part.
    pub(crate) requests: u64,
    /// Requests without a right signature.
    pub(crate) untrusted: u64,
    /// Requests that were answered 503, or not at all.
    pub(crate) failed: u64,
    /// Requests that were answered 400.
    pub(crate) rejected: u64,
    /// Of these, requests with one event only.
    pub(crate) rejected_alone: u64,
}

impl ReceiverStats {
    /// Counts of so many events.
    pub(crate) fn new(events: usize) -> Self {
        Self {
            seen: vec![0; events],
            next: 0,
            disorder: 0,
            unknown: 0,
            requests: 0,
            untrusted: 0,
            failed: 0,
            rejected: 0,
            rejected_alone: 0,
        }
    }

    /// An event of this place was accepted.
    pub(crate) fn accept(&mut self, place: Option<usize>) {
        let Some((place, seen)) = place.and_then(|place| Some((place, self.seen.get_mut(place)?))) else {
            self.unknown += 1;
            return;
        };
        *seen += 1;
        if *seen == 1 && place < self.next {
            self.disorder += 1;
        }
        self.next = self.next.max(place + 1);
    }

    /// Different events that were accepted.
    pub(crate) fn distinct(&self) -> u64 {
        self.seen.iter().filter(|count| **count > 0).count() as u64
    }

    /// The number of times that an event was accepted again.
    pub(crate) fn repeats(&self) -> u64 {
        self.seen.iter().map(|count| u64::from(count.saturating_sub(1))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_repeats_and_disorder_are_seen() {
        let mut stats = ReceiverStats::new(5);
        for place in [0, 1, 3, 2, 3] {
            stats.accept(Some(place));
        }
        stats.accept(Some(5));
        stats.accept(None);
        assert_eq!((stats.distinct(), stats.repeats(), stats.disorder, stats.unknown), (4, 1, 1, 2));
    }
}
