//! What was answered, and what has to come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    Bus as _, Dispatcher, Hook, HookId, HumanDuration, Position, StartAt,
    bus::{Expected, HookStore as _, Revision, Seek, SeekTo},
};
use hooks_test::{Receiver, batch, soon};
use parking_lot::Mutex;

use super::moves::Moves;
use super::{HOOKS, Step};
use crate::durable::hold::Hold;
use crate::durable::tests::sim::SimDisk;
use crate::durable::tests::{TUNING, block_on, config, gone, hook, slice};
use crate::durable::{DurableBus, OpenError};

/// How a life ended.
#[derive(Debug, PartialEq)]
enum Ended {
    /// In order, with steps that are left.
    Restarted,
    /// All is done.
    Done,
    Crashed,
}

/// A hook from its definition until it is undefined. Bounds are numbers of events.
#[derive(Debug, Clone)]
pub(super) struct Made {
    id: &'static str,
    /// Where it delivered, from which event on. From the first of the first one on it has to have all.
    places: Vec<(String, usize)>,
    revision: Revision,
    /// Nothing from here on may come.
    removed: Option<usize>,
    /// Nothing from here on may come until it is enabled.
    disabled: Option<usize>,
    moves: Moves,
}

/// The change that was asked for last, while it is not answered.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    /// To this place.
    Define(String),
    Undefine,
    Disable(bool),
}

#[derive(Default)]
pub(super) struct Model {
    /// Those that are there come last among those of their name.
    pub(super) hooks: Vec<Made>,
    /// Numbers of events that were published together, and whether they were accepted.
    slices: Vec<(Vec<usize>, bool)>,
    pub(super) next: usize,
    changing: Option<(&'static str, Change)>,
    last_revision: u64,
    places: usize,
    receivers: Receivers,
    pub(super) crashes: usize,
}

/// By the text of definitions, which is the place.
#[derive(Clone, Default)]
struct Receivers(Arc<Mutex<BTreeMap<String, Receiver>>>);

impl Receivers {
    fn at(&self, place: &str) -> Receiver {
        self.0.lock().entry(place.to_owned()).or_default().clone()
    }

    fn arrived(&self, place: &str) -> Vec<usize> {
        self.at(place).arrived().iter().map(|id| id.parse().unwrap()).collect()
    }
}

/// The past stays, so that hooks can go back.
fn open(disk: &SimDisk) -> Result<DurableBus, OpenError> {
    let mut config = config();
    config.retain = HumanDuration::new(Duration::from_secs(1_000));
    DurableBus::on(Arc::new(disk.clone()), &config, TUNING, Hold::UntilPublished)
}

impl Model {
    /// Lives until all steps are done and everything is delivered.
    pub(super) fn run(&mut self, steps: &[Step], mut survives: impl FnMut() -> bool) -> Result<(), String> {
        let mut disk = SimDisk::default();
        let mut steps = steps.iter();
        loop {
            let ended = match open(&disk) {
                Ok(bus) => {
                    let ended = block_on(soon("a life", self.live(&bus, &disk, &mut steps)));
                    gone(bus);
                    ended?
                }
                Err(_) if disk.is_cut() => Ended::Crashed,
                Err(error) => return Err(format!("does not open: {error}")),
            };
            match ended {
                Ended::Done => return self.check(),
                Ended::Restarted => {}
                Ended::Crashed => {
                    self.crashes += 1;
                    disk = disk.after_power_cut(&mut survives);
                }
            }
        }
    }

    async fn live(
        &mut self,
        bus: &DurableBus,
        disk: &SimDisk,
        steps: &mut std::slice::Iter<'_, Step>,
    ) -> Result<Ended, String> {
        let dispatcher = Dispatcher::new(Arc::new(bus.clone()));
        let receivers = self.receivers.clone();
        let reader =
            move |id: &HookId, text: &str| Ok(Hook::new(id.as_str(), receivers.at(text))?.batch(batch(4, "0s")));
        let restored = dispatcher.restore(reader).await;
        match restored {
            _ if disk.is_cut() => return Ok(Ended::Crashed),
            Ok(restored) if restored.failed.is_empty() => self.settle(bus, &dispatcher).await?,
            other => return Err(format!("not restored: {other:?}")),
        }
        for step in steps {
            if matches!(step, Step::Restart) {
                dispatcher.shutdown(None).await;
                return Ok(if disk.is_cut() { Ended::Crashed } else { Ended::Restarted });
            }
            let done = self.step(*step, bus, &dispatcher, disk).await;
            if disk.is_cut() {
                return Ok(Ended::Crashed);
            }
            done?;
        }
        let done = self.finish(bus, &dispatcher, disk).await;
        if disk.is_cut() { Ok(Ended::Crashed) } else { done.map(|()| Ended::Done) }
    }

