//! The workload of a bus until the power is cut, and the checks after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use hooks_core::{Bus, ByteSize, DeadLetter, DeadLetterReason, Filter, HumanDuration, Position, bus::Delivery};

use super::sim::SimDisk;
use super::{End, TUNING, config, gone, hook, number, slice};
use crate::durable::config::{DurableConfig, OnFull};
use crate::durable::hold::Hold;
use crate::durable::{DurableBus, OpenError};

/// Hooks, which of three events each receives, and whether it reads any.
type Hooks = &'static [(&'static str, Option<&'static str>, bool)];

/// A plan for using a bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    hooks: Hooks,
    max_bytes: u64,
    on_full: OnFull,
    retains: bool,
}

/// All hooks go on.
pub(super) const GOING_ON: Plan = Plan {
    hooks: &[("all", None, true), ("some", Some("test.1"), true), ("none", Some("other"), true)],
    max_bytes: 1 << 20,
    on_full: OnFull::Refuse,
    retains: false,
};

/// All hooks go on, and what they have settled stays until its room is needed.
pub(super) const RETAINING: Plan = Plan { max_bytes: 12 << 10, retains: true, ..GOING_ON };

/// One hook is stuck, and loses its oldest events when the log is full.
pub(super) const STUCK: Plan = Plan {
    hooks: &[("all", None, true), ("stuck", None, false)],
    max_bytes: 8 << 10,
    on_full: OnFull::DropOldest,
    retains: false,
};

impl Plan {
    fn open(&self, disk: &SimDisk) -> Result<DurableBus, OpenError> {
        let mut config = DurableConfig { max_bytes: ByteSize::new(self.max_bytes), on_full: self.on_full, ..config() };
        if self.retains {
            config.retain = HumanDuration::new(Duration::from_secs(1000));
        }
        DurableBus::on(Arc::new(disk.clone()), &config, TUNING, Hold::UntilPublished)
    }
}

/// The promises of a bus so far.
#[derive(Debug, Default)]
pub(super) struct Promised {
    /// Numbers of events that were accepted.
    accepted: BTreeSet<usize>,
    /// Slices that may have been accepted, or not: the call has not returned `Ok`.
    perhaps: Vec<BTreeSet<usize>>,
    hooks: BTreeMap<&'static str, Settled>,
    /// Positions of dead letters.
    dead_letters: BTreeSet<u64>,
}

#[derive(Debug, Default, Clone)]
struct Settled {
    /// Numbers of events that the hook is done with.
    all: BTreeSet<usize>,
    /// Those that must not come again.
    kept: BTreeSet<usize>,
}

impl Promised {
    /// Checkpoints are written: settled events must not come again.
    fn keep(&mut self) {
        self.hooks.values_mut().for_each(|settled| settled.kept.clone_from(&settled.all));
    }
}

fn filter(event_type: Option<&str>) -> Filter {
    event_type.map_or_else(Filter::all, |event_type| Filter::types([event_type]))
}

fn concerns(event_type: Option<&str>, number: usize) -> bool {
    event_type.is_none_or(|event_type| event_type == format!("test.{}", number % 3))
}

/// Publishes, reads and settles until it is done or something fails.
pub(super) async fn run(plan: Plan, disk: &SimDisk) -> Promised {
    let mut promised = Promised::default();
    // In two lives, so that opening is cut short as well.
    let mut next = 0;
    for life in 0..2 {
        let Ok(bus) = plan.open(disk) else { return promised };
        let mut ends = Vec::new();
        for (id, event_type, reads) in plan.hooks {
            ends.push((*id, *reads, End::new(&bus, id, filter(*event_type)).await));
        }
        for round in 0..6 {
            let size = (round * 3 + life) % 5 + 1;
            let numbers: BTreeSet<usize> = (next..next + size).collect();
            next += size;
            if bus.publish(slice(numbers.iter().copied())).await.is_err() {
                promised.perhaps.push(numbers);
                break;
            }
            promised.accepted.extend(&numbers);
            work(&bus, &mut ends, round, &mut promised).await;
        }
        drop(ends);
        gone(bus);
        // A bus that ends keeps where its hooks are.
        if !disk.is_cut() {
            promised.keep();
        }
    }
    promised
}

