//! Subscribers by the alternatives of one field.

use hooks_core::event_pattern::{Alternative, Field, Scalar, Test};

use super::super::Slot;
use super::super::slots::SlotSet;
use super::comparisons::{Comparisons, is_told_apart};

/// The subscribers that are found by one field.
#[derive(Debug, Default)]
pub(super) struct FieldIndex {
    is: Comparisons,
    /// Any value may match.
    exists: SlotSet,
    is_not: Option<Box<IsNot>>,
    missing: SlotSet,
}

/// Subscribers by what they deny.
#[derive(Debug, Default)]
struct IsNot {
    all: SlotSet,
    denied: Comparisons,
}

/// How good a field is to find a subscriber by: the less, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    /// Number of subscribers that are found together, more where nearly every event leads to them.
    pub(super) cost: usize,
    /// Between equals: equal values lead to fewer than parts of them, and these to fewer than ranges.
    rank: u8,
}

/// What leads nearly every event to a subscriber is as good as what leads to so many subscribers now and then.
const BROAD: usize = 8;

impl FieldIndex {
    pub(super) fn is_empty(&self) -> bool {
        let is_not = self.is_not.as_ref().is_none_or(|is_not| is_not.all.is_empty() && is_not.denied.is_empty());
        self.is.is_empty() && self.exists.is_empty() && self.missing.is_empty() && is_not
    }

    pub(super) fn may_be_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The load of a field in an index without any.
    pub(super) fn no_load(field: &Field) -> Load {
        Self::default().load(field)
    }

    pub(super) fn load(&self, field: &Field) -> Load {
        let broad = self.exists.len() + self.is_not.as_ref().map_or(0, |is_not| is_not.all.len());
        let of = |alternative: &Alternative| match alternative {
            Alternative::Is(test) if is_told_apart(test) => Load { cost: self.is.load(test) + 1, rank: rank(test) },
            Alternative::Is(test) => Load { cost: BROAD * (self.is.load(test) + 1), rank: 4 },
            Alternative::IsNot(_) | Alternative::Exists => Load { cost: BROAD * (broad + 1), rank: 4 },
            Alternative::IsMissing => Load { cost: BROAD * (self.missing.len() + 1), rank: 5 },
        };
        field.alternatives().iter().map(of).fold(Load::NONE, Load::and)
    }

    pub(super) fn insert(&mut self, alternative: &Alternative, slot: Slot) {
        match alternative {
            Alternative::Is(test) => self.is.insert(test, slot),
            Alternative::Exists => self.exists.insert(slot),
            Alternative::IsMissing => self.missing.insert(slot),
            Alternative::IsNot(tests) => {
                // What only may match denies nothing, and what is denied in one alternative may be right in another.
                let is_exact = !tests.iter().any(|test| matches!(test, Test::Wildcard(_)));
                let is_not = self.is_not.get_or_insert_default();
                if is_exact && !is_not.all.contains(slot) {
                    is_not.all.insert(slot);
                    tests.iter().for_each(|test| is_not.denied.insert(test, slot));
                } else {
                    self.exists.insert(slot);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, alternative: &Alternative, slot: Slot) {
        match alternative {
            Alternative::Is(test) => self.is.remove(test, slot),
            Alternative::Exists => self.exists.remove(slot),
            Alternative::IsMissing => self.missing.remove(slot),
            Alternative::IsNot(tests) => {
                self.exists.remove(slot);
                if let Some(is_not) = &mut self.is_not {
                    is_not.all.remove(slot);
                    tests.iter().for_each(|test| is_not.denied.remove(test, slot));
                }
            }
        }
    }

    /// Adds those that a value of the field may lead to to a list.
    pub(super) fn find(&self, value: &Scalar<'_>, into: &mut Vec<Slot>) {
        self.is.find(value, &mut |slots| slots.list(into));
        self.is.find_ranges(value, into);
        self.exists.list(into);
        if let Some(is_not) = &self.is_not {
            let mut denied = Vec::new();
            is_not.denied.find(value, &mut |slots| denied.push(slots));
            // Most often all of them deny the value, or few.
            if !denied.iter().any(|slots| slots.len() == is_not.all.len()) {
                is_not.all.list_without(&denied, into);
            }
        }
    }

    /// Adds those that an event without the field may lead to to a list.
    pub(super) fn find_missing(&self, into: &mut Vec<Slot>) {
        self.missing.list(into);
    }
}

impl Load {
    /// That of nothing.
    pub(super) const NONE: Self = Self { cost: 0, rank: 0 };

    /// That of what is found by one or the other.
    pub(super) fn and(self, other: Self) -> Self {
        let rank = self.rank.max(other.rank);
        Self { cost: self.cost.saturating_add(other.cost), rank }
    }
}

fn rank(test: &Test) -> u8 {
    match test {
        Test::Null | Test::Bool(_) => 3,
        Test::Number(_) | Test::Text(_) | Test::IgnoreCase(_) => 0,
        Test::Range(..) => 2,
        Test::Prefix(_)
        | Test::PrefixIgnoreCase(_)
        | Test::Suffix(_)
        | Test::SuffixIgnoreCase(_)
        | Test::Wildcard(_)
        | Test::Cidr(_) => 1,
    }
}
