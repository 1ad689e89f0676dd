//! How far one hook is. Has no I/O.
//!
//! A hook either *follows*: it has seen everything that was dispatched, and what concerns it is queued
//! as it comes. Or it *scans*: it lags, and looks through the log from a position on. Hooks that have
//! nothing to do follow, with nothing queued: then the end of the log is their position, and it costs
//! nothing to let them be there.

use std::collections::VecDeque;
use std::time::SystemTime;

use hooks_core::Position;

use super::checkpoint::{Behind, Checkpoint, unacked_between};
use crate::buffer::budget::Amount;
use crate::buffer::in_flight::InFlight;
use crate::buffer::published::Run;

/// Most ranges of events that are queued for a hook that follows. With more it scans. Small, as there may be a
/// hundred thousand hooks whose receivers are all down.
const MAX_QUEUED: usize = 64;

/// Events that all concern a hook: those of the positions from `from` up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PositionRange {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) bytes: usize,
}

/// How far a hook is.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// What was read and not settled.
    in_flight: InFlight,
    /// Of that.
    unsettled: Amount,
    mode: Mode,
    /// Settled before a restart, or damaged: rising, apart.
    acked_ranges: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
enum Mode {
    /// These wait to be read.
    Follow(VecDeque<PositionRange>),
    /// Reading goes on here.
    Scan(u64),
}

impl Cursor {
    /// A hook that was here when it was last seen.
    pub(crate) fn new(from: Behind) -> Self {
        Self {
            in_flight: InFlight::default(),
            unsettled: Amount::default(),
            mode: Mode::Scan(from.committed),
            acked_ranges: from.acked_ranges.into(),
        }
    }

    /// The hook has seen everything before this position: it is told what comes from here on.
    pub(crate) fn follow(&mut self) {
        self.mode = Mode::Follow(VecDeque::new());
        self.trim();
    }

    /// Events concern the hook, of one call.
    pub(crate) fn enqueue(&mut self, range: PositionRange) {
        let Mode::Follow(queued) = &mut self.mode else { return };
        let full = queued.len() >= MAX_QUEUED;
        match queued.back_mut() {
            Some(last) if last.to == range.from => {
                (last.to, last.bytes) = (range.to, last.bytes + range.bytes);
            }
            _ if full => self.scan(),
            _ => queued.push_back(range),
        }
    }

    /// Reads on from the oldest event that was queued, rather than from memory.
    pub(crate) fn scan(&mut self) {
        if let Some(first) = self.next_queued() {
            self.mode = Mode::Scan(first.from);
        }
    }

    /// Where a hook that scans goes on. `None` for one that follows.
    pub(crate) fn scans_from(&self) -> Option<u64> {
        match self.mode {
            Mode::Follow(_) => None,
            Mode::Scan(next) => Some(next),
        }
    }

    /// What was queued and not read, oldest first.
    pub(crate) fn queued(&self) -> impl Iterator<Item = PositionRange> {
        let queued = match &self.mode {
            Mode::Follow(queued) => Some(queued.iter().copied()),
            Mode::Scan(_) => None,
        };
        queued.into_iter().flatten()
    }

    /// The oldest of it.
    pub(crate) fn next_queued(&self) -> Option<PositionRange> {
        self.queued().next()
    }

    /// The hook takes events: the next ones queued, or what a scan found.
    pub(crate) fn take(&mut self, run: Run) {
        let size = run.size();
        match &mut self.mode {
            Mode::Follow(queued) => {
                if let Some(first) = queued.front_mut() {
                    first.from += run.len() as u64;
                    first.bytes -= size.bytes;
                    queued.pop_front_if(|first| first.from >= first.to);
                }
            }
            Mode::Scan(next) => *next = run.last().0 + 1,
        }
        self.unsettled.add(size);
        self.in_flight.push(run);
    }

    /// A scan found nothing more before this position.
    pub(crate) fn pass(&mut self, position: u64) {
        if let Mode::Scan(next) = &mut self.mode {
            *next = position.max(*next);
        }
        self.trim();
    }

    /// Gives up what was not read before this position. Returns how many noted events went, and, for a hook that
    /// scans, where it was.
    pub(crate) fn skip(&mut self, to: u64) -> (usize, Option<u64>) {
        match &mut self.mode {
            Mode::Follow(queued) => {
                let before = queued.partition_point(|range| range.from < to);
                let gone: Vec<PositionRange> = queued.drain(..before).collect();
                if gone.last().is_some_and(|last| last.to > to) {
                    // How many bytes the rest has is not known here: it is found again.
                    self.mode = Mode::Scan(to);
                }
                let events: u64 = gone.iter().map(|range| range.to.min(to) - range.from).sum();
                (events as usize, None)
            }
            Mode::Scan(next) if *next < to => (0, Some(std::mem::replace(next, to))),
            Mode::Scan(_) => (0, None),
        }
    }

