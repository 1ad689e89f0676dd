//! Subscribers by what they compare a field's value with.

use std::collections::{BTreeMap, HashMap};

use hooks_core::event_pattern::{Network, Number, Scalar, Test, address, lower};

use super::super::Slot;
use super::super::slots::SlotSet;
use super::ranges::Ranges;

/// Subscribers by comparisons.
#[derive(Debug, Default)]
pub(super) struct Comparisons {
    null: SlotSet,
    bools: [SlotSet; 2],
    numbers: HashMap<Number, SlotSet>,
    ranges: Ranges,
    texts: Texts,
    /// The same of texts in lower case.
    lowered: Texts,
    networks: HashMap<Network, SlotSet>,
    /// Number of networks of each kind: of which version, and of how many bits.
    network_kinds: BTreeMap<(bool, u8), usize>,
    /// Those that may match any text.
    others: SlotSet,
}

#[derive(Debug, Default)]
struct Texts {
    whole: HashMap<Box<[u8]>, SlotSet>,
    prefixes: Affixes,
    suffixes: Affixes,
}

/// Beginnings or ends of texts. Finding those of a text takes a look-up for each length that there is.
#[derive(Debug, Default)]
struct Affixes {
    slots: HashMap<Box<[u8]>, SlotSet>,
    /// Number of affixes of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Comparisons {
    /// Number of subscribers that are found with this one, and whether it says anything about the value.
    pub(super) fn load(&self, test: &Test) -> usize {
        let len = |set: Option<&SlotSet>| set.map_or(0, SlotSet::len);
        match test {
            Test::Null => self.null.len(),
            Test::Bool(value) => self.bools[usize::from(*value)].len(),
            Test::Number(number) => len(self.numbers.get(number)),
            Test::Range(from, to) => self.ranges.load(*from, *to),
            Test::Cidr(network) => len(self.networks.get(network)),
            test => match place(test) {
                Some((is_lowered, kind, text)) => len(self.texts(is_lowered).of(kind).get(text.as_bytes())),
                None => self.others.len(),
            },
        }
    }

    pub(super) fn insert(&mut self, test: &Test, slot: Slot) {
        match test {
            Test::Null => self.null.insert(slot),
            Test::Bool(value) => self.bools[usize::from(*value)].insert(slot),
            Test::Number(number) => self.numbers.entry(*number).or_default().insert(slot),
            Test::Range(from, to) => self.ranges.insert(*from, *to, slot),
            Test::Cidr(network) => {
                let kinds = &mut self.network_kinds;
                let set = self.networks.entry(*network).or_insert_with(|| {
                    *kinds.entry((network.is_v6(), network.bits())).or_default() += 1;
                    SlotSet::default()
                });
                set.insert(slot);
            }
            test => match place(test) {
                Some((true, kind, text)) => self.lowered.insert(kind, text.as_bytes(), slot),
                Some((false, kind, text)) => self.texts.insert(kind, text.as_bytes(), slot),
                None => self.others.insert(slot),
            },
        }
    }

    pub(super) fn remove(&mut self, test: &Test, slot: Slot) {
        match test {
            Test::Null => self.null.remove(slot),
            Test::Bool(value) => self.bools[usize::from(*value)].remove(slot),
            Test::Number(number) => {
                prune(&mut self.numbers, number, slot);
            }
            Test::Range(from, to) => self.ranges.remove(*from, *to, slot),
            Test::Cidr(network) => {
                if prune(&mut self.networks, network, slot) {
                    decrease(&mut self.network_kinds, &(network.is_v6(), network.bits()));
                }
            }
            test => match place(test) {
                Some((true, kind, text)) => self.lowered.remove(kind, text.as_bytes(), slot),
                Some((false, kind, text)) => self.texts.remove(kind, text.as_bytes(), slot),
                None => self.others.remove(slot),
            },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let sets = [&self.null, &self.bools[0], &self.bools[1], &self.others];
        sets.into_iter().all(SlotSet::is_empty)
            && self.numbers.is_empty()
            && self.ranges.is_empty()
            && self.networks.is_empty()
            && self.texts.is_empty()
            && self.lowered.is_empty()
    }

    /// Visits those that a value passes, and those that it may pass.
    pub(super) fn find<'a>(&'a self, value: &Scalar<'_>, visit: &mut dyn FnMut(&'a SlotSet)) {
        match value {
            Scalar::Null => visit(&self.null),
            Scalar::Bool(value) => visit(&self.bools[usize::from(*value)]),
            Scalar::Number(number) => self.numbers.get(number).into_iter().for_each(visit),
            Scalar::Text(text) => {
                self.texts.find(text, visit);
                if !self.lowered.is_empty() {
                    self.lowered.find(&lower(text), visit);
                }
                if !self.networks.is_empty()
                    && let Some(address) = address(text)
                {
                    let kinds = self.network_kinds.keys().filter(|(is_v6, _)| *is_v6 == address.is_ipv6());
                    let networks = kinds.filter_map(|(_, bits)| self.networks.get(&Network::of(address, *bits)?));
                    networks.for_each(&mut *visit);
                }
                visit(&self.others);
            }
        }
    }

    /// Adds those whose range has the value to a list.
    pub(super) fn find_ranges(&self, value: &Scalar<'_>, into: &mut Vec<Slot>) {
        if let Scalar::Number(number) = value {
            self.ranges.find(*number, into);
        }
    }

    fn texts(&self, is_lowered: bool) -> &Texts {
        if is_lowered { &self.lowered } else { &self.texts }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Whole,
    Prefix,
    Suffix,
}