    /// Everybody gets what is left, up to one last event.
    async fn finish(&mut self, bus: &DurableBus, dispatcher: &Dispatcher, disk: &SimDisk) -> Result<(), String> {
        for id in HOOKS {
            self.enable(id, dispatcher).await?;
        }
        self.publish(1, bus).await?;
        self.deliver(disk).await;
        dispatcher.shutdown(None).await;
        Ok(())
    }

    fn there(&self, id: &str) -> Option<&Made> {
        self.hooks.iter().rfind(|made| made.id == id).filter(|made| made.removed.is_none())
    }

    fn there_mut(&mut self, id: &str) -> Option<&mut Made> {
        self.hooks.iter_mut().rfind(|made| made.id == id).filter(|made| made.removed.is_none())
    }

    async fn step(
        &mut self,
        step: Step,
        bus: &DurableBus,
        dispatcher: &Dispatcher,
        disk: &SimDisk,
    ) -> Result<(), String> {
        match step {
            Step::Define(at) => self.define(HOOKS[at], dispatcher).await,
            Step::Undefine(at) => self.undefine(HOOKS[at], dispatcher).await,
            Step::Disable(at) => self.disable(HOOKS[at], dispatcher).await,
            Step::Enable(at) => self.enable(HOOKS[at], dispatcher).await,
            Step::Back(at) => self.back(HOOKS[at], dispatcher).await,
            Step::Ahead(at) => self.ahead(HOOKS[at], dispatcher).await,
            Step::Publish(count) => self.publish(count, bus).await,
            Step::Deliver => {
                self.deliver(disk).await;
                Ok(())
            }
            Step::Sync => bus.sync_positions().await.map_err(|error| error.to_string()),
            Step::Restart => Ok(()),
            Step::Cut(after) => {
                disk.cut_at(disk.operations() + after);
                Ok(())
            }
        }
    }

    async fn define(&mut self, id: &'static str, dispatcher: &Dispatcher) -> Result<(), String> {
        self.places += 1;
        let place = format!("place {}", self.places);
        self.changing = Some((id, Change::Define(place.clone())));
        let expected = self.there(id).map_or(Expected::Absent, |made| Expected::At(made.revision));
        let defined = dispatcher.define(&hook(id), &place, expected).await.map_err(|error| error.to_string())?;
        self.changing = None;
        self.defined(id, place, defined.revision)?;
        let is_new = self.there(id).is_some_and(|made| made.moves.begin.is_none() && made.places.len() == 1);
        if is_new {
            // It has had nothing yet.
            let end = Seek::to(SeekTo::Start(StartAt::End)).dry_run(true);
            let begin = dispatcher.seek(&hook(id), end).await.map_err(|error| error.to_string())?.after;
            self.there_mut(id).into_iter().for_each(|made| made.moves.begin = Some(begin));
        }
        Ok(())
    }

    fn came(&self, id: &str) -> Vec<usize> {
        let places = self.there(id).map(|made| made.places.as_slice()).unwrap_or_default();
        places.iter().map(|(place, _)| self.receivers.arrived(place).len()).collect()
    }

    async fn back(&mut self, id: &'static str, dispatcher: &Dispatcher) -> Result<(), String> {
        let (came, next) = (self.came(id), self.next);
        let Some(made) = self.there_mut(id) else { return Ok(()) };
        let Some(begin) = made.moves.begin else { return Ok(()) };
        made.moves.asks_back();
        let seek = Seek::to(SeekTo::Position(Position::new(begin)));
        let sought = dispatcher.seek(&hook(id), seek).await.map_err(|error| format!("{id}: {error:?}"))?;
        made.moves.went_back(came, next);
        let landed = sought.after == begin && sought.reached;
        if landed { Ok(()) } else { Err(format!("{id} landed at {sought:?} instead of {begin}")) }
    }

