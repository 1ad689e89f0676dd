//! The cache of routes.

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::Filter;

use super::Slot;

/// Most entries in the cache of routes: one for each subscriber of a type and for eight bytes of its name.
pub(super) const MAX_CACHED: usize = 1 << 18;

/// The subscribers of a type.
#[derive(Debug)]
pub(crate) struct Route<T> {
    /// Receive every event of the type.
    pub(crate) all: Vec<(Slot, T)>,
    /// Filter by more than the type.
    pub(crate) some: Vec<(Slot, T, Arc<Filter>)>,
    pub(super) data: DataRoute,
}

/// The subscribers of a type with patterns for `data`.
#[derive(Debug)]
pub(super) struct DataRoute {
    /// What is in an event's `data` may lead to subscribers.
    pub(super) is_indexed: bool,
    /// Those that the type leads to.
    pub(super) candidates: Vec<Slot>,
}

impl<T> Route<T> {
    /// Returns true if a pattern looks at the `data` of these events.
    pub(crate) fn looks_at_data(&self) -> bool {
        self.data.is_indexed || !self.data.candidates.is_empty()
    }
}

/// Routes by type: those of subscribers without a tenant, and those of each tenant.
#[derive(Debug)]
pub(super) struct RouteCache<T> {
    everybodys: Routes<T>,
    tenants: HashMap<Box<str>, Routes<T>>,
    pub(super) weight: usize,
}

type Routes<T> = HashMap<Box<str>, Arc<Route<T>>>;

impl<T> Default for RouteCache<T> {
    fn default() -> Self {
        Self { everybodys: HashMap::new(), tenants: HashMap::new(), weight: 0 }
    }
}

impl<T> RouteCache<T> {
    pub(super) fn get(&self, tenant: Option<&str>, event_type: &str) -> Option<&Arc<Route<T>>> {
        let routes = match tenant {
            None => &self.everybodys,
            Some(tenant) => self.tenants.get(tenant)?,
        };
        routes.get(event_type)
    }

    pub(super) fn insert(&mut self, tenant: Option<&str>, event_type: &str, route: Arc<Route<T>>) {
        let weight = weight(tenant, event_type, &route);
        if self.weight + weight > MAX_CACHED {
            *self = Self::default();
        }
        if weight > MAX_CACHED {
            return;
        }
        let routes = match tenant {
            None => &mut self.everybodys,
            Some(tenant) => self.tenants.entry(tenant.into()).or_default(),
        };
        // Another thread may have found the same meanwhile.
        if routes.insert(event_type.into(), route).is_none() {
            self.weight += weight;
        }
    }

    /// Forgets the routes of a tenant, or of none. Those of others are still true.
    pub(super) fn forget(&mut self, tenant: Option<&str>) {
        let routes = match tenant {
            None => std::mem::take(&mut self.everybodys),
            Some(name) => self.tenants.remove(name).unwrap_or_default(),
        };
        self.weight -= routes.iter().map(|(event_type, route)| weight(tenant, event_type, route)).sum::<usize>();
    }
}

fn weight<T>(tenant: Option<&str>, event_type: &str, route: &Route<T>) -> usize {
    let name = |name: &str| 8 + name.len() / 8;
    name(event_type) + tenant.map_or(0, name) + route.all.len() + route.some.len() + route.data.candidates.len()
}
