//! Subscribers by ranges of numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hooks_core::event_pattern::Number;

use super::super::Slot;
use super::comparisons::decrease;

/// Finds the ranges that a number is in, in a step for each of them and for each level in use, of 64.
///
/// It is a tree of the numbers' bits. A range is at the node in its middle: the first number in it that has no bits
/// behind those in which its ends differ. The ranges of a node are sorted by their ends, which tells those that a number
/// is in.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// By their middles.
    nodes: HashMap<u64, Node>,
    /// Number of nodes of each level: the number of zeros that their middles end with.
    levels: BTreeMap<u32, usize>,
}

#[derive(Debug, Default)]
struct Node {
    by_start: BTreeSet<(u64, Slot)>,
    by_end: BTreeSet<(u64, Slot)>,
}

/// The level of a range's node, and its middle. `None`: no number is in it.
fn middle(from: Number, to: Number) -> Option<(u32, u64)> {
    let (from, to) = (from.rank(), to.rank());
    let level = match from ^ to {
        0 => from.trailing_zeros(),
        differing => differing.ilog2(),
    };
    let level = level.min(63);
    (from <= to).then_some((level, to >> level << level))
}

impl Ranges {
    /// Number of ranges around the same middle.
    pub(super) fn load(&self, from: Number, to: Number) -> usize {
        middle(from, to).and_then(|(_, middle)| self.nodes.get(&middle)).map_or(0, |node| node.by_start.len())
    }

    pub(super) fn insert(&mut self, from: Number, to: Number, slot: Slot) {
        let Some((level, middle)) = middle(from, to) else { return };
        let node = self.nodes.entry(middle).or_insert_with(|| {
            *self.levels.entry(level).or_default() += 1;
            Node::default()
        });
        node.by_start.insert((from.rank(), slot));
        node.by_end.insert((to.rank(), slot));
    }

    pub(super) fn remove(&mut self, from: Number, to: Number, slot: Slot) {
        let Some((level, middle)) = middle(from, to) else { return };
        let Some(node) = self.nodes.get_mut(&middle) else { return };
        node.by_start.remove(&(from.rank(), slot));
        node.by_end.remove(&(to.rank(), slot));
        if node.by_start.is_empty() && node.by_end.is_empty() {
            self.nodes.remove(&middle);
            decrease(&mut self.levels, &level);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds the subscribers whose range has this number to a list.
    pub(super) fn find(&self, number: Number, into: &mut Vec<Slot>) {
        let number = number.rank();
        for level in self.levels.keys() {
            let middle = (number >> level | 1) << level;
            let Some(node) = self.nodes.get(&middle) else { continue };
            if number <= middle {
                into.extend(node.by_start.range(..=(number, Slot::MAX)).map(|(_, slot)| slot));
            } else {
                into.extend(node.by_end.range((number, 0)..).map(|(_, slot)| slot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_the_ranges_that_a_number_is_in(
            ranges in prop::collection::vec((-20..20_i32, -20..20_i32), 0..30),
            more in prop::collection::vec((any::<f64>(), any::<f64>()), 0..5),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
            numbers in prop::collection::vec(-20..20_i32, 1..10),
        ) {
            let more = more.into_iter().filter(|(from, to)| !from.is_nan() && !to.is_nan());
            let ranges = ranges.into_iter().map(|(from, to)| (f64::from(from) / 2.0, f64::from(to) / 2.0)).chain(more);
            let mut known: Vec<_> = ranges.map(|(from, to)| (Number::new(from), Number::new(to))).enumerate().collect();
            let mut map = Ranges::default();
            known.iter().for_each(|(slot, (from, to))| map.insert(*from, *to, *slot));
            for index in gone.iter().filter(|_| !known.is_empty()).collect::<Vec<_>>() {
                if known.is_empty() { break; }
                let (slot, (from, to)) = known.remove(index.index(known.len()));
                map.remove(from, to, slot);
            }
            let ends = known.iter().flat_map(|(_, (from, to))| [*from, *to]).collect::<Vec<_>>();
            for number in numbers.iter().map(|number| Number::new(f64::from(*number) / 2.0)).chain(ends) {
                let mut found = Vec::new();
                map.find(number, &mut found);
                found.sort_unstable();
                let expected: Vec<_> = known.iter().filter(|(_, (from, to))| *from <= number && number <= *to).map(|(slot, _)| *slot).collect();
                prop_assert_eq!(found, expected);
            }
            known.iter().for_each(|(slot, (from, to))| map.remove(*from, *to, *slot));
            prop_assert!(map.is_empty() && map.levels.is_empty());
        }
    }
}
