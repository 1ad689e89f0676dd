//! Finds the subscribers of an event without testing the others.
//!
//! Those of a tenant are in a group of their own, which only that tenant's events lead to. Within a group, the index
//! finds a subscriber through the literal beginnings of its patterns, by type or by another attribute, or through its pattern
//! for `data`, whichever fewest others share when it subscribes. It caches the route of each type, so a known type costs one
//! look-up. A new type costs one look-up for each length of a literal beginning.
//!
//! An event's `data` is looked at if its type leads to a subscriber with a pattern for it: once, for the fields that any of
//! these patterns names.

mod data;
mod lead;
mod patterns;
mod routes;
mod slots;

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::event_pattern::{PathId, Paths, Projection};
use hooks_core::{Envelope, Filter, Pattern, TenantId};
use parking_lot::Mutex;

use data::DataIndex;
use lead::{Lead, Leads};
use patterns::PatternMap;
pub(crate) use routes::Route;
use routes::{DataRoute, RouteCache};

/// A subscriber's number in the index.
pub(crate) type Slot = usize;

/// An index of subscribers of type `T`.
#[derive(Debug)]
pub(crate) struct Index<T> {
    entries: Vec<Option<Entry<T>>>,
    free: Vec<Slot>,
    /// Those without a tenant: they receive everybody's events.
    everybodys: Group,
    tenants: HashMap<Arc<str>, Box<Group>>,
    /// Number of subscribers that another attribute than the type leads to.
    by_lead: usize,
    /// The fields that any pattern for `data` names.
    paths: Paths,
    cache: Mutex<RouteCache<T>>,
    version: u64,
}

#[derive(Debug)]
struct Entry<T> {
    filter: Arc<Filter>,
    value: T,
    /// The attribute that leads to it; `None`: the type, or its data.
    lead: Option<Lead>,
    /// Of one with a pattern for `data`.
    data: Option<Box<DataEntry>>,
}

#[derive(Debug)]
struct DataEntry {
    /// The numbers of its pattern's paths.
    ids: Box<[PathId]>,
    /// The fields that lead to it, if `data` does.
    chosen: Box<[u32]>,
}

/// The subscribers of one tenant, or of none.
#[derive(Debug, Default)]
struct Group {
    by_type: PatternMap,
    /// Most groups need none.
    leads: Option<Box<Leads>>,
    by_data: Option<Box<DataIndex>>,
}

impl<T: Clone> Index<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            everybodys: Group::default(),
            tenants: HashMap::new(),
            by_lead: 0,
            paths: Paths::default(),
            cache: Mutex::default(),
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
        let ids = filter.rare.data.as_ref().map(|pattern| self.paths.add(pattern));
        let group = match tenant_of(&filter) {
            Some(tenant) => self.tenants.entry(tenant.into()).or_default(),
            None => &mut self.everybodys,
        };
        let (lead, data) = group.insert(&filter, ids, slot);
        self.by_lead += usize::from(lead.is_some());
        self.changed(&filter);
        let entry = Some(Entry { filter, value, lead, data });
        match self.free.pop() {
            Some(slot) => self.entries[slot] = entry,
            None => self.entries.push(entry),
        }
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let Some(entry) = self.entries.get_mut(slot).and_then(Option::take) else { return };
        let filter = &entry.filter;
        match tenant_of(filter) {
            None => self.everybodys.remove(&entry, slot),
            Some(tenant) => {
                if let Some(group) = self.tenants.get_mut(tenant) {
                    group.remove(&entry, slot);
                    if group.is_empty() {
                        self.tenants.remove(tenant);
                    }
                }
            }
        }
        if let (Some(pattern), Some(data)) = (&filter.rare.data, &entry.data) {
            self.paths.remove(pattern, &data.ids);
        }
        self.by_lead -= usize::from(entry.lead.is_some());
        self.free.push(slot);
        self.changed(filter);
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten().map(|entry| &entry.value)
    }

    /// The subscribers of a type, without those of tenants, and those that [`by_lead`](Self::by_lead) or
    /// [`by_data`](Self::by_data) finds.
    pub(crate) fn route(&self, event_type: &str) -> Arc<Route<T>> {
        self.route_in(&self.everybodys, None, event_type)
    }

    /// True if a tenant has subscribers.
    pub(crate) fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// A tenant's subscribers of a type, without those that [`by_lead`](Self::by_lead) finds. `None`: it has no
    /// subscribers at all.
    pub(crate) fn route_of_tenant(&self, tenant: &str, event_type: &str) -> Option<Arc<Route<T>>> {
        self.tenants.get(tenant).map(|group| self.route_in(group, Some(tenant), event_type))
    }

    fn route_in(&self, group: &Group, tenant: Option<&str>, event_type: &str) -> Arc<Route<T>> {
        if let Some(route) = self.cache.lock().get(tenant, event_type) {
            return route.clone();
        }
        let route = Arc::new(self.find_route(group, event_type));
        self.cache.lock().insert(tenant, event_type, route.clone());
        route
    }

    /// True if [`by_lead`](Self::by_lead) may find a subscriber.
    pub(crate) fn has_leads(&self) -> bool {
        self.by_lead > 0
    }

    /// The subscribers of an event that another attribute than its type leads to.
    pub(crate) fn by_lead(&self, event: &Envelope) -> Vec<(Slot, T)> {
        let tenants = event.tenant().and_then(|tenant| self.tenants.get(tenant)).map(|group| &**group);
        let groups = [Some(&self.everybodys), tenants].into_iter().flatten();
        let found = groups.filter_map(|group| group.leads.as_deref()).flat_map(|leads| leads.find(event));
        found
            .filter_map(|slot| self.entry(slot))
            .filter(|(_, entry)| entry.filter.matches(event))
            .map(|(slot, entry)| (slot, entry.value.clone()))
            .collect()
    }

    /// Looks at an event's `data`: finds the fields in it that any pattern names.
    pub(crate) fn look_at<'e>(&self, event: &'e Envelope, found: &mut Projection<'e>) {
        found.read(&self.paths, event.data());
    }

    /// The subscribers with patterns for `data` that receive an event of this route, of a tenant or of none. `found` is what
    /// [`look_at`](Self::look_at) has found.
    pub(crate) fn by_data(
        &self,
        (tenant, route): (Option<&str>, &Route<T>),
        event: &Envelope,
        found: &Projection<'_>,
    ) -> impl Iterator<Item = (Slot, &T)> {
        let mut slots = route.data.candidates.clone();
        if route.data.is_indexed {
            let group = tenant.map_or(Some(&self.everybodys), |tenant| self.tenants.get(tenant).map(|group| &**group));
            let index = group.and_then(|group| group.by_data.as_ref());
            index.iter().for_each(|index| index.find(found, &mut slots));
        }
        slots.sort_unstable();
        slots.dedup();
        let receives = |entry: &Entry<T>| {
            let (Some(pattern), Some(data)) = (&entry.filter.rare.data, &entry.data) else { return false };
            entry.filter.matches_but_data(event) && pattern.matches_in(&data.ids, found)
        };
        let found = slots.into_iter().filter_map(|slot| self.entry(slot));
        found.filter(move |(_, entry)| receives(entry)).map(|(slot, entry)| (slot, &entry.value))
    }

    fn find_route(&self, group: &Group, event_type: &str) -> Route<T> {
        let is_indexed = group.by_data.as_ref().is_some_and(|index| index.wants(event_type));
        let data = DataRoute { is_indexed, candidates: Vec::new() };
        let mut route = Route { all: Vec::new(), some: Vec::new(), data };
        for (slot, entry) in group.by_type.find(event_type).into_iter().filter_map(|slot| self.entry(slot)) {
            if !entry.filter.matches_type(event_type) {
                continue;
            }
            if entry.data.is_some() {
                route.data.candidates.push(slot);
            } else if entry.filter.has_rest() {
                route.some.push((slot, entry.value.clone(), entry.filter.clone()));
            } else {
                route.all.push((slot, entry.value.clone()));
            }
        }
        route
    }

    fn entry(&self, slot: Slot) -> Option<(Slot, &Entry<T>)> {
        self.entries.get(slot)?.as_ref().map(|entry| (slot, entry))
    }

    fn changed(&mut self, filter: &Filter) {
        self.version += 1;
        self.cache.get_mut().forget(tenant_of(filter));
    }
}