/// The text by which a comparison is found, and whether it is in lower case. `None`: it may match any text.
fn place(test: &Test) -> Option<(bool, Kind, &str)> {
    Some(match test {
        Test::Text(text) => (false, Kind::Whole, text),
        Test::Prefix(text) => (false, Kind::Prefix, text),
        Test::Suffix(text) => (false, Kind::Suffix, text),
        Test::IgnoreCase(text) => (true, Kind::Whole, text),
        Test::PrefixIgnoreCase(text) => (true, Kind::Prefix, text),
        Test::SuffixIgnoreCase(text) => (true, Kind::Suffix, text),
        Test::Wildcard(wildcard) if !wildcard.prefix().is_empty() => (false, Kind::Prefix, wildcard.prefix()),
        Test::Wildcard(wildcard) if !wildcard.suffix().is_empty() => (false, Kind::Suffix, wildcard.suffix()),
        _ => return None,
    })
}

/// Returns true if a comparison tells values apart by an index, rather than one by one.
pub(super) fn is_told_apart(test: &Test) -> bool {
    !matches!(test, Test::Wildcard(_)) || place(test).is_some()
}

impl Texts {
    fn of(&self, kind: Kind) -> &HashMap<Box<[u8]>, SlotSet> {
        match kind {
            Kind::Whole => &self.whole,
            Kind::Prefix => &self.prefixes.slots,
            Kind::Suffix => &self.suffixes.slots,
        }
    }

    fn insert(&mut self, kind: Kind, text: &[u8], slot: Slot) {
        let affixes = match kind {
            Kind::Whole => return self.whole.entry(text.into()).or_default().insert(slot),
            Kind::Prefix => &mut self.prefixes,
            Kind::Suffix => &mut self.suffixes,
        };
        let set = affixes.slots.entry(text.into()).or_insert_with(|| {
            *affixes.lengths.entry(text.len()).or_default() += 1;
            SlotSet::default()
        });
        set.insert(slot);
    }

    fn remove(&mut self, kind: Kind, text: &[u8], slot: Slot) {
        let affixes = match kind {
            Kind::Whole => {
                prune(&mut self.whole, text, slot);
                return;
            }
            Kind::Prefix => &mut self.prefixes,
            Kind::Suffix => &mut self.suffixes,
        };
        if prune(&mut affixes.slots, text, slot) {
            decrease(&mut affixes.lengths, &text.len());
        }
    }

    fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.prefixes.slots.is_empty() && self.suffixes.slots.is_empty()
    }

    fn find<'a>(&'a self, text: &[u8], visit: &mut dyn FnMut(&'a SlotSet)) {
        if !self.whole.is_empty() {
            self.whole.get(text).into_iter().for_each(&mut *visit);
        }
        for length in self.prefixes.lengths.keys().take_while(|length| **length <= text.len()) {
            self.prefixes.slots.get(&text[..*length]).into_iter().for_each(&mut *visit);
        }
        for length in self.suffixes.lengths.keys().take_while(|length| **length <= text.len()) {
            self.suffixes.slots.get(&text[text.len() - length..]).into_iter().for_each(&mut *visit);
        }
    }
}

/// Removes a slot. True if that removed its set.
fn prune<K, Q>(sets: &mut HashMap<K, SlotSet>, key: &Q, slot: Slot) -> bool
where
    K: std::borrow::Borrow<Q> + Eq + std::hash::Hash,
    Q: Eq + std::hash::Hash + ?Sized,
{
    let Some(set) = sets.get_mut(key) else { return false };
    set.remove(slot);
    set.is_empty() && sets.remove(key).is_some()
}

/// Counts one less of something.
pub(super) fn decrease<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