    /// These can't be read: it is done with them. Returns how many of them it was not done with before.
    pub(crate) fn mark_unreadable(&mut self, (from, to): (u64, u64)) -> usize {
        let from = from.max(self.scans_from().unwrap_or(u64::MAX));
        let left = unacked_between(&self.acked_ranges, from, to);
        if left > 0 {
            self.acked_ranges = union(self.acked_ranges.iter().copied().chain([(from, to)]).collect()).into();
        }
        left as usize
    }

    /// What is in flight from before this position can't be read again, and nobody will settle it. Returns how
    /// many events these are.
    pub(crate) fn lose_before(&mut self, begin: u64) -> usize {
        let gone = self.in_flight.unsettled_before(Position(begin));
        self.settle(&gone)
    }

    /// Whether it was settled before a restart, or can't be read.
    pub(crate) fn is_acked(&self, position: u64) -> bool {
        let after = self.acked_ranges.partition_point(|(from, _)| *from <= position);
        after.checked_sub(1).is_some_and(|at| position < self.acked_ranges[at].1)
    }

    /// Ranges that were settled before a restart, or can't be read.
    pub(crate) fn acked_ranges(&self) -> Vec<(u64, u64)> {
        self.acked_ranges.iter().copied().collect()
    }

    /// The hook is done with these. Returns how many of them were unsettled until now.
    pub(crate) fn settle(&mut self, positions: &[Position]) -> usize {
        let (settled, finished) = self.in_flight.settle(positions);
        drop(finished);
        self.unsettled.sub(settled);
        self.trim();
        settled.events
    }

    /// Events that were read and not settled.
    pub(crate) fn unsettled(&self) -> Amount {
        self.unsettled
    }

    /// When the oldest event in flight was accepted.
    pub(crate) fn oldest(&self) -> Option<SystemTime> {
        self.in_flight.first().map(Run::accepted)
    }

    /// Events from the oldest unsettled to the newest read.
    pub(crate) fn window(&self) -> usize {
        self.in_flight.window()
    }

    /// The oldest position that is not done with. `None`: all are.
    pub(crate) fn committed(&self) -> Option<u64> {
        let next = match &self.mode {
            Mode::Follow(queued) => queued.front().map(|first| first.from),
            Mode::Scan(next) => Some(*next),
        };
        self.in_flight.first().map(|run| run.first().0).or(next)
    }

    /// What has to be remembered across a restart.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let Some(committed) = self.committed() else { return Checkpoint::AtEnd };
        let mut acked_ranges = Vec::new();
        let mut open = None;
        for (Position(position), settled) in self.in_flight.ranges() {
            // Between two events that were read lies nothing that concerns the hook.
            if settled {
                open.get_or_insert(position);
            } else if let Some(from) = open.take() {
                acked_ranges.push((from, position));
            }
        }
        acked_ranges.extend(open.zip(self.in_flight.last()).map(|(from, last)| (from, last.0 + 1)));
        acked_ranges.extend(self.acked_ranges.iter().filter(|(_, to)| *to > committed));
        Checkpoint::Behind(Behind { committed, acked_ranges: union(acked_ranges) }.raised(committed))
    }

    /// Forgets what of it is now behind.
    fn trim(&mut self) {
        let committed = self.committed().unwrap_or(u64::MAX);
        while self.acked_ranges.front().is_some_and(|(_, to)| *to <= committed) {
            self.acked_ranges.pop_front();
        }
    }

    /// What was in flight is to be read again, but for what stands before `begin`, where the log begins. Returns how
    /// many events are to be read again, and how many can't be.
    pub(crate) fn rewind(&mut self, begin: u64) -> (usize, usize) {
        let lost = self.in_flight.unsettled_before(Position(begin)).len();
        let again = self.unsettled.events - lost;
        match self.checkpoint() {
            Checkpoint::Behind(behind) if self.unsettled.events > 0 => *self = Self::new(behind.raised(begin)),
            _ => self.in_flight = InFlight::default(),
        }
        (again, lost)
    }
}