    async fn ahead(&mut self, id: &'static str, dispatcher: &Dispatcher) -> Result<(), String> {
        let (came, next) = (self.came(id), self.next);
        let Some(made) = self.there_mut(id) else { return Ok(()) };
        made.moves.asks_ahead(came, next);
        let seek = Seek::to(SeekTo::Start(StartAt::End)).skip(true);
        let sought = dispatcher.seek(&hook(id), seek).await.map_err(|error| format!("{id}: {error:?}"))?;
        let came = self.came(id);
        // What it had had by then may come again after a crash, as ever.
        if let Some(made) = self.there_mut(id).filter(|_| sought.after > sought.before) {
            made.moves.went_ahead(came, next);
        }
        Ok(())
    }

    fn defined(&mut self, id: &'static str, place: String, revision: Revision) -> Result<(), String> {
        if revision.get() <= self.last_revision {
            return Err(format!("{id}: the revision {revision} comes behind {}", self.last_revision));
        }
        self.last_revision = revision.get();
        let begin = self.next;
        match self.there_mut(id) {
            Some(made) => {
                made.places.push((place, begin));
                made.revision = revision;
            }
            None => {
                let (places, moves) = (vec![(place, begin)], Moves::default());
                self.hooks.push(Made { id, places, revision, removed: None, disabled: None, moves });
            }
        }
        Ok(())
    }

    async fn undefine(&mut self, id: &'static str, dispatcher: &Dispatcher) -> Result<(), String> {
        self.changing = Some((id, Change::Undefine));
        let undefined = dispatcher.undefine(&hook(id), Expected::Any).await.map_err(|error| error.to_string())?;
        self.changing = None;
        let next = self.next;
        let there = self.there_mut(id).map(|made| made.removed = Some(next)).is_some();
        if there == undefined { Ok(()) } else { Err(format!("{id}: undefined {undefined}, and it was there: {there}")) }
    }

    async fn disable(&mut self, id: &'static str, dispatcher: &Dispatcher) -> Result<(), String> {
        let next = self.next;
        if self.there(id).is_none_or(|made| made.disabled.is_some()) {
            return Ok(());
        }
        self.changing = Some((id, Change::Disable(true)));
        dispatcher.disable(&hook(id)).await.map_err(|error| error.to_string())?;
        self.changing = None;
        if let Some(made) = self.there_mut(id) {
            made.disabled = Some(next);
        }
        Ok(())
    }

    async fn enable(&mut self, id: &'static str, dispatcher: &Dispatcher) -> Result<(), String> {
        let Some(made) = self.there(id) else { return Ok(()) };
        self.check_disabled(made)?;
        // What is not answered may have been so until the end.
        self.there_mut(id).and_then(|made| made.disabled.as_mut()).into_iter().for_each(|from| *from = usize::MAX);
        self.changing = Some((id, Change::Disable(false)));
        dispatcher.enable(&hook(id)).await.map_err(|error| error.to_string())?;
        self.changing = None;
        if let Some(made) = self.there_mut(id) {
            made.disabled = None;
        }
        Ok(())
    }

    async fn publish(&mut self, count: usize, bus: &DurableBus) -> Result<(), String> {
        let numbers: Vec<usize> = (self.next..self.next + count).collect();
        self.next += count;
        self.slices.push((numbers.clone(), false));
        bus.publish(slice(numbers)).await.map_err(|error| error.to_string())?;
        if let Some((_, is_accepted)) = self.slices.last_mut() {
            *is_accepted = true;
        }
        Ok(())
    }

    /// Until the last event that was accepted has come to every hook that has to have it, or the power is cut.
    async fn deliver(&self, disk: &SimDisk) {
        let accepted = self.slices.iter().rfind(|(_, is_accepted)| *is_accepted);
        let Some(last) = accepted.and_then(|(numbers, _)| numbers.last().copied()) else { return };
        let is_due = |made: &Made| made.places[0].1 <= last && !made.moves.may_miss(last);
        let due = |made: &&Made| made.removed.is_none() && made.disabled.is_none() && is_due(made);
        for made in self.hooks.iter().filter(due) {
            let has_come = || made.places.iter().any(|(place, _)| self.receivers.arrived(place).contains(&last));
            hooks_test::until("the last event", || has_come() || disk.is_cut()).await;
        }
    }

