//! One hook's cursor in the stream: what is read, what is settled, and the position that follows from it.
//! No clock, no I/O.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Positions from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PositionRange(pub(crate) u64, pub(crate) u64);

/// An event that was read and lies beyond the position.
#[derive(Debug, Clone, Copy)]
struct WindowEntry {
    seq: u64,
    bytes: usize,
    accepted: SystemTime,
    settled: bool,
}

/// A hook's cursor. Positions are sequence numbers of the log; reading is in their order.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// Everything up to here was read or does not concern the hook.
    read_to: u64,
    /// Rising; the first is unsettled.
    window: VecDeque<WindowEntry>,
    unsettled: usize,
    bytes: usize,
    /// Settled by the owner before, and not read again yet. Rising.
    skip: VecDeque<PositionRange>,
}

impl Cursor {
    /// A cursor that continues from another's position and acked ranges.
    pub(crate) fn new(position: u64, acked_ranges: &[PositionRange]) -> Self {
        Self { read_to: position, skip: acked_ranges.iter().copied().collect(), ..Self::default() }
    }

    /// The position: everything up to it is settled.
    pub(crate) fn position(&self) -> u64 {
        self.window.front().map_or(self.read_to, |first| first.seq - 1)
    }

    /// Everything up to here was read.
    pub(crate) fn read_to(&self) -> u64 {
        self.read_to
    }

    /// The number of deliveries from the oldest unsettled to the newest read.
    pub(crate) fn window(&self) -> usize {
        self.window.len()
    }

