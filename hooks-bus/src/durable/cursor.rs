//! One hook's place in the log. Has no I/O.
//!
//! A hook either *follows*: it has seen every dispatched event, and matching events are queued as they
//! come. Or it *scans*: it lags, and reads the log from a position on. An idle hook follows with an empty
//! queue: its position is the end of the log, and it costs nothing.

use std::collections::VecDeque;
use std::time::SystemTime;

use hooks_core::Position;

use super::checkpoint::{Behind, Checkpoint, unacked_between};
use crate::buffer::budget::Amount;
use crate::buffer::in_flight::InFlight;
use crate::buffer::published::Run;

/// Most queued ranges of a hook that follows. With more it scans. Small, because the receivers of a hundred thousand
/// hooks may be down at once.
const MAX_QUEUED: usize = 64;

/// Consecutive events that match a hook: the positions from `from` to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PositionRange {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) bytes: usize,
}

/// A hook's place in the log.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// Events that were read and not settled.
    in_flight: InFlight,
    /// Their size, settled ones excluded.
    unsettled: Amount,
    mode: Mode,
    /// Ranges settled before a restart, or unreadable: rising, apart.
    acked_ranges: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
enum Mode {
    /// The hook follows, and these ranges are unread.
    Follow(VecDeque<PositionRange>),
    /// The hook scans, next from this position.
    Scan(u64),
}

impl Cursor {
    /// Starts a scan at a stored place.
    pub(crate) fn new(from: Behind) -> Self {
        Self {
            in_flight: InFlight::default(),
            unsettled: Amount::default(),
            mode: Mode::Scan(from.committed),
            acked_ranges: from.acked_ranges.into(),
        }
    }

    /// Switches to following, after a scan has reached the end.
    pub(crate) fn follow(&mut self) {
        self.mode = Mode::Follow(VecDeque::new());
        self.trim();
    }

    /// Queues matching events, if the hook follows.
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

    /// Switches to scanning from the oldest queued event.
    pub(crate) fn scan(&mut self) {
        if let Some(first) = self.next_queued() {
            self.mode = Mode::Scan(first.from);
        }
    }

    /// The next position of a scan. `None` for a hook that follows.
    pub(crate) fn scans_from(&self) -> Option<u64> {
        match self.mode {
            Mode::Follow(_) => None,
            Mode::Scan(next) => Some(next),
        }
    }

    /// The unread ranges of a hook that follows, oldest first.
    pub(crate) fn queued(&self) -> impl Iterator<Item = PositionRange> {
        let queued = match &self.mode {
            Mode::Follow(queued) => Some(queued.iter().copied()),
            Mode::Scan(_) => None,
        };
        queued.into_iter().flatten()
    }

    /// The oldest unread range.
    pub(crate) fn next_queued(&self) -> Option<PositionRange> {
        self.queued().next()
    }

    /// Moves events in flight: the next queued ones, or those a scan found.
    pub(crate) fn take(&mut self, run: Run) {
        let size = run.size();
        match &mut self.mode {
            Mode::Follow(queued) => {
                if let Some(first) = queued.front_mut() {
                    first.from += run.len() as u64;
                    first.bytes -= size.bytes;
                    if first.from >= first.to {
                        queued.pop_front();
                    }
                }
            }
            Mode::Scan(next) => *next = run.last().get() + 1,
        }
        self.unsettled.add(size);
        self.in_flight.push(run);
    }

    /// Moves a scan on to a position.
    pub(crate) fn pass(&mut self, position: u64) {
        if let Mode::Scan(next) = &mut self.mode {
            *next = position.max(*next);
        }
        self.trim();
    }

    /// Skips unread events before `to`. Returns the number of queued ones, and the position where a scan was.
    pub(crate) fn skip(&mut self, to: u64) -> (usize, Option<u64>) {
        match &mut self.mode {
            Mode::Follow(queued) => {
                let before = queued.partition_point(|range| range.from < to);
                let gone: Vec<PositionRange> = queued.drain(..before).collect();
                if gone.last().is_some_and(|last| last.to > to) {
                    // The size of the rest is unknown here: a scan finds it again.
                    self.mode = Mode::Scan(to);
                }
                let events: u64 = gone.iter().map(|range| range.to.min(to) - range.from).sum();
                (events as usize, None)
            }
            Mode::Scan(next) if *next < to => (0, Some(std::mem::replace(next, to))),
            Mode::Scan(_) => (0, None),
        }
    }

