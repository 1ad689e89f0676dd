//! Moves hooks of the model.

use std::collections::BTreeSet;
use std::time::SystemTime;

use hooks_core::{
    DropReason, Envelope, HookId, StartAt,
    bus::{Seek, SeekError, SeekTo, Sought},
};

use super::fault::Fault;
use super::{ModelBus, Place, State};

impl ModelBus {
    pub(super) fn move_hook(&self, hook: &HookId, seek: &Seek) -> Result<Sought, SeekError> {
        let mut state = self.lock();
        let State { log, places, processes, .. } = &mut *state;
        let place = places.get_mut(hook).ok_or_else(|| SeekError::Unknown(hook.clone()))?;
        if let Some(other) = place.owner.filter(|owner| *owner != self.number) {
            return Err(SeekError::Elsewhere(other.to_string()));
        }
        let after = target(seek.to, log.len() as u64)?;
        if !self.is(Fault::SkipsUnasked) {
            seek.check(place.from, after)?;
        }
        let sought = self.sought(seek, place, after, log);
        let stays = sought.before == sought.after && self.is(Fault::StaysWhereItIs);
        if (seek.dry_run && !self.is(Fault::MovesWhenAsked)) || stays {
            return Ok(sought);
        }
        let live = processes.get_mut(&self.number).and_then(|process| process.hooks.get_mut(hook));
        if let Some(live) = live {
            live.ledger.hand_over(live.unsettled.len());
            (live.next, live.read, live.unsettled) = (after, BTreeSet::new(), BTreeSet::new());
            live.reader += 1;
            if !self.is(Fault::SkipsUncounted) {
                live.ledger.take(sought.skipped as usize);
                live.ledger.give_up(sought.skipped as usize, DropReason::Skipped);
            }
        }
        if self.is(Fault::MovesInMemory) {
            place.before_it_moved.get_or_insert(place.from);
        }
        if after <= place.from && !self.is(Fault::KeepsWhatWasSettled) || self.is(Fault::ForgetsWhatWasSettled) {
            place.settled.clear();
        }
        place.from = if self.is(Fault::MovesNowhere) { place.from } else { after };
        place.settled.retain(|at| *at >= after);
        drop(state);
        self.world.changed.notify_waiters();
        Ok(sought)
    }

    /// What lies in between.
    fn sought(&self, seek: &Seek, place: &Place, after: u64, log: &[Envelope]) -> Sought {
        let before = place.from;
        let is_between = |at: u64| match after <= before {
            true => (after..before).contains(&at) || place.settled.contains(&at),
            false => (before..after).contains(&at) && !place.settled.contains(&at),
        };
        let wants = |event: &Envelope| {
            self.is(Fault::CountsOthers) || seek.filter.as_ref().is_none_or(|filter| filter.matches(event))
        };
        let events = (0..).zip(log).filter(|(at, event)| is_between(*at) && wants(event)).count() as u64;
        Sought::new(before, after, events, events == 0 || seek.filter.is_some())
    }
}

/// Where a hook goes on. The model keeps no times: whatever lies in the past is everything.
fn target(to: SeekTo, end: u64) -> Result<u64, SeekError> {
    let now = SystemTime::now();
    match to {
        SeekTo::Position(to) if to.get() > end => Err(SeekError::BeyondEnd { to: to.get(), end }),
        SeekTo::Position(to) => Ok(to.get()),
        SeekTo::Start(StartAt::Earliest) => Ok(0),
        SeekTo::Start(start) => Ok(if start.since(now).is_some_and(|since| since < now) { 0 } else { end }),
    }
}