/// Reads some, settles most of it out of order, and sometimes keeps positions.
async fn work(bus: &DurableBus, ends: &mut [(&'static str, bool, End)], round: usize, promised: &mut Promised) {
    for (id, _, end) in ends.iter_mut().filter(|(_, reads, _)| *reads) {
        let read = end.read(4).await;
        let settled: Vec<&Delivery> = read.iter().rev().skip(round % 2).collect();
        let dead_letters =
            settled.iter().take(usize::from(round == 2)).map(|delivery| letter(delivery)).collect::<Vec<_>>();
        let positions: Vec<u64> = dead_letters.iter().map(|letter| letter.position.get()).collect();
        if let Some(store) = bus.hooks().dead_letters(&hook(id))
            && !dead_letters.is_empty()
        {
            if store.keep(dead_letters).await.is_err() {
                continue;
            }
            promised.dead_letters.extend(positions);
        }
        promised.hooks.entry(id).or_default().all.extend(settled.iter().map(|delivery| number(delivery)));
        end.settle(settled);
    }
    if round % 2 == 1 && bus.sync_positions().await.is_ok() {
        promised.keep();
    }
}

pub(super) fn letter(delivery: &Delivery) -> DeadLetter {
    DeadLetter {
        position: Position::new(delivery.position.get()),
        envelope: delivery.envelope().clone(),
        reason: DeadLetterReason::Refused,
        detail: "400 Bad Request".to_owned(),
        attempts: 2,
        first_attempt: UNIX_EPOCH,
        last_attempt: UNIX_EPOCH,
    }
}

/// Checks every promise on this disk.
pub(super) async fn check(plan: Plan, disk: &SimDisk, promised: &Promised) -> Result<(), String> {
    let bus = plan.open(disk).map_err(|error| format!("does not open: {error}"))?;
    let mut checked = Ok(());
    for (id, event_type, _) in plan.hooks {
        let mut end = End::new(&bus, id, filter(*event_type)).await;
        let read = end.read(usize::MAX).await;
        let may_drop = plan.on_full == OnFull::DropOldest;
        checked = checked.and(check_hook(id, *event_type, &read, promised, may_drop));
        end.settle(&read);
    }
    checked = checked.and(check_dead_letters(plan, &bus, promised).await);
    // It goes on as if nothing had been.
    let mut end = End::new(&bus, "after", Filter::all()).await;
    if let Err(error) = bus.publish(slice([1_000_000])).await {
        checked = checked.and(Err(format!("does not go on: {error}")));
    }
    let numbers: Vec<usize> = end.read(usize::MAX).await.iter().map(number).collect();
    if numbers != [1_000_000] {
        checked = checked.and(Err(format!("goes on with {numbers:?}")));
    }
    drop(end);
    checked = checked.and(check_past(&bus, promised).await);
    gone(bus);
    checked
}

/// What is left of the past has no holes.
async fn check_past(bus: &DurableBus, promised: &Promised) -> Result<(), String> {
    let mut past = End::earliest(bus, "past").await;
    let numbers: Vec<usize> = past.read(usize::MAX).await.iter().map(number).collect();
    let lost = |number: &&usize| numbers.first().is_some_and(|first| first <= number) && !numbers.contains(number);
    match promised.accepted.iter().find(lost) {
        Some(lost) => Err(format!("{lost} is gone from the past: {numbers:?}")),
        None => Ok(()),
    }
}

fn check_hook(
    id: &str,
    event_type: Option<&str>,
    read: &[Delivery],
    promised: &Promised,
    may_drop: bool,
) -> Result<(), String> {
    let numbers: Vec<usize> = read.iter().map(number).collect();
    let settled = promised.hooks.get(id).cloned().unwrap_or_default();
    for delivery in read {
        let number = number(delivery);
        if delivery.envelope().json() != slice([number])[0].json() {
            return Err(format!("{id}: {number} was changed: {}", delivery.envelope().json()));
        }
    }
    if !numbers.is_sorted_by(|a, b| a < b) {
        return Err(format!("{id}: out of order: {numbers:?}"));
    }
    let got: BTreeSet<usize> = numbers.iter().copied().collect();
    let due = |number: &&usize| concerns(event_type, **number) && !settled.all.contains(number);
    // Only the oldest may be dropped.
    let is_dropped = |number: &usize| may_drop && got.first().is_some_and(|first| number < first);
    if let Some(lost) = promised.accepted.iter().filter(due).find(|number| !got.contains(number) && !is_dropped(number))
    {
        return Err(format!("{id}: {lost} was accepted and is lost; there are {numbers:?}"));
    }
    if let Some(again) = got.intersection(&settled.kept).next() {
        return Err(format!("{id}: {again} comes again though that was kept"));
    }
    for slice in &promised.perhaps {
        let there: Vec<bool> =
            slice.iter().filter(|number| concerns(event_type, **number)).map(|number| got.contains(number)).collect();
        if there.contains(&true) && there.contains(&false) {
            return Err(format!("{id}: only a part of {slice:?} was accepted: {numbers:?}"));
        }
    }
    let known = |number: &usize| {
        promised.accepted.contains(number) || promised.perhaps.iter().any(|slice| slice.contains(number))
    };
    match got.iter().find(|number| !known(number)) {
        Some(unknown) => Err(format!("{id}: {unknown} was never published")),
        None => Ok(()),
    }
}

async fn check_dead_letters(plan: Plan, bus: &DurableBus, promised: &Promised) -> Result<(), String> {
    let mut there = BTreeSet::new();
    for (id, ..) in plan.hooks {
        let store = bus.hooks().dead_letters(&hook(id)).ok_or("no dead letters")?;
        let dead_letters = store.list(None, 100).await.map_err(|error| error.to_string())?;
        if dead_letters.len() as u64 != store.count() {
            return Err(format!("{id}: {} dead letters, but {} are counted", dead_letters.len(), store.count()));
        }
        there.extend(dead_letters.iter().map(|(_, letter)| letter.position.get()));
    }
    match promised.dead_letters.iter().find(|position| !there.contains(position)) {
        Some(lost) => Err(format!("the dead letter of position {lost} is lost")),
        None => Ok(()),
    }
}