    /// Settles a range that can't be read. Returns the number of positions unsettled before.
    pub(crate) fn mark_unreadable(&mut self, (from, to): (u64, u64)) -> usize {
        let from = from.max(self.scans_from().unwrap_or(u64::MAX));
        let left = unacked_between(&self.acked_ranges, from, to);
        if left > 0 {
            self.acked_ranges = union(self.acked_ranges.iter().copied().chain([(from, to)]).collect()).into();
        }
        left as usize
    }

    /// Settles the events in flight before `begin`, which can't be read again. Returns their number.
    pub(crate) fn lose_before(&mut self, begin: u64) -> usize {
        let gone = self.in_flight.unsettled_before(Position::new(begin));
        self.settle(&gone)
    }

    /// True if a position was settled before a restart, or can't be read.
    pub(crate) fn is_acked(&self, position: u64) -> bool {
        let after = self.acked_ranges.partition_point(|(from, _)| *from <= position);
        after.checked_sub(1).is_some_and(|at| position < self.acked_ranges[at].1)
    }

    /// The ranges settled before a restart, or unreadable.
    pub(crate) fn acked_ranges(&self) -> Vec<(u64, u64)> {
        self.acked_ranges.iter().copied().collect()
    }

    /// Settles events in flight. Returns the number unsettled before.
    pub(crate) fn settle(&mut self, positions: &[Position]) -> usize {
        let (settled, finished) = self.in_flight.settle(positions);
        drop(finished);
        self.unsettled.sub(settled);
        self.trim();
        settled.events
    }

    /// The size of the events that were read and not settled.
    pub(crate) fn unsettled(&self) -> Amount {
        self.unsettled
    }

    /// The time when the oldest event in flight was accepted.
    pub(crate) fn oldest(&self) -> Option<SystemTime> {
        self.in_flight.first().map(Run::accepted)
    }

    /// Number of events from the oldest unsettled to the newest read.
    pub(crate) fn window(&self) -> usize {
        self.in_flight.window()
    }

    /// The oldest unsettled position. `None`: all events are settled.
    pub(crate) fn committed(&self) -> Option<u64> {
        let next = match &self.mode {
            Mode::Follow(queued) => queued.front().map(|first| first.from),
            Mode::Scan(next) => Some(*next),
        };
        self.in_flight.first().map(|run| run.first().get()).or(next)
    }

    /// The place to store for a restart.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let Some(committed) = self.committed() else { return Checkpoint::AtEnd };
        let mut acked_ranges = Vec::new();
        let mut open = None;
        for (position, settled) in self.in_flight.ranges() {
            // No event between two read ones matches the hook.
            if settled {
                open.get_or_insert(position.get());
            } else if let Some(from) = open.take() {
                acked_ranges.push((from, position.get()));
            }
        }
        acked_ranges.extend(open.zip(self.in_flight.last()).map(|(from, last)| (from, last.get() + 1)));
        acked_ranges.extend(self.acked_ranges.iter().filter(|(_, to)| *to > committed));
        Checkpoint::Behind(Behind { committed, acked_ranges: union(acked_ranges) }.raised(committed))
    }

    /// Removes acked ranges before the committed position.
    fn trim(&mut self) {
        let committed = self.committed().unwrap_or(u64::MAX);
        while self.acked_ranges.front().is_some_and(|(_, to)| *to <= committed) {
            self.acked_ranges.pop_front();
        }
    }

    /// Goes back to the oldest unsettled event that the log, which begins at `begin`, still has. Returns the number of
    /// events that will be read again, and of those that can't be.
    pub(crate) fn rewind(&mut self, begin: u64) -> (usize, usize) {
        let lost = self.in_flight.unsettled_before(Position::new(begin)).len();
        let again = self.unsettled.events - lost;
        match self.checkpoint() {
            Checkpoint::Behind(behind) if self.unsettled.events > 0 => *self = Self::new(behind.raised(begin)),
            _ => self.in_flight = InFlight::default(),
        }
        (again, lost)
    }
}

/// Merges ranges into as few as possible.
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
        assert_eq!(cursor.settle(&[Position::new(9), Position::new(9), Position::new(1)]), 1);
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
    fn unreadable_events_are_counted_once() {
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
        /// After any order of settling, a restart reads every unsettled event and no settled one.
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
                    cursor.settle(&[Position::new(position)]);
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
