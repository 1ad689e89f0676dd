//! Finds subscribers by an event's `data`.
//!
//! A subscriber is entered under all alternatives of one field, for each branch of its pattern: that which fewest others
//! are found by. Values of that field then lead to it. The rest of its pattern is compared with the event only then.

mod comparisons;
mod field;
mod ranges;

use std::collections::{BTreeSet, HashMap};

use hooks_core::event_pattern::{Field, PathId, Projection};
use hooks_core::{EventPattern, Filter, Pattern};

use super::patterns::PatternMap;
use super::slots::SlotSet;
use super::{Slot, type_patterns};
use field::{FieldIndex, Load};

/// So many subscribers an event may find, each as often as it is found, and twice as many as there are.
const MOST_FOUND: usize = 10_000;

/// The subscribers that `data` leads to.
#[derive(Debug, Default)]
pub(super) struct DataIndex {
    fields: HashMap<PathId, FieldIndex>,
    /// Fields that lead to subscribers where they are missing.
    missing: BTreeSet<PathId>,
    types: Types,
    all: SlotSet,
}

/// The fields by which a subscriber is found, as indexes of its pattern's.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) fields: Box<[u32]>,
    load: Load,
}

impl Choice {
    /// Returns true if this is better than being found with so many others.
    pub(super) fn is_better_than(&self, others: usize) -> bool {
        self.load.cost <= others.saturating_add(1)
    }
}

impl DataIndex {
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.types.is_empty()
    }

    /// Chooses the fields to find a pattern by. `ids` are the numbers of its paths.
    pub(super) fn choose(index: Option<&Self>, pattern: &EventPattern, ids: &[PathId]) -> Choice {
        let mut chosen = BTreeSet::new();
        let mut load = Load::NONE;
        for branch in pattern.branches() {
            let loads = branch.iter().filter_map(|field| Some((load_of(index, pattern, ids, *field)?, *field)));
            if let Some((best, field)) = loads.min()
                && chosen.insert(field)
            {
                load = load.and(best);
            }
        }
        Choice { fields: chosen.into_iter().collect(), load }
    }

    pub(super) fn insert(
        &mut self,
        filter: &Filter,
        pattern: &EventPattern,
        (ids, chosen): (&[PathId], &[u32]),
        slot: Slot,
    ) {
        self.types.insert(filter);
        self.all.insert(slot);
        for (id, field) in of(pattern, ids, chosen) {
            let own = self.fields.entry(id).or_default();
            field.alternatives().iter().for_each(|alternative| own.insert(alternative, slot));
            if own.may_be_missing() {
                self.missing.insert(id);
            }
        }
    }

    pub(super) fn remove(
        &mut self,
        filter: &Filter,
        pattern: &EventPattern,
        (ids, chosen): (&[PathId], &[u32]),
        slot: Slot,
    ) {
        self.types.remove(filter);
        self.all.remove(slot);
        for (id, field) in of(pattern, ids, chosen) {
            let Some(own) = self.fields.get_mut(&id) else { continue };
            field.alternatives().iter().for_each(|alternative| own.remove(alternative, slot));
            if !own.may_be_missing() {
                self.missing.remove(&id);
            }
            if own.is_empty() {
                self.fields.remove(&id);
            }
        }
    }

    /// Returns true if an event of this type may lead to a subscriber.
    pub(super) fn wants(&self, event_type: &str) -> bool {
        self.types.any_wants(event_type)
    }

    /// Adds those that an event may lead to to a list, some more than once.
    pub(super) fn find(&self, event: &Projection<'_>, into: &mut Vec<Slot>) {
        let before = into.len();
        let most = before + MOST_FOUND.max(2 * self.all.len());
        for (id, value) in event.values() {
            if let Some(field) = self.fields.get(&id) {
                field.find(&value, into);
            }
            if into.len() > most {
                // An event with many values finds the same again and again. All are compared with it then.
                into.truncate(before);
                self.all.list(into);
                return;
            }
        }
        if self.missing.is_empty() {
            return;
        }
        // What is missing in one element of an array may be there in another.
        let there: BTreeSet<PathId> = event.values().map(|(id, _)| id).filter(|_| !event.has_elements()).collect();
        for field in self.missing.difference(&there).filter_map(|id| self.fields.get(id)) {
            field.find_missing(into);
        }
    }
}

fn load_of(index: Option<&DataIndex>, pattern: &EventPattern, ids: &[PathId], number: u32) -> Option<Load> {
    let field = field(pattern, number)?;
    let known = index.and_then(|index| index.fields.get(ids.get(field.path())?));
    Some(known.map_or_else(|| FieldIndex::no_load(field), |known| known.load(field)))
}

fn field(pattern: &EventPattern, index: u32) -> Option<&Field> {
    pattern.fields().get(index as usize)
}

/// The chosen fields of a pattern, with their numbers.
fn of<'a>(
    pattern: &'a EventPattern,
    ids: &'a [PathId],
    chosen: &'a [u32],
) -> impl Iterator<Item = (PathId, &'a Field)> {
    chosen.iter().filter_map(|index| {
        let field = field(pattern, *index)?;
        Some((*ids.get(field.path())?, field))
    })
}

/// The types that subscribers want, each once.
#[derive(Debug, Default)]
struct Types {
    known: HashMap<TypeLists, Known>,
    by_number: HashMap<Slot, Filter>,
    patterns: PatternMap,
    next: Slot,
}

type TypeLists = (Vec<Pattern>, Vec<Pattern>);

#[derive(Debug)]
struct Known {
    number: Slot,
    /// Number of subscribers with these.
    uses: usize,
}

impl Types {
    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn insert(&mut self, filter: &Filter) {
        let lists = (filter.types.clone(), filter.rare.types_except.clone());
        if let Some(known) = self.known.get_mut(&lists) {
            known.uses += 1;
            return;
        }
        let number = self.next;
        self.next += 1;
        self.patterns.insert(&type_patterns(filter), number);
        self.by_number.insert(number, Filter::types(lists.0.clone()).except_types(lists.1.clone()));
        self.known.insert(lists, Known { number, uses: 1 });
    }

    fn remove(&mut self, filter: &Filter) {
        let lists = (filter.types.clone(), filter.rare.types_except.clone());
        let Some(known) = self.known.get_mut(&lists) else { return };
        known.uses -= 1;
        if known.uses == 0 {
            self.patterns.remove(&type_patterns(filter), known.number);
            self.by_number.remove(&known.number);
            self.known.remove(&lists);
        }
    }

    fn any_wants(&self, event_type: &str) -> bool {
        let numbers = self.patterns.find(event_type);
        numbers.iter().filter_map(|number| self.by_number.get(number)).any(|types| types.matches_type(event_type))
    }
}
