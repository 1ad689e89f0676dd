//! Routes a slice's events to the subscribers that match them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use hooks_core::event_pattern::Projection;
use hooks_core::{Envelope, Slice};

use crate::buffer::budget::Amount;
use crate::buffer::picks::{Picks, size_of_all};
use crate::index::{Index, Route, Slot};

/// A subscriber, and the events of the slice that it receives.
#[derive(Debug)]
pub(crate) struct Recipient<S> {
    pub(crate) slot: Slot,
    pub(crate) subscriber: Arc<S>,
    pub(crate) picks: Picks,
    pub(crate) size: Amount,
}

/// The recipients of a slice, by slot, and the version of the index that named them.
#[derive(Debug)]
pub(crate) struct Routing<S> {
    pub(crate) recipients: Vec<Recipient<S>>,
    pub(crate) version: u64,
}

impl<S> Routing<S> {
    pub(crate) fn new(index: &Index<Arc<S>>, slice: &Slice) -> Self {
        let events: &[Envelope] = slice;
        let mut selections = Selections { list: Vec::new(), by_slot: HashMap::new() };
        let mut looks = Looks::default();
        for (event_type, members) in grouped(events.iter().map(|event| Some(event.event_type()))) {
            let route = index.route(event_type);
            looks.add(&members, None, &route);
            selections.take(&route, members, events);
        }
        if index.has_tenants() {
            let keys = events.iter().map(|event| Some((event.tenant()?, event.event_type())));
            for ((tenant, event_type), members) in grouped(keys) {
                if let Some(route) = index.route_of_tenant(tenant, event_type) {
                    looks.add(&members, Some(tenant), &route);
                    selections.take(&route, members, events);
                }
            }
        }
        let led = if index.has_leads() { events } else { &[] };
        for (at, event) in (0..).zip(led) {
            for (slot, subscriber) in index.by_lead(event) {
                selections.extend(slot, &subscriber, [at]);
            }
        }
        looks.take(index, events, &mut selections);
        Self { recipients: selections.finish(slice), version: index.version() }
    }

    /// True if both send the same events to the same subscribers.
    pub(crate) fn has_recipients_of(&self, other: &Self) -> bool {
        let same =
            |(a, b): (&Recipient<S>, &Recipient<S>)| Arc::ptr_eq(&a.subscriber, &b.subscriber) && a.picks == b.picks;
        self.recipients.len() == other.recipients.len() && self.recipients.iter().zip(&other.recipients).all(same)
    }
}

/// Up to this many keys, comparing each is faster than hashing.
const FEW: usize = 8;

/// The events of each key; those without one are in no group.
fn grouped<K: Copy + Eq + Hash>(keys: impl Iterator<Item = Option<K>>) -> Vec<(K, Vec<u32>)> {
    let mut groups: Vec<(K, Vec<u32>)> = Vec::new();
    let mut others: HashMap<K, usize> = HashMap::new();
    for (at, key) in (0..).zip(keys) {
        let Some(key) = key else { continue };
        let next = groups.len();
        let few = &groups[..next.min(FEW)];
        let group = match few.iter().position(|(known, _)| *known == key) {
            Some(group) => group,
            None if next < FEW => next,
            None => *others.entry(key).or_insert(next),
        };
        if group == next {
            groups.push((key, Vec::new()));
        }
        groups[group].1.push(at);
    }
    groups
}

/// An event whose `data` patterns look at, and a route to them, of a tenant or of none.
type Look<'e, S> = (u32, Option<&'e str>, Arc<Route<Arc<S>>>);

/// The events whose `data` patterns look at.
struct Looks<'e, S>(Vec<Look<'e, S>>);