impl Group {
    /// Enters a subscriber. `ids` are the numbers of the paths of its pattern for `data`, if it has one. Returns the attribute
    /// that leads to it, and what is to be known of its pattern.
    fn insert(
        &mut self,
        filter: &Filter,
        ids: Option<Box<[PathId]>>,
        slot: Slot,
    ) -> (Option<Lead>, Option<Box<DataEntry>>) {
        let types = type_patterns(filter);
        // Every event has a type, but not every event has to be compared with a pattern.
        let is_any = filter.types.is_empty() && ids.is_some();
        let of_type = if is_any { usize::MAX } else { self.by_type.load(&types) };
        let (others, lead) = match Lead::best(filter, self.leads.as_deref(), of_type) {
            Some((others, lead)) => (others, Some(lead)),
            None => (of_type, None),
        };
        let mut data = ids.map(|ids| Box::new(DataEntry { ids, chosen: Box::default() }));
        if let Some(entry) = &mut data
            && self.insert_by_data(filter, entry, others, slot)
        {
            return (None, data);
        }
        match &lead {
            Some(lead) => self.leads.get_or_insert_default().insert(lead, lead.patterns(filter), slot),
            None => self.by_type.insert(&types, slot),
        }
        (lead, data)
    }

    /// Enters a subscriber by its pattern for `data`, if that is better than being found with so many others.
    fn insert_by_data(&mut self, filter: &Filter, entry: &mut DataEntry, others: usize, slot: Slot) -> bool {
        let Some(pattern) = &filter.rare.data else { return false };
        let choice = DataIndex::choose(self.by_data.as_deref(), pattern, &entry.ids);
        let is_better = choice.is_better_than(others);
        if is_better {
            entry.chosen = choice.fields;
            let index = self.by_data.get_or_insert_default();
            index.insert(filter, pattern, (&entry.ids, &entry.chosen), slot);
        }
        is_better
    }

    fn remove<T>(&mut self, entry: &Entry<T>, slot: Slot) {
        let filter = &entry.filter;
        if let (Some(pattern), Some(data)) = (&filter.rare.data, &entry.data)
            && !data.chosen.is_empty()
        {
            if let Some(index) = &mut self.by_data {
                index.remove(filter, pattern, (&data.ids, &data.chosen), slot);
            }
            self.by_data.take_if(|index| index.is_empty());
            return;
        }
        let Some(lead) = &entry.lead else { return self.by_type.remove(&type_patterns(filter), slot) };
        if let Some(leads) = &mut self.leads {
            leads.remove(lead, lead.patterns(filter), slot);
            if leads.is_empty() {
                self.leads = None;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.by_type.is_empty() && self.leads.is_none() && self.by_data.is_none()
    }
}

fn tenant_of(filter: &Filter) -> Option<&str> {
    filter.tenant.as_ref().map(TenantId::as_str)
}

/// The patterns that lead to a filter by type: without `types`, any type does.
fn type_patterns(filter: &Filter) -> Vec<Pattern> {
    if filter.types.is_empty() { vec![Pattern::new("*")] } else { filter.types.clone() }
}

#[cfg(test)]
mod tests;
