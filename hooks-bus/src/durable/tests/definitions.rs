//! Hooks that are defined and undefined while events are published, the process ends and the power is cut, against a
//! plain model.

use std::collections::BTreeMap;
use std::sync::Arc;

use hooks_core::{
    Bus as _, DisabledBy, Filter, Override, StartAt,
    bus::{Definition, Expected, HookStore as _},
};
use proptest::prelude::*;

use super::sim::SimDisk;
use super::workload::letter;
use super::{End, block_on, gone, hook, number, open, slice};
use crate::durable::DurableBus;

const HOOKS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Defines a hook, or changes its definition.
    Define(usize),
    Undefine(usize),
    /// Publishes this many events.
    Publish(usize),
    /// Subscribes a hook, settles what there is, keeps an override and a dead letter, and unsubscribes.
    Work(usize),
    /// Writes positions, and removes files that no hook needs.
    Sync,
    Restart,
}

use Step::{Define, Publish, Restart, Sync, Undefine, Work};

/// A script with everything in it that can be half done.
const SCRIPT: &[Step] = &[
    Define(0),
    Publish(20),
    Define(1),
    Work(0),
    Publish(30),
    Sync,
    Define(0),
    Undefine(0),
    Publish(20),
    Define(0),
    Restart,
    Work(0),
    Publish(30),
    Undefine(0),
    Sync,
    Define(2),
    Publish(30),
    Work(2),
    Undefine(2),
    Restart,
    Undefine(1),
    Publish(20),
    Sync,
    Define(0),
    Publish(5),
];

/// The log begins before the first position that some hook needs, and a hook comes that wants all of it.
const EARLIEST: &[Step] = &[Publish(1), Publish(15), Sync, Define(2), Publish(1)];

/// A defined hook.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    definition: Definition,
    /// The first event that must not come again, and the first that has to come.
    kept: usize,
    due: usize,
}

#[derive(Debug, Clone, Default)]
struct Model {
    hooks: BTreeMap<&'static str, Known>,
    /// Number of events that were accepted, and that may have been, too.
    accepted: usize,
    perhaps: usize,
    /// The hook that was being changed, whose change may have been made.
    changing: Option<(&'static str, Option<StartAt>)>,
    last_revision: u64,
}

impl Model {
    /// Does steps until all are done or one fails.
    async fn run(&mut self, steps: &[Step], disk: &SimDisk) {
        let Ok(mut bus) = open(disk) else { return };
        for step in steps {
            if matches!(step, Restart) {
                gone(bus);
                match open(disk) {
                    Ok(opened) => bus = opened,
                    Err(_) => return,
                }
                self.keep();
            } else if self.step(&bus, *step).await.is_none() {
                break;
            }
        }
        gone(bus);
        if !disk.is_cut() {
            self.keep();
        }
    }

    /// Settled events must not come again.
    fn keep(&mut self) {
        self.hooks.values_mut().for_each(|known| known.kept = known.due);
    }

    async fn step(&mut self, bus: &DurableBus, step: Step) -> Option<()> {
        match step {
            Define(at) => {
                let from = if at == 2 { StartAt::Earliest } else { StartAt::End };
                self.define(bus, HOOKS[at], from).await?;
            }
            Undefine(at) => {
                self.changing = Some((HOOKS[at], None));
                let undefined = bus.undefine(&hook(HOOKS[at]), Expected::Any).await.ok()?;
                self.changing = None;
                assert_eq!(undefined, self.hooks.remove(HOOKS[at]).is_some());
            }
            Publish(count) => {
                self.perhaps = count;
                bus.publish(slice(self.accepted..self.accepted + count)).await.ok()?;
                (self.accepted, self.perhaps) = (self.accepted + count, 0);
            }
            Work(at) => self.work(bus, HOOKS[at]).await?,
            Sync => {
                bus.sync_positions().await.ok()?;
                self.keep();
            }
            Restart => {}
        }
        Some(())
    }

