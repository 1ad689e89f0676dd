//! Publishing on the model.

use hooks_core::{
    BusError, Envelope, Overflow, Slice,
    bus::{Published, refuse_reserved},
    serde_json,
};

use super::fault::Fault;
use super::{Live, ModelBus, State, TOO_LARGE};

impl ModelBus {
    /// Waits until hooks that make publishers wait have room for this.
    pub(crate) async fn room_for(&self, events: &[Envelope]) {
        loop {
            let changed = self.world.changed.notified();
            let Some(asked) = self.asks_for_room(events) else { return };
            if asked {
                self.world.changed.notify_waiters();
            }
            changed.await;
        }
    }

    /// True if a hook is asked for the first time to settle its events in flight. `None`: there is room.
    fn asks_for_room(&self, events: &[Envelope]) -> Option<bool> {
        let mut state = self.lock();
        let State { log, processes, .. } = &mut *state;
        if processes.get(&self.number).is_none_or(|process| process.closed.is_some()) {
            return None;
        }
        let lives = processes.values_mut().flat_map(|process| process.hooks.values_mut());
        let full = lives.filter(|live| live.lacks_room(log, events, self.fault));
        let asked = full.map(|live| !std::mem::replace(&mut live.wanted, true));
        asked.reduce(|one, other| one || other)
    }

    pub(crate) fn append(&self, events: &[Envelope]) -> Result<Published, BusError> {
        let mut state = self.lock();
        let State { log, processes, .. } = &mut *state;
        let process = processes.get_mut(&self.number).ok_or(BusError::Closed)?;
        if process.closed.is_some() && !self.is(Fault::AcceptsWhenClosed) {
            return Err(BusError::Closed);
        }
        process.accepted += if self.is(Fault::CountsCalls) { 1 } else { events.len() as u64 };
        let rebuilt = |event: &Envelope| {
            let value = serde_json::from_str::<serde_json::Value>(event.json()).ok();
            let value = value.and_then(|value| Envelope::from_json(value.to_string().as_bytes()).ok());
            value.unwrap_or_else(|| event.clone())
        };
        log.extend(events.iter().map(|event| if self.is(Fault::Rebuilds) { rebuilt(event) } else { event.clone() }));
        if self.is(Fault::DropsUncounted) {
            let end = log.len() as u64;
            let drops = |live: &&mut Live| live.queue.overflow == Overflow::DropOldest;
            processes.values_mut().flat_map(|process| process.hooks.values_mut()).filter(drops).for_each(|live| {
                live.next = live.next.max(end.saturating_sub(live.queue.max_events.get() as u64));
            });
        }
        drop(state);
        self.world.changed.notify_waiters();
        Ok(Published::new(events.len()))
    }

    pub(crate) async fn publish_wrongly(&self, events: &Slice) -> Option<Result<Published, BusError>> {
        match self.fault {
            Fault::TakesBeforeRefusing | Fault::SaysPartly => {
                let bad = events.iter().position(|event| event.is_reserved() || event.len() >= TOO_LARGE)?;
                self.append(&events[..bad]).unwrap();
                let error = refuse_reserved(events).err().unwrap_or(BusError::TooLarge("an event".into()));
                let accepted = std::iter::once(0..bad).collect();
                let partly = BusError::Partly { accepted, events: events.len(), error: Box::new(error.clone()) };
                Some(Err(if self.fault == Fault::SaysPartly { partly } else { error }))
            }
            Fault::Piecemeal => {
                for event in events {
                    self.append(std::slice::from_ref(event)).ok()?;
                    tokio::task::yield_now().await;
                }
                Some(Ok(Published::new(events.len())))
            }
            Fault::Races if !events.is_empty() => {
                let end = self.lock().log.len();
                tokio::task::yield_now().await;
                self.lock().log.truncate(end);
                None
            }
            Fault::WaitsForTheSlow => {
                let is_slow = |state: &State| {
                    let mut lives = state.processes.values().flat_map(|process| process.hooks.values());
                    lives.any(|live| live.unread(&state.log).count() > 50)
                };
                while is_slow(&self.lock()) {
                    let changed = self.world.changed.notified();
                    changed.await;
                }
                None
            }
            _ => None,
        }
    }
}

impl Live {
    /// Its unread events, with their positions.
    pub(crate) fn unread<'l>(&'l self, log: &'l [Envelope]) -> impl Iterator<Item = (u64, &'l Envelope)> {
        let unread = log.iter().enumerate().skip(self.next as usize).map(|(at, event)| (at as u64, event));
        unread.filter(|(_, event)| self.filter.matches(event))
    }

    fn lacks_room(&self, log: &[Envelope], events: &[Envelope], fault: Fault) -> bool {
        let new = events.iter().filter(|event| self.filter.matches(event)).count();
        let enabled = self.enabled || fault == Fault::IgnoresDisabled;
        let new = if fault == Fault::WaitsForUnwanted { events.len() } else { new };
        if new == 0 || self.queue.overflow != Overflow::Block || !enabled {
            return false;
        }
        let held = self.unsettled.len() + self.unread(log).count();
        held > 0 && held + new > self.queue.max_events.get()
    }
}
