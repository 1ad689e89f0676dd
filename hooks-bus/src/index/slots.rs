//! Sets of subscribers.

use super::Slot;

const BITS: usize = u64::BITS as usize;

/// A set of slots: a bit for each, in words of which only those with bits are there.
#[derive(Debug, Default)]
pub(super) struct SlotSet {
    /// By rising number.
    words: Vec<(u32, u64)>,
    len: usize,
}

impl SlotSet {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn find(&self, slot: Slot) -> (Result<usize, usize>, u32, u64) {
        let number = (slot / BITS) as u32;
        (self.words.binary_search_by_key(&number, |(number, _)| *number), number, 1 << (slot % BITS))
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let (at, _, bit) = self.find(slot);
        at.is_ok_and(|at| self.words[at].1 & bit != 0)
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        let (at, number, bit) = self.find(slot);
        match at {
            Ok(at) => {
                let word = &mut self.words[at].1;
                self.len += usize::from(*word & bit == 0);
                *word |= bit;
            }
            Err(at) => {
                // Most sets hold one slot: the first allocates no room for others.
                if self.words.is_empty() {
                    self.words.reserve_exact(1);
                }
                self.words.insert(at, (number, bit));
                self.len += 1;
            }
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let (Ok(at), _, bit) = self.find(slot) else { return };
        let word = &mut self.words[at].1;
        self.len -= usize::from(*word & bit != 0);
        *word &= !bit;
        if *word == 0 {
            self.words.remove(at);
        }
    }

    /// Adds its slots to a list.
    pub(super) fn list(&self, into: &mut Vec<Slot>) {
        self.list_without(&[], into);
    }

    /// Adds the slots that are in none of the others to a list. Takes a step for 64 slots, and one for each that is added.
    pub(super) fn list_without(&self, others: &[&Self], into: &mut Vec<Slot>) {
        let mut others: Vec<&[(u32, u64)]> = others.iter().map(|other| &*other.words).collect();
        for (number, bits) in &self.words {
            let mut bits = *bits;
            for other in &mut others {
                while let [(before, _), rest @ ..] = other
                    && before < number
                {
                    *other = rest;
                }
                if let [(same, theirs), rest @ ..] = other
                    && same == number
                {
                    bits &= !theirs;
                    *other = rest;
                }
            }
            while bits != 0 {
                into.push(*number as usize * BITS + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in prop::collection::vec((0..300_usize, any::<bool>()), 0..200), others in prop::collection::vec(prop::collection::btree_set(0..300_usize, 0..100), 0..3)) {
            let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
            for (slot, comes) in changes {
                if comes {
                    set.insert(slot);
                    model.insert(slot);
                } else {
                    set.remove(slot);
                    model.remove(&slot);
                }
                prop_assert_eq!(set.contains(slot), comes);
            }
            prop_assert_eq!((set.len(), set.is_empty(), set.words.is_empty()), (model.len(), model.is_empty(), model.is_empty()));
            let sets: Vec<SlotSet> = others.iter().map(|slots| {
                let mut set = SlotSet::default();
                slots.iter().for_each(|slot| set.insert(*slot));
                set
            }).collect();
            let mut listed = Vec::new();
            set.list_without(&sets.iter().collect::<Vec<_>>(), &mut listed);
            let left: Vec<_> = model.into_iter().filter(|slot| !others.iter().any(|other| other.contains(slot))).collect();
            prop_assert_eq!(listed, left);
        }
    }
}
