//! A hook's way through the model.

use std::collections::BTreeMap;
use std::sync::Arc;

use hooks_core::{
    BusError, Envelope, HookId, Position, async_trait,
    bus::{Delivery, Read, Reader, Settle, Subscription, WINDOW},
};

use super::fault::Fault;
use super::{Live, Place, Process, State, World};

/// A hook of one process.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) fault: Fault,
    pub(crate) process: u64,
    pub(crate) id: HookId,
    pub(crate) world: Arc<World>,
}

impl Hook {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Does something with the hook, if it is subscribed here, and its place.
    fn with<T>(&self, work: impl FnOnce(&mut Live, &mut Place, &[Envelope], Option<u64>) -> T) -> Option<T> {
        let mut state = self.world.state.lock();
        let State { log, places, processes, .. } = &mut *state;
        let process = processes.get_mut(&self.process)?;
        let Process { hooks, closed, .. } = process;
        Some(work(hooks.get_mut(&self.id)?, places.get_mut(&self.id)?, log, *closed))
    }

    fn has(&self, place: &Place) -> bool {
        place.owner == Some(self.process) || self.is(Fault::OwnedByAll)
    }

    fn look(&self, number: u64, max: usize, closed: Option<u64>, into: &mut Vec<Delivery>) -> Option<Read> {
        let found = self.with(|live, place, log, bus_closed| {
            if live.reader != number && !self.is(Fault::TwoReaders) {
                return Some(Read::Lost);
            }
            let end = bus_closed.or(closed);
            if closed.is_some() && self.is(Fault::DryAtOnce) {
                return Some(Read::Dry);
            }
            if place.owner.is_none() {
                // What was read here before is another's to settle by now.
                place.owner = Some(self.process);
                live.next = place.from.max(live.next);
            }
            if !self.has(place) {
                return end.map(|_| Read::Dry);
            }
            self.read(live, place, log, max, into).or_else(|| {
                let asked = !self.is(Fault::NeverFlushes) && std::mem::take(&mut live.wanted);
                let flush = asked && !live.unsettled.is_empty();
                let dry = end.is_some_and(|end| live.unread(log).all(|(at, _)| at >= end) && !self.is(Fault::NeverDry));
                if flush { Some(Read::Flush) } else { dry.then_some(Read::Dry) }
            })
        });
        // It was removed here, or is another's now.
        let ended = || !self.world.state.lock().processes.contains_key(&self.process);
        found.unwrap_or_else(|| Some(if ended() { Read::Lost } else { Read::Dry }))
    }

    fn read(
        &self,
        live: &mut Live,
        place: &mut Place,
        log: &[Envelope],
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Option<Read> {
        let room = if self.is(Fault::NoWindow) { max } else { WINDOW - live.read.len().min(WINDOW) };
        let wants = |event: &Envelope| {
            let by_type = || live.filter.matches_type(event.event_type());
            match () {
                () if self.is(Fault::TypesOnly) => by_type(),
                () if self.is(Fault::IgnoresTenants) => by_type() && live.filter.matches_rest(event),
                () => live.filter.matches(event),
            }
        };
        let unread = log.iter().enumerate().skip(live.next as usize).map(|(at, event)| (at as u64, event));
        let new = unread.filter(|(at, event)| wants(event) && !place.settled.contains(at)).take(max.min(room));
        let mut new: Vec<_> =
            new.map(|(at, envelope)| Delivery::new(Position::new(at), &envelope.clone().into(), 0)).collect();
        let last = new.last()?.position.get();
        let count = new.len();
        live.ledger.take(count);
        live.next = last + 1;
        live.read.extend(new.iter().map(|delivery| delivery.position.get()));
        live.unsettled.extend(new.iter().map(|delivery| delivery.position.get()));
        if self.is(Fault::Reverses) {
            new.reverse();
        }
        into.extend(new);
        Some(Read::Events(count + usize::from(self.is(Fault::MiscountsRead))))
    }
}

impl Settle for Hook {
    fn settle(&self, positions: &[Position]) -> usize {
        let settled = self.with(|live, place, _, _| {
            let mut settled = 0;
            for position in positions.iter().map(|position| position.get()) {
                let up_to: Vec<u64> = match self.fault {
                    Fault::SettlesUpTo => live.unsettled.range(..=position).copied().collect(),
                    _ => vec![position],
                };
                for position in up_to.into_iter().filter(|at| live.unsettled.remove(at)) {
                    settled += 1;
                    place.settled.insert(position);
                }
            }
            place.from = live.unsettled.first().copied().unwrap_or(live.next).max(place.from);
            live.read.retain(|at| *at >= place.from);
            place.settled.retain(|at| *at >= place.from);
            settled
        });
        if self.is(Fault::SettlesForAll) {
            let mut state = self.world.state.lock();
            let places: &mut BTreeMap<HookId, Place> = &mut state.places;
            places.values_mut().for_each(|place| place.settled.extend(positions.iter().map(|position| position.get())));
        }
        self.world.changed.notify_waiters();
        if self.is(Fault::SettlesAnything) { positions.len() } else { settled.unwrap_or(0) }
    }

    fn holds(&self) -> bool {
        self.is(Fault::HoldsForEver) || self.with(|_, place, _, _| self.has(place)).unwrap_or(false)
    }
}

pub(crate) struct ModelReader {
    pub(crate) hook: Hook,
    pub(crate) number: u64,
    pub(crate) closed: Option<u64>,
}

#[async_trait]
impl Reader for ModelReader {
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError> {
        loop {
            let world = self.hook.world.clone();
            let changed = world.changed.notified();
            let mut new = Vec::new();
            if let Some(read) = self.hook.look(self.number, max, self.closed, &mut new) {
                if self.hook.is(Fault::TakesThenWaits) {
                    tokio::task::yield_now().await;
                }
                into.extend(new);
                return Ok(read);
            }
            changed.await;
        }
    }

    fn close(&mut self) {
        self.closed = self.hook.with(|_, _, log, _| log.len() as u64);
    }

    fn reconfigure(&mut self, subscription: Subscription) {
        if !self.hook.is(Fault::KeepsFilter) {
            self.hook.with(|live, _, _, _| live.filter = subscription.filter);
        }
    }

    fn set_enabled(&mut self, enabled: bool) {
        self.hook.with(|live, _, _, _| live.enabled = enabled);
        self.hook.world.changed.notify_waiters();
    }
}