impl<S> Default for Looks<'_, S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'e, S> Looks<'e, S> {
    fn add(&mut self, events: &[u32], tenant: Option<&'e str>, route: &Arc<Route<Arc<S>>>) {
        if route.looks_at_data() {
            self.0.extend(events.iter().map(|at| (*at, tenant, route.clone())));
        }
    }

    /// Selects events for the subscribers whose patterns they match. Looks at each once.
    fn take(mut self, index: &Index<Arc<S>>, events: &'e [Envelope], selections: &mut Selections<S>) {
        self.0.sort_by_key(|(at, ..)| *at);
        let (mut found, mut seen) = (Projection::default(), None);
        for (at, tenant, route) in &self.0 {
            let event = &events[*at as usize];
            if seen.replace(*at) != Some(*at) {
                index.look_at(event, &mut found);
            }
            for (slot, subscriber) in index.by_data((*tenant, route), event, &found) {
                selections.extend(slot, subscriber, [*at]);
            }
        }
    }
}

/// The selections found so far.
struct Selections<S> {
    list: Vec<Selection<S>>,
    by_slot: HashMap<Slot, usize>,
}

/// The events selected for one subscriber.
struct Selection<S> {
    slot: Slot,
    subscriber: Arc<S>,
    /// The events of a route, shared by its subscribers,
    shared: Option<Arc<[u32]>>,
    /// or, with events of several routes, an own list in any order.
    own: Vec<u32>,
}

impl<S> Selections<S> {
    fn at(&mut self, slot: Slot, subscriber: &Arc<S>) -> &mut Selection<S> {
        let list = &mut self.list;
        let at = *self.by_slot.entry(slot).or_insert_with(|| {
            list.push(Selection { slot, subscriber: subscriber.clone(), shared: None, own: Vec::new() });
            list.len() - 1
        });
        &mut self.list[at]
    }

    /// Selects events for the subscribers of their route.
    fn take(&mut self, route: &Route<Arc<S>>, members: Vec<u32>, events: &[Envelope]) {
        let members: Arc<[u32]> = members.into();
        for (slot, subscriber) in &route.all {
            self.add(*slot, subscriber, &members);
        }
        for (slot, subscriber, filter) in &route.some {
            let matching = |at: &u32| filter.matches_rest(&events[*at as usize]);
            self.extend(*slot, subscriber, members.iter().copied().filter(matching));
        }
    }

    fn add(&mut self, slot: Slot, subscriber: &Arc<S>, members: &Arc<[u32]>) {
        let selection = self.at(slot, subscriber);
        if selection.shared.is_none() && selection.own.is_empty() {
            selection.shared = Some(members.clone());
        } else {
            selection.own().extend_from_slice(members);
        }
    }

    fn extend(&mut self, slot: Slot, subscriber: &Arc<S>, events: impl IntoIterator<Item = u32>) {
        let mut events = events.into_iter().peekable();
        if events.peek().is_some() {
            self.at(slot, subscriber).own().extend(events);
        }
    }

    fn finish(self, events: &Slice) -> Vec<Recipient<S>> {
        let (all, all_size) = (Picks::All(events.len() as u32), size_of_all(events));
        let recipient = |selection: Selection<S>| {
            let (slot, subscriber) = (selection.slot, selection.subscriber.clone());
            // Each event comes once.
            if selection.len() == events.len() {
                return Recipient { slot, subscriber, picks: all.clone(), size: all_size };
            }
            let picks = selection.picks();
            Recipient { slot, subscriber, size: picks.size(events), picks }
        };
        let mut recipients: Vec<_> = self.list.into_iter().map(recipient).collect();
        recipients.sort_unstable_by_key(|recipient| recipient.slot);
        recipients
    }
}

impl<S> Selection<S> {
    fn own(&mut self) -> &mut Vec<u32> {
        if let Some(shared) = self.shared.take() {
            self.own.extend_from_slice(&shared);
        }
        &mut self.own
    }

    fn len(&self) -> usize {
        self.shared.as_ref().map_or(self.own.len(), |shared| shared.len())
    }

    fn picks(mut self) -> Picks {
        Picks::Some(self.shared.take().unwrap_or_else(|| {
            self.own.sort_unstable();
            self.own.into()
        }))
    }
}