    async fn define(&mut self, bus: &DurableBus, id: &'static str, from: StartAt) -> Option<()> {
        let before = self.hooks.get(id).cloned();
        let expected = before.as_ref().map_or(Expected::Absent, |known| Expected::At(known.definition.revision));
        self.changing = Some((id, Some(from)));
        let text = format!("{{\"after\":{}}}", self.last_revision);
        let definition = bus.define(&hook(id), &text, expected, from).await.ok()?;
        self.changing = None;
        assert!(definition.revision.get() > self.last_revision, "{definition:?}");
        self.last_revision = definition.revision.get();
        let begin = if from == StartAt::Earliest { bus.0.inner.storage.log.begin() as usize } else { self.accepted };
        let known = Known { definition: definition.clone(), kept: begin, due: begin };
        self.hooks.insert(id, before.map_or(known, |before| Known { definition, ..before }));
        Some(())
    }

    async fn work(&mut self, bus: &DurableBus, id: &'static str) -> Option<()> {
        let Some(known) = self.hooks.get_mut(id) else { return Some(()) };
        let mut end = End::new(bus, id, Filter::all()).await;
        let read = end.read(usize::MAX).await;
        known.due = known.due.max(read.last().map_or(0, |last| number(last) + 1));
        end.settle(&read);
        drop(end);
        bus.unsubscribe(&hook(id)).await.unwrap();
        let disabled = Override::disabled(DisabledBy::Operator, None, std::time::UNIX_EPOCH);
        bus.set_override(&hook(id), Some(disabled)).await.ok()?;
        let letters = read.first().map(letter).into_iter().collect();
        bus.dead_letters(&hook(id))?.keep(letters).await.ok()
    }

    /// Compares a disk with what was promised.
    async fn check(&self, disk: &SimDisk) -> Result<(), String> {
        let bus = open(disk).map_err(|error| format!("does not open: {error}"))?;
        let mut checked = Ok(());
        for id in HOOKS {
            checked = checked.and(self.check_hook(&bus, id).await.map_err(|why| format!("{id}: {why}")));
        }
        let again = bus.define(&hook("again"), "{}", Expected::Absent, StartAt::End).await;
        let again = again.map_err(|error| error.to_string()).and_then(|again| match again.revision.get() {
            revision if revision > self.last_revision => Ok(()),
            revision => Err(format!("the revision {revision} comes again")),
        });
        gone(bus);
        checked.and(again)
    }

