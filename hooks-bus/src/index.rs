//! Finds the subscribers of an event without testing the others.
//!
//! The index finds a subscriber through the literal beginnings of its patterns, by type or by subject,
//! whichever fewer others share when it subscribes. It caches the route of each type, so a known type
//! costs one look-up. A new type costs one look-up for each length of a literal beginning.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hooks_core::{Envelope, Filter, Pattern};
use parking_lot::Mutex;

/// Most entries in the cache of routes: one for each subscriber of a type and for eight bytes of its name.
const MAX_CACHED: usize = 1 << 18;

/// A subscriber's number in the index.
pub(crate) type Slot = usize;

/// An index of subscribers of type `T`.
#[derive(Debug)]
pub(crate) struct Index<T> {
    entries: Vec<Option<Entry<T>>>,
    free: Vec<Slot>,
    by_type: PatternMap,
    by_subject: PatternMap,
    cache: Mutex<RouteCache<T>>,
    version: u64,
}

#[derive(Debug)]
struct Entry<T> {
    filter: Arc<Filter>,
    value: T,
    /// True if the subject leads to it, false if the type does.
    by_subject: bool,
}

/// The subscribers of a type.
#[derive(Debug)]
pub(crate) struct Route<T> {
    /// Receive every event of the type.
    pub(crate) all: Vec<(Slot, T)>,
    /// Filter by subject, too.
    pub(crate) some: Vec<(Slot, T, Arc<Filter>)>,
}

#[derive(Debug)]
struct RouteCache<T> {
    routes: HashMap<Box<str>, Arc<Route<T>>>,
    weight: usize,
}

impl<T: Clone> Index<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_type: PatternMap::default(),
            by_subject: PatternMap::default(),
            cache: Mutex::new(RouteCache { routes: HashMap::new(), weight: 0 }),
            version: 0,
        }
    }

    /// Changes with every subscriber that comes, goes or changes its filter.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The slot that the next subscriber gets.
    pub(crate) fn next_slot(&self) -> Slot {
        self.free.last().copied().unwrap_or(self.entries.len())
    }

    pub(crate) fn insert(&mut self, filter: Arc<Filter>, value: T) -> Slot {
        let slot = self.next_slot();
        let subjects = &filter.subjects;
        let types = type_patterns(&filter);
        let by_subject = !subjects.is_empty() && self.by_subject.load(subjects) <= self.by_type.load(&types);
        if by_subject {
            self.by_subject.insert(subjects, slot);
        } else {
            self.by_type.insert(&types, slot);
        }
        let entry = Some(Entry { filter, value, by_subject });
        match self.free.pop() {
            Some(slot) => self.entries[slot] = entry,
            None => self.entries.push(entry),
        }
        self.changed();
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::take) else { return };
        if entry.by_subject {
            self.by_subject.remove(&entry.filter.subjects, slot);
        } else {
            self.by_type.remove(&type_patterns(&entry.filter), slot);
        }
        self.free.push(slot);
        self.changed();
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten().map(|entry| &entry.value)
    }

    /// The subscribers of a type, without those that [`by_subject`](Self::by_subject) finds.
    pub(crate) fn route(&self, event_type: &str) -> Arc<Route<T>> {
        if let Some(route) = self.cache.lock().routes.get(event_type) {
            return route.clone();
        }
        let route = Arc::new(self.find_route(event_type));
        self.cache.lock().insert(event_type, route.clone());
        route
    }

    /// True if [`by_subject`](Self::by_subject) may find a subscriber.
    pub(crate) fn has_subjects(&self) -> bool {
        !self.by_subject.is_empty()
    }

    /// The subscribers of an event that its subject leads to.
    pub(crate) fn by_subject(&self, event: &Envelope) -> Vec<(Slot, T)> {
        let Some(subject) = event.subject().filter(|_| !self.by_subject.is_empty()) else { return Vec::new() };
        let matching = self.by_subject.find(subject).into_iter().filter_map(|slot| self.entry(slot));
        matching
            .filter(|(_, entry)| entry.filter.matches(event))
            .map(|(slot, entry)| (slot, entry.value.clone()))
            .collect()
    }

    fn find_route(&self, event_type: &str) -> Route<T> {
        let mut route = Route { all: Vec::new(), some: Vec::new() };
        for (slot, entry) in self.by_type.find(event_type).into_iter().filter_map(|slot| self.entry(slot)) {
            if !entry.filter.matches_type(event_type) {
                continue;
            }
            if entry.filter.subjects.is_empty() && entry.filter.subjects_except.is_empty() {
                route.all.push((slot, entry.value.clone()));
            } else {
                route.some.push((slot, entry.value.clone(), entry.filter.clone()));
            }
        }
        route
    }

    fn entry(&self, slot: Slot) -> Option<(Slot, &Entry<T>)> {
        self.entries.get(slot)?.as_ref().map(|entry| (slot, entry))
    }

    fn changed(&mut self) {
        self.version += 1;
        let cache = self.cache.get_mut();
        cache.routes.clear();
        cache.weight = 0;
    }
}