    /// Compares what there is after a start with what was answered. What was not answered is done or not done.
    async fn settle(&mut self, bus: &DurableBus, dispatcher: &Dispatcher) -> Result<(), String> {
        let changing = self.changing.take();
        for id in HOOKS {
            let there = bus.definition(&hook(id)).await.map_err(|error| error.to_string())?;
            let is_disabled = bus.overrides(&hook(id)).is_some();
            match changing.as_ref().filter(|(changing, _)| *changing == id).map(|(_, change)| change) {
                Some(Change::Define(place)) => {
                    if let Some(there) = there.as_ref().filter(|there| *there.text == **place) {
                        self.defined(id, place.clone(), there.revision)?;
                    }
                }
                Some(Change::Undefine) if there.is_none() => {
                    let next = self.next;
                    self.there_mut(id).into_iter().for_each(|made| made.removed = Some(next));
                }
                Some(Change::Disable(to)) if *to == is_disabled => {
                    let next = self.next;
                    self.there_mut(id).into_iter().for_each(|made| made.disabled = to.then_some(next));
                }
                _ => {}
            }
            let known = self.there(id).map(|made| (made.places.last().unwrap().0.clone(), made.revision));
            let there = there.map(|there| (there.text.to_string(), there.revision));
            let began = bus.began(&hook(id)).await.map_err(|error| error.to_string())?.map(Position::get);
            self.there(id).map_or(Ok(()), |made| made.moves.check_begin(began))?;
            let runs = dispatcher.hook_status(&hook(id)).is_some();
            let was_disabled = self.there(id).is_some_and(|made| made.disabled.is_some());
            if known != there || runs != known.is_some() || is_disabled != was_disabled {
                return Err(format!(
                    "{id} is {there:?} instead of {known:?}, runs: {runs}, disabled: {is_disabled} instead of {was_disabled}"
                ));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.hooks.iter().try_for_each(|made| self.check_hook(made).map_err(|why| format!("{made:?}: {why}")))
    }

    fn check_disabled(&self, made: &Made) -> Result<(), String> {
        let Some(from) = made.disabled else { return Ok(()) };
        let mut came = made.places.iter().flat_map(|(place, _)| self.receivers.arrived(place));
        came.find(|number| *number >= from).map_or(Ok(()), |early| Err(format!("{early} came to {made:?}")))
    }

    fn check_hook(&self, made: &Made) -> Result<(), String> {
        let mut first = BTreeSet::new();
        let mut newest = 0;
        let begin = made.places[0].1;
        for (at, (place, _)) in made.places.iter().enumerate() {
            let end = made.places.get(at + 1).map(|(_, end)| *end).or(made.removed).unwrap_or(usize::MAX);
            let came = self.receivers.arrived(place);
            if let Some(other) = came.iter().find(|number| **number < begin || **number >= end) {
                return Err(format!("{other} came to {place}: {came:?}"));
            }
            for (index, number) in came.into_iter().enumerate().filter(|(_, number)| first.insert(*number)) {
                if number < newest && made.moves.is_in_order(at, index) {
                    return Err(format!("{number} came behind {newest}"));
                }
                newest = newest.max(number);
            }
        }
        if made.removed.is_none() {
            let came: Vec<_> = made.places.iter().map(|(place, _)| self.receivers.arrived(place)).collect();
            let accepted = self.slices.iter().filter(|(numbers, is_accepted)| *is_accepted && numbers[0] >= begin);
            made.moves.check(&came, accepted.flat_map(|(numbers, _)| numbers.iter().copied()))?;
        }
        for (numbers, is_accepted) in self.slices.iter().filter(|(numbers, _)| numbers[0] >= begin) {
            let missing = |number: &&usize| !first.contains(number) && !made.moves.may_miss(**number);
            let missing = numbers.iter().filter(missing).count();
            let is_whole = missing == 0 || (missing == numbers.len() && !is_accepted);
            if made.removed.is_none() && !is_whole {
                return Err(format!("{missing} of {numbers:?} did not come, accepted: {is_accepted}"));
            }
        }
        Ok(())
    }
}
