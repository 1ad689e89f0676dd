//! Which subscriber receives which events of a slice.

use std::collections::HashMap;
use std::sync::Arc;

use hooks_core::Envelope;

use super::room::Amount;
use super::subscriber::size_of_one;
use crate::index::{Index, Route, Slot};

/// One subscriber and the events of the slice that it receives.
#[derive(Debug)]
pub(crate) struct Target<S> {
    pub(crate) slot: Slot,
    pub(crate) subscriber: Arc<S>,
    /// Rising indices into the slice.
    pub(crate) events: Vec<u32>,
    pub(crate) size: Amount,
}

/// All targets of a slice, by slot, and the version of the index they were found in.
#[derive(Debug)]
pub(crate) struct Plan<S> {
    pub(crate) targets: Vec<Target<S>>,
    pub(crate) version: u64,
}

impl<S> Plan<S> {
    pub(crate) fn new(index: &Index<Arc<S>>, events: &[Envelope]) -> Self {
        let mut targets = Targets { list: Vec::new(), by_slot: HashMap::new() };
        for (route, members) in by_route(index, events) {
            for (slot, subscriber) in &route.all {
                targets.at(*slot, subscriber).events.extend_from_slice(&members);
            }
            for (slot, subscriber, filter) in &route.some {
                let matching = members.iter().filter(|at| filter.matches_subject(events[**at as usize].subject()));
                targets.extend(*slot, subscriber, matching.copied());
            }
        }
        let by_subject = if index.has_subjects() { events } else { &[] };
        for (at, event) in (0..).zip(by_subject) {
            for (slot, subscriber) in index.by_subject(event) {
                targets.extend(slot, &subscriber, [at]);
            }
        }
        Self { targets: targets.finish(events), version: index.version() }
    }

    /// Whether the same events go to the same subscribers.
    pub(crate) fn has_targets_of(&self, other: &Self) -> bool {
        let same = |(a, b): (&Target<S>, &Target<S>)| Arc::ptr_eq(&a.subscriber, &b.subscriber) && a.events == b.events;
        self.targets.len() == other.targets.len() && self.targets.iter().zip(&other.targets).all(same)
    }
}

/// A route and the events that take it.
type Group<S> = (Arc<Route<Arc<S>>>, Vec<u32>);

/// So many types are found faster by looking at each than by hashing.
const FEW: usize = 8;

/// The events of the slice, grouped by what their type leads to.
fn by_route<S>(index: &Index<Arc<S>>, events: &[Envelope]) -> Vec<Group<S>> {
    let mut groups: Vec<Group<S>> = Vec::new();
    let mut few: Vec<&str> = Vec::with_capacity(FEW);
    let mut others: HashMap<&str, usize> = HashMap::new();
    for (at, event) in (0..).zip(events) {
        let event_type = event.event_type();
        let next = groups.len();
        let group = match few.iter().position(|known| *known == event_type) {
            Some(group) => group,
            None if few.len() < FEW => {
                few.push(event_type);
                next
            }
            None => *others.entry(event_type).or_insert(next),
        };
        if group == next {
            groups.push((index.route(event_type), Vec::new()));
        }
        groups[group].1.push(at);
    }
    groups
}

struct Targets<S> {
    list: Vec<Target<S>>,
    by_slot: HashMap<Slot, usize>,
}

impl<S> Targets<S> {
    fn at(&mut self, slot: Slot, subscriber: &Arc<S>) -> &mut Target<S> {
        let list = &mut self.list;
        let at = *self.by_slot.entry(slot).or_insert_with(|| {
            list.push(Target { slot, subscriber: subscriber.clone(), events: Vec::new(), size: Amount::default() });
            list.len() - 1
        });
        &mut self.list[at]
    }

    fn extend(&mut self, slot: Slot, subscriber: &Arc<S>, events: impl IntoIterator<Item = u32>) {
        let mut events = events.into_iter().peekable();
        if events.peek().is_some() {
            self.at(slot, subscriber).events.extend(events);
        }
    }

    fn finish(mut self, events: &[Envelope]) -> Vec<Target<S>> {
        for target in &mut self.list {
            if target.events.len() == events.len() {
                // Each event comes once, so these are all.
                (0..).zip(&mut target.events).for_each(|(at, event)| *event = at);
            } else {
                target.events.sort_unstable();
            }
            for at in &target.events {
                target.size.add(size_of_one(&events[*at as usize]));
            }
        }
        self.list.sort_unstable_by_key(|target| target.slot);
        self.list
    }
}
