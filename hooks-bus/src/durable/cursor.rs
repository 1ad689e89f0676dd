//! How far one hook is. Has no I/O.
//!
//! A hook either *follows*: it has seen everything that was handed out, and what concerns it is noted
//! as it comes. Or it *scans*: it lags, and looks through the log from a position on. Hooks that have
//! nothing to do follow, with nothing noted: then the end of the log is their position, and it costs
//! nothing to let them be there.

use std::collections::VecDeque;

use hooks_core::{BlockGuard, Position};

use super::row::{Behind, Row};

/// Most events that are noted for a hook that follows. With more it scans. Small, as there may be a hundred thousand
/// hooks whose receivers are all down.
const MAX_NOTED: usize = 128;

/// An event that a hook has in hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    #[expect(dead_code, reason = "held, and let go with the event")]
    pub(crate) memory: BlockGuard,
    pub(crate) bytes: usize,
    /// In seconds since 1970.
    pub(crate) accepted: u64,
}

/// Events and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

/// How far a hook is.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// What was read and, but for the holes, not settled. Rising positions.
    in_hand: VecDeque<(u64, Option<Held>)>,
    /// What of it is not settled.
    unsettled: Sum,
    way: Way,
    /// Settled before a restart: rising, apart, none before where reading goes on.
    done: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
enum Way {
    /// These wait to be read.
    Follow(VecDeque<u64>),
    /// Reading goes on here.
    Scan(u64),
}

impl Cursor {
    /// A hook that was here when it was last seen.
    pub(crate) fn new(from: Behind) -> Self {
        Self {
            in_hand: VecDeque::new(),
            unsettled: Sum::default(),
            way: Way::Scan(from.prefix),
            done: from.done.into(),
        }
    }

    /// The hook has seen everything before this position: it is told what comes from here on.
    pub(crate) fn follow(&mut self) {
        self.way = Way::Follow(VecDeque::new());
        self.done.clear();
    }

    /// An event concerns the hook.
    pub(crate) fn note(&mut self, position: u64) {
        match &mut self.way {
            Way::Follow(noted) if noted.len() < MAX_NOTED => noted.push_back(position),
            _ => self.scan(),
        }
    }

    /// Reads on from the oldest event that was noted, rather than from memory.
    pub(crate) fn scan(&mut self) {
        if let Way::Follow(noted) = &mut self.way
            && let Some(first) = noted.front()
        {
            self.way = Way::Scan(*first);
        }
    }

    /// Where a hook that scans goes on. `None` for one that follows.
    pub(crate) fn scans_from(&self) -> Option<u64> {
        match self.way {
            Way::Follow(_) => None,
            Way::Scan(next) => Some(next),
        }
    }

    /// The oldest event that was noted and not read.
    pub(crate) fn noted(&self) -> impl Iterator<Item = u64> {
        let noted = match &self.way {
            Way::Follow(noted) => Some(noted.iter().copied()),
            Way::Scan(_) => None,
        };
        noted.into_iter().flatten()
    }

    /// The hook takes an event: the next one noted, or one that a scan found.
    pub(crate) fn take(&mut self, position: u64, held: Held) {
        self.unsettled.events += 1;
        self.unsettled.bytes += held.bytes;
        self.in_hand.push_back((position, Some(held)));
        match &mut self.way {
            Way::Follow(noted) => drop(noted.pop_front()),
            Way::Scan(next) => *next = position + 1,
        }
    }

    /// A scan found nothing more before this position.
    pub(crate) fn pass(&mut self, position: u64) {
        if let Way::Scan(next) = &mut self.way {
            *next = position.max(*next);
        }
        self.trim();
    }

    /// Gives up what was not read before this position. Returns how many noted events went, and, for a hook that
    /// scans, where it was.
    pub(crate) fn skip(&mut self, to: u64) -> (usize, Option<u64>) {
        match &mut self.way {
            Way::Follow(noted) => {
                let gone = noted.partition_point(|position| *position < to);
                noted.drain(..gone);
                (gone, None)
            }
            Way::Scan(next) if *next < to => (0, Some(std::mem::replace(next, to))),
            Way::Scan(_) => (0, None),
        }
    }

    /// What is in hand from before this position can't be read again, and nobody will settle it. Returns how
    /// many events these are.
    pub(crate) fn lose_before(&mut self, begin: u64) -> usize {
        let gone: Vec<Position> =
            self.in_hand.iter().map(|(position, _)| Position(*position)).take_while(|at| at.0 < begin).collect();
        self.settle(&gone)
    }

    /// Whether it was settled before a restart.
    pub(crate) fn is_done(&self, position: u64) -> bool {
        let after = self.done.partition_point(|(from, _)| *from <= position);
        after.checked_sub(1).is_some_and(|at| position < self.done[at].1)
    }

    /// Ranges that were settled before a restart.
    pub(crate) fn done(&self) -> Vec<(u64, u64)> {
        self.done.iter().copied().collect()
    }

