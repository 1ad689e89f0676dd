//! Events of a hook that were read and not settled.

use std::collections::VecDeque;

use hooks_core::Position;

use super::budget::Amount;
use super::picks::size_of_one;
use super::published::Run;

/// Read events in rising positions. Some are settled ahead of older unsettled ones.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    parts: VecDeque<Part>,
    /// Number of events from the oldest unsettled to the newest read.
    window: usize,
}

#[derive(Debug, Clone)]
struct Part {
    /// Events from the oldest unsettled one on. `None`: all are settled.
    run: Option<Run>,
    /// Settled events behind the run's first, rising.
    acked: Vec<u32>,
    /// The first and last counted event.
    first: Position,
    last: Position,
    /// Number of events in the window.
    counted: usize,
}

impl InFlight {
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// The run with the oldest unsettled event.
    pub(crate) fn first(&self) -> Option<&Run> {
        self.parts.front().and_then(|part| part.run.as_ref())
    }

    /// Adds events that were read.
    pub(crate) fn push(&mut self, run: Run) {
        let (counted, first, last) = (run.len(), run.first(), run.last());
        self.window += counted;
        if let Some(part) = self.parts.back_mut()
            && part.run.as_mut().is_some_and(|known| known.join(&run))
        {
            (part.counted, part.last) = (part.counted + counted, last);
        } else {
            self.parts.push_back(Part { run: Some(run), acked: Vec::new(), first, last, counted });
        }
    }

    /// Settles the unsettled events at `positions`. Returns their size, and the runs that are settled as a whole.
    pub(crate) fn settle(&mut self, positions: &[Position]) -> (Amount, Vec<Run>) {
        let (mut settled, mut done) = (Amount::default(), Vec::new());
        let (mut at, mut hint) = (0, 0);
        for position in positions {
            at = self.part_of(*position, at);
            let Some(part) = self.parts.get_mut(at) else { continue };
            let Some(run) = &mut part.run else { continue };
            let Some(index) = run.find(*position, hint.max(run.start())) else { continue };
            hint = index + 1;
            if settle(run, &mut part.acked, index) {
                settled.add(size_of_one(run.envelope(index)));
            }
            if run.is_empty() {
                done.extend(part.run.take());
            }
        }
        self.trim();
        (settled, done)
    }

    /// The first part that ends at or behind a position. Almost always the previous position's part or the next.
    fn part_of(&self, position: Position, before: usize) -> usize {
        let ends_before = |at: usize| self.parts.get(at).is_none_or(|part| part.last < position);
        let is_it = |at: &usize| !ends_before(*at) && (*at == 0 || ends_before(at - 1));
        [before, before + 1]
            .into_iter()
            .find(is_it)
            .unwrap_or_else(|| self.parts.partition_point(|part| part.last < position))
    }

    /// Removes events settled before the oldest unsettled one.
    fn trim(&mut self) {
        while let Some(front) = self.parts.front_mut() {
            let left = front.run.as_ref().map_or(0, Run::len);
            self.window -= front.counted - left;
            front.counted = left;
            if let Some(run) = &front.run {
                front.first = run.first();
                break;
            }
            self.parts.pop_front();
        }
    }

    /// Removes and returns the unsettled events, oldest first.
    pub(crate) fn take_all(&mut self) -> impl DoubleEndedIterator<Item = Run> {
        self.window = 0;
        std::mem::take(&mut self.parts).into_iter().filter_map(Part::into_unsettled)
    }

    /// The unsettled events, oldest first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> {
        self.parts.iter().cloned().filter_map(Part::into_unsettled)
    }
}

impl Part {
    fn into_unsettled(self) -> Option<Run> {
        let mut run = self.run?;
        if !self.acked.is_empty() {
            run.retain(|at, _, _| self.acked.binary_search(&at).is_err());
        }
        Some(run)
    }
}

#[cfg(feature = "durable")]
impl InFlight {
    /// The newest position in flight.
    pub(crate) fn last(&self) -> Option<Position> {
        self.parts.back().map(|part| part.last)
    }

    /// Alternating ranges of settled and unsettled events: the first position of each, and true for settled ones.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (Position, bool)> {
        self.parts.iter().flat_map(Part::ranges)
    }

    /// The unsettled positions before `end`.
    pub(crate) fn unsettled_before(&self, end: Position) -> Vec<Position> {
        let parts = self.parts.iter().take_while(|part| part.first < end);
        parts.flat_map(Part::unsettled).take_while(|position| *position < end).collect()
    }
}

#[cfg(feature = "durable")]
impl Part {
    fn ranges(&self) -> impl Iterator<Item = (Position, bool)> {
        let run = self.run.as_ref();
        let settled = run.is_none_or(|run| run.first() > self.first).then_some((self.first, true));
        let first = run.map(|run| (run.first(), false));
        let acked = run.into_iter().flat_map(|run| {
            self.acked.chunk_by(|a, b| a + 1 == *b).flat_map(|range| {
                let (from, to) = (range[0], range[range.len() - 1] + 1);
                let goes_on = run.holds(to).then(|| (run.position(to), false));
                [(run.position(from), true)].into_iter().chain(goes_on)
            })
        });
        settled.into_iter().chain(first).chain(acked)
    }