/// The same positions in as few ranges as possible.
fn union(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut apart: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = to.max(last.1),
            _ => apart.push((from, to)),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::published::Published;
    use hooks_core::Envelope;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const EVENT: &[u8] = br#"{"specversion":"1.0","id":"1","source":"/s","type":"a","time":"2026-11-23T10:00:00Z"}"#;

    fn run(position: u64) -> Run {
        let event = Envelope::from_json(EVENT).unwrap();
        let published = Published::new(position, event.into(), SystemTime::UNIX_EPOCH, Arc::new(()));
        Run::between(&published, position, position + 1)
    }

    fn one(position: u64) -> PositionRange {
        PositionRange { from: position, to: position + 1, bytes: run(position).size().bytes }
    }

    #[test]
    fn a_hook_with_nothing_to_do_is_at_the_end() {
        let mut cursor = Cursor::new(Behind::at(7));
        assert_eq!(cursor.checkpoint(), Checkpoint::Behind(Behind::at(7)));
        cursor.follow();
        assert_eq!(cursor.checkpoint(), Checkpoint::AtEnd);
        cursor.enqueue(one(9));
        assert_eq!(cursor.checkpoint(), Checkpoint::Behind(Behind::at(9)));
        cursor.take(run(9));
        assert_eq!(cursor.checkpoint(), Checkpoint::Behind(Behind::at(9)));
        assert_eq!(cursor.settle(&[Position(9), Position(9), Position(1)]), 1);
        assert_eq!(cursor.checkpoint(), Checkpoint::AtEnd);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut cursor = Cursor::new(Behind::at(0));
        cursor.follow();
        for position in 0..10_000 {
            cursor.enqueue(one(position * 2));
        }
        assert_eq!(cursor.scans_from(), Some(0));
    }

    #[test]
    fn neighbours_are_queued_as_one_range() {
        let mut cursor = Cursor::new(Behind::at(0));
        cursor.follow();
        (0..10_000).for_each(|position| cursor.enqueue(one(position)));
        let size = run(0).size().bytes;
        cursor.take(run(0));
        let left: Vec<PositionRange> = cursor.queued().collect();
        assert_eq!(left, [PositionRange { from: 1, to: 10_000, bytes: 9_999 * size }]);
        assert_eq!(cursor.skip(10), (9, None));
        assert_eq!(cursor.scans_from(), Some(10), "the rest is found again");
        assert_eq!(cursor.checkpoint(), Checkpoint::Behind(Behind::at(0)), "still in flight");
    }

    #[test]
    fn what_cannot_be_read_is_missed_once() {
        let mut cursor = Cursor::new(Behind { committed: 2, acked_ranges: vec![(5, 7)] });
        assert_eq!(cursor.mark_unreadable((0, 3)), 1);
        cursor.take(run(3));
        assert_eq!(cursor.mark_unreadable((4, 8)), 2);
        assert_eq!(cursor.mark_unreadable((4, 8)), 0);
        cursor.pass(10);
        cursor.follow();
        assert_eq!(cursor.checkpoint(), Checkpoint::Behind(Behind { committed: 3, acked_ranges: vec![(4, 8)] }));
        assert_eq!((cursor.rewind(0), cursor.scans_from()), ((1, 0), Some(3)));
        cursor.take(run(3));
        assert_eq!(cursor.mark_unreadable((4, 8)), 0);
    }

    proptest! {
        /// Whatever is settled in whatever order: a restart reads all the rest, and nothing that was settled.
        #[test]
        fn a_restart_goes_on_where_it_was(
            positions in prop::collection::btree_set(0u64..60, 1..40),
            settled in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            read in 0usize..40,
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let positions: Vec<u64> = positions.into_iter().collect();
            let mut cursor = Cursor::new(Behind::at(0));
            let mut expected: BTreeSet<u64> = positions.iter().copied().collect();
            for settled in [settled, again] {
                let taken: Vec<u64> = positions.iter().copied().take(read.max(1))
                    .filter(|position| cursor.scans_from().is_some_and(|from| *position >= from) && !cursor.is_acked(*position))
                    .collect();
                for position in &taken {
                    cursor.take(run(*position));
                }
                for pick in settled.iter().filter(|_| !taken.is_empty()) {
                    let position = *pick.get(&taken);
                    expected.remove(&position);
                    cursor.settle(&[Position(position)]);
                }
                let Checkpoint::Behind(behind) = cursor.checkpoint() else { panic!("it scans") };
                cursor = Cursor::new(behind);
                let left: BTreeSet<u64> = positions.iter().copied()
                    .filter(|position| cursor.scans_from().is_some_and(|from| *position >= from) && !cursor.is_acked(*position))
                    .collect();
                prop_assert_eq!(&left, &expected);
            }
        }
    }
}
