//! Finds the subscribers of an event without testing the others.
//!
//! Those of a tenant are in a group of their own, which only that tenant's events lead to. Within a group, the index
//! finds a subscriber through the literal beginnings of its patterns, by type or by another attribute, whichever fewest
//! others share when it subscribes. It caches the route of each type, so a known type costs one look-up. A new type costs one
//! look-up for each length of a literal beginning.

mod lead;
mod patterns;
mod routes;

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::{Envelope, Filter, Pattern, TenantId};
use parking_lot::Mutex;

use lead::{Lead, Leads};
use patterns::PatternMap;
pub(crate) use routes::Route;
use routes::RouteCache;

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
    cache: Mutex<RouteCache<T>>,
    version: u64,
}

#[derive(Debug)]
struct Entry<T> {
    filter: Arc<Filter>,
    value: T,
    /// The attribute that leads to it; `None`: the type.
    lead: Option<Lead>,
}

/// The subscribers of one tenant, or of none.
#[derive(Debug, Default)]
struct Group {
    by_type: PatternMap,
    /// Most groups need none.
    leads: Option<Box<Leads>>,
}

impl<T: Clone> Index<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            everybodys: Group::default(),
            tenants: HashMap::new(),
            by_lead: 0,
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
        let group = match tenant_of(&filter) {
            Some(tenant) => self.tenants.entry(tenant.into()).or_default(),
            None => &mut self.everybodys,
        };
        let lead = group.insert(&filter, slot);
        self.by_lead += usize::from(lead.is_some());
        self.changed(&filter);
        let entry = Some(Entry { filter, value, lead });
        match self.free.pop() {
            Some(slot) => self.entries[slot] = entry,
            None => self.entries.push(entry),
        }
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let Some(Entry { filter, lead, .. }) = self.entries.get_mut(slot).and_then(Option::take) else { return };
        match tenant_of(&filter) {
            None => self.everybodys.remove(&filter, lead.as_ref(), slot),
            Some(tenant) => {
                if let Some(group) = self.tenants.get_mut(tenant) {
                    group.remove(&filter, lead.as_ref(), slot);
                    if group.is_empty() {
                        self.tenants.remove(tenant);
                    }
                }
            }
        }
        self.by_lead -= usize::from(lead.is_some());
        self.free.push(slot);
        self.changed(&filter);
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten().map(|entry| &entry.value)
    }

    /// The subscribers of a type, without those of tenants, and those that [`by_lead`](Self::by_lead) finds.
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

    fn find_route(&self, group: &Group, event_type: &str) -> Route<T> {
        let mut route = Route { all: Vec::new(), some: Vec::new() };
        for (slot, entry) in group.by_type.find(event_type).into_iter().filter_map(|slot| self.entry(slot)) {
            if !entry.filter.matches_type(event_type) {
                continue;
            }
            if entry.filter.has_rest() {
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
    /// Returns the attribute that leads to the subscriber.
    fn insert(&mut self, filter: &Filter, slot: Slot) -> Option<Lead> {
        let types = type_patterns(filter);
        let lead = Lead::best(filter, self.leads.as_deref(), self.by_type.load(&types));
        match &lead {
            Some(lead) => self.leads.get_or_insert_default().insert(lead, lead.patterns(filter), slot),
            None => self.by_type.insert(&types, slot),
        }
        lead
    }

    fn remove(&mut self, filter: &Filter, lead: Option<&Lead>, slot: Slot) {
        let Some(lead) = lead else { return self.by_type.remove(&type_patterns(filter), slot) };
        if let Some(leads) = &mut self.leads {
            leads.remove(lead, lead.patterns(filter), slot);
            if leads.is_empty() {
                self.leads = None;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.by_type.is_empty() && self.leads.is_none()
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