    fn unsettled(&self) -> impl Iterator<Item = Position> {
        let acked = &self.acked;
        let unsettled = |at: &u32| acked.binary_search(at).is_err();
        self.run.iter().flat_map(move |run| run.numbers().filter(unsettled).map(|at| run.position(at)))
    }
}

/// Settles one event of a run. False if it was settled before.
fn settle(run: &mut Run, acked: &mut Vec<u32>, index: u32) -> bool {
    if index > run.start() {
        let place = acked.binary_search(&index);
        return place.map_err(|place| acked.insert(place, index)).is_err();
    }
    let next = run.start() + 1;
    let behind = (next..).zip(acked.iter()).take_while(|(at, acked)| at == *acked).count();
    acked.drain(..behind);
    run.skip(1 + behind as u32);
    true
}

#[cfg(feature = "durable")]
#[cfg(test)]
mod tests {
    use super::super::published::Published;
    use super::*;
    use crate::buffer::picks::Picks;
    use hooks_core::SliceBuilder;
    use proptest::prelude::*;
    use std::sync::{Arc, Weak};
    use std::time::SystemTime;

    /// A slice, and a handle that tells whether its memory is still reserved.
    fn call(first: u64, events: usize) -> (Arc<Published>, Weak<()>) {
        let mut slice = SliceBuilder::new("/test");
        (0..events).for_each(|_| slice.push_json(br#"{"type":"a"}"#).unwrap());
        let reservation = Arc::new(());
        let weak = Arc::downgrade(&reservation);
        (Published::new(first, slice.finish(), SystemTime::UNIX_EPOCH, reservation), weak)
    }

    proptest! {
        /// Against a plain list of positions.
        #[test]
        fn it_is_its_model(
            calls in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..12), 1..6),
            cuts in prop::collection::vec(1usize..5, 1..8),
            settles in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 1..8), 0..12),
        ) {
            let mut in_flight = InFlight::default();
            let (mut model, mut reservations): (Vec<(Position, bool)>, Vec<_>) = Default::default();
            let (mut next, mut cuts) = (0, cuts.into_iter().cycle());
            for picked in calls {
                let (published, reservation) = call(next, picked.len());
                let picks: Vec<u32> = (0..).zip(&picked).filter(|(_, is)| **is).map(|(at, _)| at).collect();
                model.extend(picks.iter().map(|at| (Position::new(next + u64::from(*at)), false)));
                reservations.push((next..next + picked.len() as u64, reservation));
                next += picked.len() as u64;
                let all = picks.len() == picked.len();
                let picks = if all { Picks::All(picks.len() as u32) } else { Picks::Some(picks.into()) };
                let mut run = Run::new(&published, picks);
                drop(published);
                while !run.is_empty() {
                    in_flight.push(run.split(cuts.next().unwrap()));
                }
            }
            for settle in settles {
                let positions: Vec<Position> = settle.iter().map(|at| Position::new(at.index(next as usize + 1) as u64)).collect();
                let mut fresh = 0;
                for position in &positions {
                    if let Some((_, settled)) = model.iter_mut().find(|(known, settled)| known == position && !settled) {
                        *settled = true;
                        fresh += 1;
                    }
                }
                let (settled, done) = in_flight.settle(&positions);
                drop(done);
                prop_assert_eq!(settled.events, fresh);
                let first = model.iter().position(|(_, settled)| !settled).unwrap_or(model.len());
                prop_assert_eq!(in_flight.window(), model.len() - first);
                prop_assert_eq!(in_flight.is_empty(), first == model.len());
                for (range, reservation) in &reservations {
                    let unsettled = model.iter().any(|(at, settled)| range.contains(&at.get()) && !settled);
                    prop_assert_eq!(reservation.strong_count() > 0, unsettled, "claimed for as long as something of it is held");
                }
            }
            let unsettled: Vec<Position> = model.iter().filter(|(_, settled)| !settled).map(|(at, _)| *at).collect();
            for end in 0..next {
                let before: Vec<Position> = unsettled.iter().copied().filter(|at| at.get() < end).collect();
                prop_assert_eq!(in_flight.unsettled_before(Position::new(end)), before);
            }
            let ranges: Vec<(Position, bool)> = in_flight.ranges().collect();
            prop_assert!(ranges.is_sorted_by_key(|(at, _)| *at));
            for (at, settled) in model.iter().skip_while(|(_, settled)| *settled) {
                let (_, is) = ranges[ranges.partition_point(|(from, _)| from <= at) - 1];
                prop_assert_eq!(is, *settled);
            }
            prop_assert_eq!(ranges.first().map(|(from, _)| *from), unsettled.first().copied());
            let left: Vec<Position> = in_flight.take_all().flat_map(|run| run.deliveries().map(|one| one.position).collect::<Vec<_>>()).collect();
            prop_assert_eq!(left, unsettled);
            prop_assert_eq!(in_flight.window(), 0);
        }
    }
}