impl<T> RouteCache<T> {
    fn insert(&mut self, event_type: &str, route: Arc<Route<T>>) {
        let weight = 8 + event_type.len() / 8 + route.all.len() + route.some.len();
        if self.weight + weight > MAX_CACHED {
            self.routes.clear();
            self.weight = 0;
        }
        if weight <= MAX_CACHED {
            self.weight += weight;
            self.routes.insert(event_type.into(), route);
        }
    }
}

/// The patterns that lead to a filter by type: without `types`, any type does.
fn type_patterns(filter: &Filter) -> Vec<Pattern> {
    if filter.types.is_empty() { vec![Pattern::new("*")] } else { filter.types.clone() }
}

/// Patterns by their literal beginning.
#[derive(Debug, Default)]
struct PatternMap {
    /// Literal patterns, by their whole text.
    literal: HashMap<Box<str>, Vec<Slot>>,
    globs: HashMap<Box<str>, Vec<(Pattern, Slot)>>,
    /// Number of glob beginnings of each length.
    lengths: BTreeMap<usize, usize>,
}

impl PatternMap {
    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.globs.is_empty()
    }

    /// The most subscribers that share the bucket of one of these patterns.
    fn load(&self, patterns: &[Pattern]) -> usize {
        let load = |pattern: &Pattern| match pattern.is_literal() {
            true => self.literal.get(pattern.as_str()).map_or(0, Vec::len),
            false => self.globs.get(pattern.literal_prefix()).map_or(0, Vec::len),
        };
        patterns.iter().map(load).max().unwrap_or(0)
    }

    fn insert(&mut self, patterns: &[Pattern], slot: Slot) {
        for pattern in patterns {
            if pattern.is_literal() {
                push(self.literal.entry(pattern.as_str().into()).or_default(), slot);
                continue;
            }
            let prefix = pattern.literal_prefix();
            let bucket = self.globs.entry(prefix.into()).or_insert_with(|| {
                *self.lengths.entry(prefix.len()).or_default() += 1;
                Vec::new()
            });
            push(bucket, (pattern.clone(), slot));
        }
    }

    fn remove(&mut self, patterns: &[Pattern], slot: Slot) {
        for pattern in patterns {
            if pattern.is_literal() {
                prune(&mut self.literal, pattern.as_str(), |known| *known != slot);
            } else if prune(&mut self.globs, pattern.literal_prefix(), |(_, known)| *known != slot) {
                let length = pattern.literal_prefix().len();
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        }
    }

    /// The slots with a matching pattern, each once, in order.
    fn find(&self, text: &str) -> Vec<Slot> {
        let mut found = self.literal.get(text).cloned().unwrap_or_default();
        for length in self.lengths.keys().take_while(|length| **length <= text.len()) {
            let bucket = text.get(..*length).and_then(|prefix| self.globs.get(prefix));
            let matching = bucket.into_iter().flatten().filter(|(pattern, _)| pattern.matches(text));
            found.extend(matching.map(|(_, slot)| *slot));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Most buckets hold one value: the first allocates no room for others.
fn push<V>(bucket: &mut Vec<V>, value: V) {
    if bucket.is_empty() {
        bucket.reserve_exact(1);
    }
    bucket.push(value);
}

/// Removes values from a bucket. True if that removed the bucket.
fn prune<V>(buckets: &mut HashMap<Box<str>, Vec<V>>, key: &str, keep: impl FnMut(&V) -> bool) -> bool {
    let Some(bucket) = buckets.get_mut(key) else { return false };
    bucket.retain(keep);
    bucket.is_empty() && buckets.remove(key).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(event_type: &str, subject: Option<&str>) -> Envelope {
        let subject = subject.map_or(String::new(), |subject| format!(r#","subject":"{subject}""#));
        Envelope::from_json(format!(r#"{{"type":"{event_type}"{subject}}}"#).as_bytes()).unwrap()
    }

    fn receivers(index: &Index<usize>, event: &Envelope) -> Vec<usize> {
        let route = index.route(event.event_type());
        let mut found: Vec<usize> = route.all.iter().map(|(_, value)| *value).collect();
        found.extend(
            route
                .some
                .iter()
                .filter(|(_, _, filter)| filter.matches_subject(event.subject()))
                .map(|(_, value, _)| *value),
        );
        found.extend(index.by_subject(event).into_iter().map(|(_, value)| value));
        found.sort_unstable();
        found
    }

    fn filter() -> impl Strategy<Value = Filter> {
        let patterns = || prop::collection::vec("[ab.*?]{1,4}", 0..3);
        (patterns(), patterns(), patterns(), patterns()).prop_map(|(types, types_except, subjects, subjects_except)| {
            Filter::types(types).except_types(types_except).subjects(subjects).except_subjects(subjects_except)
        })
    }

    proptest! {
        /// The index finds exactly the subscribers whose filters match, while subscribers come and go.
        #[test]
        fn finds_whom_asking_everybody_finds(
            steps in prop::collection::vec((filter(), any::<prop::sample::Index>(), any::<bool>()), 1..30),
            events in prop::collection::vec(("[ab.]{1,4}", prop::option::of("[ab.]{1,3}")), 1..20),
        ) {
            let mut index = Index::new();
            let mut known: Vec<(Slot, usize, Arc<Filter>)> = Vec::new();
            for (number, (filter, pick, remove)) in steps.into_iter().enumerate() {
                let filter = Arc::new(filter);
                known.push((index.insert(filter.clone(), number), number, filter));
                if remove {
                    let (slot, ..) = known.remove(pick.index(known.len()));
                    index.remove(slot);
                }
                for (event_type, subject) in &events {
                    let event = event(event_type, subject.as_deref());
                    let expected: Vec<usize> = known.iter().filter(|(_, _, filter)| filter.matches(&event)).map(|(_, value, _)| *value).collect();
                    prop_assert_eq!(receivers(&index, &event), expected);
                }
            }
        }
    }

    #[test]
    fn crowds_are_spread_over_types_and_subjects() {
        let mut index = Index::new();
        for tenant in 0..1_000 {
            index.insert(Arc::new(Filter::types(["invoice.*"]).subjects([format!("tenant-{tenant}")])), tenant);
            index.insert(Arc::new(Filter::types([format!("type-{tenant}")]).subjects(["shared"])), tenant);
        }
        assert_eq!(receivers(&index, &event("invoice.paid", Some("tenant-7"))), [7]);
        assert_eq!(receivers(&index, &event("type-8", Some("shared"))), [8]);
        let most = |map: &PatternMap| map.literal.values().map(Vec::len).chain(map.globs.values().map(Vec::len)).max();
        assert!(most(&index.by_type) <= Some(2) && most(&index.by_subject) <= Some(2));
    }

    #[test]
    fn the_route_cache_is_bounded() {
        let mut index = Index::new();
        index.insert(Arc::new(Filter::all()), 0);
        for number in 0..100_000 {
            index.route(&format!("type-{number}"));
        }
        assert!(index.cache.lock().weight <= MAX_CACHED);
    }
}