    async fn check_hook(&self, bus: &DurableBus, id: &'static str) -> Result<(), String> {
        let there = bus.definition(&hook(id)).await.map_err(|error| error.to_string())?;
        let wanted = self.hooks.get(id);
        let changing = self.changing.filter(|(changing, _)| *changing == id).map(|(_, from)| from);
        let is_known = bus.known_hooks().contains(&hook(id));
        let kept = (bus.overrides(&hook(id)).is_some(), bus.dead_letters(&hook(id)).map_or(0, |kept| kept.count()));
        let Some(there) = there else {
            let may_be_gone = wanted.is_none() || changing == Some(None);
            let is_gone = !is_known && kept == (false, 0);
            return if may_be_gone && is_gone {
                Ok(())
            } else {
                Err(format!("lost or half gone: {is_known} {kept:?}"))
            };
        };
        let is_wanted = wanted.is_some_and(|wanted| wanted.definition == there);
        let is_new = matches!(changing, Some(Some(_))) && there.revision.get() > self.last_revision;
        if !is_known || !(is_wanted || is_new) {
            return Err(format!("is known: {is_known}, defined as {there:?} instead of {wanted:?}"));
        }
        let mut end = End::new(bus, id, Filter::all()).await;
        let numbers: Vec<usize> = end.read(usize::MAX).await.iter().map(number).collect();
        drop(end);
        // A hook that was just being defined may begin with the oldest event, wherever that is.
        let (kept, due) = match (wanted, changing) {
            (Some(wanted), _) => (wanted.kept, wanted.due),
            (None, Some(Some(StartAt::Earliest))) => (0, self.accepted),
            (None, _) => (self.accepted, self.accepted),
        };
        let first = numbers.first().copied().unwrap_or(due);
        let ends = numbers.last().map_or(first, |last| last + 1);
        let fits = kept <= first && first <= due && (ends == self.accepted || ends == self.accepted + self.perhaps);
        let ends_early = numbers.is_empty() && due == self.accepted;
        if numbers == (first..ends).collect::<Vec<_>>() && (fits || ends_early) {
            return Ok(());
        }
        Err(format!("{numbers:?} come, {kept} at the earliest, {due} to {} at least", self.accepted))
    }
}

/// Cuts the power before this operation, and checks what may be left.
fn broken_at(steps: &[Step], cut: usize, mut survives: impl FnMut() -> bool) -> Option<String> {
    let disk = SimDisk::default();
    disk.cut_at(cut);
    let mut model = Model::default();
    block_on(model.run(steps, &disk));
    let images = [
        ("nothing", disk.after_power_cut(|| false)),
        ("all", disk.after_kill()),
        ("some", disk.after_power_cut(&mut survives)),
    ];
    images.into_iter().find_map(|(what, image)| {
        let broken = block_on(model.check(&image)).err()?;
        Some(format!("cut before operation {cut}, {what} survives: {broken}"))
    })
}

#[test]
fn a_power_cut_at_any_operation_leaves_no_hook_half_defined() {
    for (script, accepted) in [(SCRIPT, 155), (EARLIEST, 17)] {
        let disk = SimDisk::default();
        let mut model = Model::default();
        block_on(model.run(script, &disk));
        assert_eq!((model.accepted, model.changing, model.perhaps), (accepted, None, 0), "the script is done");
        for cut in 0..=disk.operations() {
            let mut bits = cut.wrapping_mul(0x9E37_79B9) as u32 | 1;
            let survives = || {
                bits = bits.rotate_left(7) ^ bits >> 3;
                bits & 1 == 1
            };
            assert_eq!(broken_at(script, cut, survives), None);
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0..HOOKS.len();
    let step = prop_oneof![
        4 => at().prop_map(Define),
        2 => at().prop_map(Undefine),
        5 => (1usize..40).prop_map(Publish),
        3 => at().prop_map(Work),
        2 => Just(Sync),
        1 => Just(Restart),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Every event reaches exactly the hooks that were defined when it was accepted.
    #[test]
    fn hooks_are_as_a_plain_model_says(steps in steps(), cut in 0usize..700, survives in prop::collection::vec(any::<bool>(), 1..50)) {
        let mut survives = survives.into_iter().cycle();
        let broken = broken_at(&steps, cut, || survives.next().unwrap_or_default());
        prop_assert_eq!(broken, None);
    }
}

#[test]
fn calls_that_come_during_a_commit_share_the_next_one() {
    let disk = SimDisk::default();
    let bus = Arc::new(open(&disk).unwrap());
    let before = disk.syncs();
    block_on(bus.define(&hook("before"), "{}", Expected::Any, StartAt::End)).unwrap();
    let of_one = disk.syncs() - before;
    let (has_begun, go_on) = disk.pause_next_sync();
    block_on(async {
        let define = |id: String| {
            let bus = bus.clone();
            tokio::spawn(async move { bus.define(&hook(&id), "{}", Expected::Absent, StartAt::End).await })
        };
        let first = define("first".to_owned());
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        // Who reads does not wait for the commit.
        assert_eq!(bus.definitions(None, 100).await.unwrap().len(), 1);
        let before = disk.syncs();
        let mut others: Vec<_> = (0..50).map(|at| define(format!("h{at}"))).collect();
        others.push(define("h7".to_owned()));
        // All of them wait by now.
        tokio::task::yield_now().await;
        go_on.send(()).unwrap();
        first.await.unwrap().unwrap();
        let mut conflicts = 0;
        for other in others {
            conflicts += usize::from(other.await.unwrap().is_err());
        }
        assert_eq!(conflicts, 1);
        // The one that was under way, that of the fifty, none for the conflict, and perhaps one for a file that grows.
        let syncs = disk.syncs() - before;
        assert!(syncs <= 2 * of_one + 1, "{syncs} syncs, one call takes {of_one}");
        assert_eq!(bus.definitions(None, 100).await.unwrap().len(), 52);
    });
}