    /// The events in flight and their bytes.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.unsettled, self.bytes)
    }

    /// The time at which the oldest event in flight was accepted.
    pub(crate) fn oldest(&self) -> Option<SystemTime> {
        self.window.front().map(|first| first.accepted)
    }

    /// Takes in an event of the hook. False: it is settled already, or was read before.
    pub(crate) fn read(&mut self, seq: u64, bytes: usize, accepted: SystemTime) -> bool {
        if seq <= self.read_to {
            return false;
        }
        self.read_to = seq;
        while self.skip.front().is_some_and(|range| range.1 < seq) {
            self.skip.pop_front();
        }
        let settled = self.skip.front().is_some_and(|range| range.0 <= seq);
        if settled && self.window.is_empty() {
            return false;
        }
        self.window.push_back(WindowEntry { seq, bytes, accepted, settled });
        if !settled {
            self.unsettled += 1;
            self.bytes += bytes;
        }
        !settled
    }

    /// Moves on to here: no event up to it, besides those read, concerns the hook.
    pub(crate) fn pass(&mut self, seq: u64) {
        self.read_to = self.read_to.max(seq);
    }

    /// Settles these events. Returns how many of them were unsettled until now.
    pub(crate) fn settle(&mut self, seqs: impl Iterator<Item = u64>) -> usize {
        let mut count = 0;
        for seq in seqs {
            let Ok(at) = self.window.binary_search_by_key(&seq, |entry| entry.seq) else { continue };
            if let Some(entry) = self.window.get_mut(at).filter(|entry| !entry.settled) {
                entry.settled = true;
                self.bytes -= entry.bytes;
                count += 1;
            }
        }
        self.unsettled -= count;
        while self.window.front().is_some_and(|first| first.settled) {
            self.window.pop_front();
        }
        count
    }

    /// The settled ranges beyond the position, oldest first, at most `max`. Between the ends of a range no event
    /// is unsettled.
    pub(crate) fn acked_ranges(&self, max: usize) -> Vec<PositionRange> {
        let mut ranges: Vec<PositionRange> = Vec::new();
        let mut joins = false;
        for entry in &self.window {
            let full = ranges.len() == max;
            match ranges.last_mut() {
                _ if !entry.settled => {}
                Some(last) if joins => last.1 = entry.seq,
                _ if full => return ranges,
                _ => ranges.push(PositionRange(entry.seq, entry.seq)),
            }
            joins = entry.settled;
        }
        let unread = self.skip.iter().filter(|range| range.1 > self.read_to);
        ranges
            .extend(unread.map(|range| PositionRange(range.0.max(self.read_to + 1), range.1)).take(max - ranges.len()));
        ranges
    }

    /// The cursor for a stream that was rolled back to here.
    pub(crate) fn rolled_back_to(&self, kept: u64) -> Self {
        let acked_ranges = self.acked_ranges(usize::MAX).into_iter().filter(|range| range.0 <= kept);
        let acked_ranges: Vec<PositionRange> =
            acked_ranges.map(|range| PositionRange(range.0, range.1.min(kept))).collect();
        Self::new(self.position().min(kept), &acked_ranges)
    }

    /// Drops the events in flight, which are read again. Returns how many there were.
    pub(crate) fn rewind(&mut self) -> usize {
        let in_flight = self.unsettled;
        *self = Self::new(self.position(), &self.acked_ranges(usize::MAX));
        in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn read(cursor: &mut Cursor, seq: u64) -> bool {
        cursor.read(seq, 1, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_position_waits_for_the_oldest() {
        let mut cursor = Cursor::new(10, &[]);
        for seq in [11, 13, 17, 19] {
            assert!(read(&mut cursor, seq));
        }
        assert_eq!(cursor.settle([13, 17].into_iter()), 2);
        assert_eq!((cursor.position(), cursor.acked_ranges(9)), (10, vec![PositionRange(13, 17)]));
        assert_eq!(cursor.settle([11, 11, 12].into_iter()), 1);
        assert_eq!((cursor.position(), cursor.acked_ranges(9)), (18, vec![]));
        assert_eq!(cursor.in_flight(), (1, 1));
        cursor.pass(30);
        assert_eq!(cursor.settle([19].into_iter()), 1);
        assert_eq!(cursor.position(), 30);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Read(bool),
        Settle(prop::sample::Index),
        /// Another instance continues from the checkpoint, with this many ranges.
        TakeOver(usize),
        Rewind,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => any::<bool>().prop_map(Step::Read),
            5 => any::<prop::sample::Index>().prop_map(Step::Settle),
            1 => (0..4usize).prop_map(Step::TakeOver),
            1 => Just(Step::Rewind),
        ];
        prop::collection::vec(step, 1..80)
    }

    proptest! {
        /// Unsettled events are always read again, and with enough ranges no settled ones.
        #[test]
        fn nothing_is_lost_and_little_repeated(steps in steps()) {
            let mut cursor = Cursor::default();
            let (mut settled, mut in_flight) = (BTreeSet::new(), Vec::new());
            // The stream: which of its events concern the hook.
            let mut concerns: Vec<bool> = vec![false];
            let mut precise = true;
            for step in steps {
                match step {
                    Step::Read(matches) => {
                        let seq = cursor.read_to() + 1;
                        if seq as usize == concerns.len() {
                            concerns.push(matches);
                        }
                        if !concerns[seq as usize] {
                            cursor.pass(seq);
                        } else if read(&mut cursor, seq) {
                            prop_assert!(!precise || !settled.contains(&seq));
                            in_flight.push(seq);
                        } else {
                            prop_assert!(settled.contains(&seq), "{} was skipped", seq);
                        }
                    }
                    Step::Settle(pick) if !in_flight.is_empty() => {
                        let seq = in_flight.remove(pick.index(in_flight.len()));
                        prop_assert_eq!(cursor.settle([seq].into_iter()), 1);
                        settled.insert(seq);
                    }
                    Step::Settle(_) => {}
                    Step::TakeOver(ranges) => {
                        precise &= cursor.acked_ranges(usize::MAX).len() <= ranges;
                        cursor = Cursor::new(cursor.position(), &cursor.acked_ranges(ranges));
                        in_flight.clear();
                    }
                    Step::Rewind => {
                        prop_assert_eq!(cursor.rewind(), in_flight.len());
                        in_flight.clear();
                    }
                }
                prop_assert_eq!(cursor.in_flight().0, in_flight.len());
                for seq in 1..=cursor.position() {
                    prop_assert!(!concerns.get(seq as usize).is_some_and(|yes| *yes) || settled.contains(&seq));
                }
            }
        }
    }
}