    /// The hook is done with these. Returns how many of them were unsettled until now.
    pub(crate) fn settle(&mut self, positions: &[Position]) -> usize {
        let before = self.unsettled.events;
        for Position(position) in positions {
            let Ok(index) = self.in_hand.binary_search_by_key(position, |(known, _)| *known) else { continue };
            if let Some(held) = self.in_hand[index].1.take() {
                self.unsettled.events -= 1;
                self.unsettled.bytes -= held.bytes;
            }
        }
        while self.in_hand.front().is_some_and(|(_, held)| held.is_none()) {
            self.in_hand.pop_front();
        }
        self.trim();
        before - self.unsettled.events
    }

    /// Events that were read and not settled.
    pub(crate) fn unsettled(&self) -> Sum {
        self.unsettled
    }

    /// When the oldest event in hand was accepted, in seconds since 1970.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.in_hand.front().and_then(|(_, held)| held.as_ref()).map(|held| held.accepted)
    }

    /// Events from the oldest unsettled to the newest read.
    pub(crate) fn window(&self) -> usize {
        self.in_hand.len()
    }

    /// The oldest position that is not done with. `None`: all are.
    pub(crate) fn prefix(&self) -> Option<u64> {
        let next = match &self.way {
            Way::Follow(noted) => noted.front().copied(),
            Way::Scan(next) => Some(*next),
        };
        self.in_hand.front().map(|(position, _)| *position).or(next)
    }

    /// What has to be remembered across a restart.
    pub(crate) fn row(&self) -> Row {
        let Some(prefix) = self.prefix() else { return Row::AtEnd };
        let mut done = Vec::new();
        let mut open = None;
        for (position, held) in &self.in_hand {
            match (held, open) {
                // Between two events that were read lies nothing that concerns the hook.
                (None, None) => open = Some(*position),
                (Some(_), Some(from)) => {
                    done.push((from, *position));
                    open = None;
                }
                _ => {}
            }
        }
        if let (Some(from), Some((last, _))) = (open, self.in_hand.back()) {
            done.push((from, last + 1));
        }
        done.extend(self.done.iter().filter(|(_, to)| *to > prefix));
        Row::Behind(Behind { prefix, done: union(done) })
    }

    /// Forgets what was settled before a restart and is now behind.
    fn trim(&mut self) {
        let prefix = self.prefix().unwrap_or(u64::MAX);
        while self.done.front().is_some_and(|(_, to)| *to <= prefix) {
            self.done.pop_front();
        }
    }

    /// What was in hand is to be read again, but for what stands before `begin`, where the log begins. Returns how
    /// many events are to be read again, and how many can't be.
    pub(crate) fn rewind(&mut self, begin: u64) -> (usize, usize) {
        let lost = self.unsettled_before(begin);
        let again = self.unsettled.events - lost;
        match self.row() {
            Row::Behind(behind) if self.unsettled.events > 0 => *self = Self::new(behind.raised(begin)),
            _ => self.in_hand.clear(),
        }
        (again, lost)
    }

    fn unsettled_before(&self, position: u64) -> usize {
        let before = self.in_hand.iter().take_while(|(at, _)| *at < position);
        before.filter(|(_, held)| held.is_some()).count()
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
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn held() -> Held {
        Held { memory: std::sync::Arc::new(()), bytes: 1, accepted: 0 }
    }

    #[test]
    fn a_hook_with_nothing_to_do_is_at_the_end() {
        let mut cursor = Cursor::new(Behind::at(7));
        assert_eq!(cursor.row(), Row::Behind(Behind::at(7)));
        cursor.follow();
        assert_eq!(cursor.row(), Row::AtEnd);
        cursor.note(9);
        assert_eq!(cursor.row(), Row::Behind(Behind::at(9)));
        cursor.take(9, held());
        assert_eq!(cursor.row(), Row::Behind(Behind::at(9)));
        assert_eq!(cursor.settle(&[Position(9), Position(9), Position(1)]), 1);
        assert_eq!(cursor.row(), Row::AtEnd);
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let mut cursor = Cursor::new(Behind::at(0));
        cursor.follow();
        for position in 0..10_000 {
            cursor.note(position * 2);
        }
        assert_eq!(cursor.scans_from(), Some(0));
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
                    .filter(|position| cursor.scans_from().is_some_and(|from| *position >= from) && !cursor.is_done(*position))
                    .collect();
                for position in &taken {
                    cursor.take(*position, held());
                }
                for pick in settled.iter().filter(|_| !taken.is_empty()) {
                    let position = *pick.get(&taken);
                    expected.remove(&position);
                    cursor.settle(&[Position(position)]);
                }
                let Row::Behind(behind) = cursor.row() else { panic!("it scans") };
                cursor = Cursor::new(behind);
                let left: BTreeSet<u64> = positions.iter().copied()
                    .filter(|position| cursor.scans_from().is_some_and(|from| *position >= from) && !cursor.is_done(*position))
                    .collect();
                prop_assert_eq!(&left, &expected);
            }
        }
    }
}
