//! The check of hooks that are moved to another place in the log.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::end::End;
use super::probe::Probe;
use crate::bus::{Bus, Delivery, Position, Seek, SeekError, SeekTo, Sought, StartAt, Subscription};
use crate::conformance::events::typed;
use crate::conformance::run::{Checked, Stop};
use crate::envelope::Envelope;
use crate::filter::Filter;
use crate::id::HookId;
use crate::ledger::{DropReason, Ledger};

/// A bus and a hook `a` on it that is moved, with what it wants. Others lie in between.
struct Moved<'a> {
    probe: &'a Probe<'a>,
    bus: Arc<dyn Bus>,
    id: HookId,
    ledger: Arc<Ledger>,
    wanted: Vec<Envelope>,
}

fn start(from: StartAt) -> Seek {
    Seek::to(SeekTo::Start(from))
}

fn to(delivery: &Delivery) -> Seek {
    Seek::to(SeekTo::Position(delivery.position))
}

impl<'a> Moved<'a> {
    async fn new(probe: &'a Probe<'a>) -> Checked<(Self, End<'a>)> {
        let (bus, id, ledger) = (probe.open().await?, HookId::new("a")?, Arc::default());
        let mut moved = Self { probe, bus, id, ledger, wanted: Vec::new() };
        let hook = moved.subscribe().await?;
        let mut sent = Vec::new();
        for at in 0..6 {
            moved.wanted.push(typed(&format!("wanted-{at}"), "conformance.a", "s")?);
            sent.extend([moved.wanted[at].clone(), typed(&format!("other-{at}"), "conformance.b", "s")?]);
        }
        probe.publish(&*moved.bus, &sent).await?;
        Ok((moved, hook))
    }

    fn filter() -> Arc<Filter> {
        Arc::new(Filter::types(["conformance.a"]))
    }

    async fn subscribe(&self) -> Checked<End<'a>> {
        let (filter, ledger) = (Self::filter(), self.ledger.clone());
        let subscription = Subscription { filter, ledger, ..self.probe.subscription("a")? };
        self.probe.subscribe(&*self.bus, subscription).await
    }

    async fn ask(&self, seek: Seek) -> Result<Sought, SeekError> {
        self.bus.hooks().seek(&self.id, &seek.filter(Self::filter())).await
    }

    /// Skips the check if the bus can't move hooks.
    async fn seek(&self, seek: Seek) -> Checked<Sought> {
        match self.ask(seek).await {
            Ok(sought) => Ok(sought),
            Err(SeekError::Unsupported) => Err(Stop::Skipped("the bus can't move a hook".to_owned())),
            Err(error) => Err(self.probe.failed(format!("`seek` fails: {error}"))),
        }
    }

    /// Checks where a hook is said to be, and the events in between.
    fn is(&self, said: Sought, before: Position, after: RangeInclusive<Position>, again: u64, skipped: u64) -> Checked {
        let fits = |count, expected| count == expected || !said.exact && count > expected;
        let is_there = said.before == before.get() && after.contains(&Position::new(said.after));
        let holds = is_there && said.reached && fits(said.again, again) && fits(said.skipped, skipped);
        self.probe.expect(holds, format!("it says {said:?} instead of {again} again and {skipped} skipped"))
    }

    /// Reads up to an event that is published now, and checks that these come before it.
    async fn reads(&self, hook: &mut End<'a>, wanted: impl IntoIterator<Item = usize>) -> Checked<Vec<Delivery>> {
        let marker = self.probe.mark(&*self.bus).await?;
        let read = hook.until(&marker).await?;
        let sent: Vec<&Envelope> = wanted.into_iter().map(|at| &self.wanted[at]).chain([&marker]).collect();
        self.probe.same(sent, &read)?;
        hook.balances()?;
        Ok(read)
    }
}

pub(super) async fn seeking(probe: &Probe<'_>) -> Checked {
    let (moved, mut hook) = Moved::new(probe).await?;
    let read = hook.take(4).await?;
    hook.settle([&read[0], &read[1], &read[3]])?;
    let (before, earliest) = (read[2].position, start(StartAt::Earliest));
    probe.doing("move a hook to where it is, which has settled one event out of order");
    let keeps = probe.traits.keeps_events;
    moved.is(moved.seek(to(&read[2])).await?, before, before..=before, u64::from(keeps), 0)?;
    drop(hook);
    let mut hook = moved.subscribe().await?;
    let read = hook.take(if keeps { 2 } else { 1 }).await?;
    probe.same(&moved.wanted[2..2 + read.len()], &read)?;
    hook.settle(&read[1..])?;
    probe.doing("ask what a hook is delivered again that goes back to the beginning");
    let again = if keeps { 3 } else { 0 };
    let said = moved.seek(earliest.clone().dry_run(true)).await?;
    let beginning = Position::new(0)..=before;
    moved.is(said, before, beginning.clone(), again, 0)?;
    probe.doing("read on when it was only asked where a hook would be");
    let rest = hook.take(2).await?;
    probe.same(&moved.wanted[4..], &rest)?;
    probe.doing("move a hook back to the beginning that has settled one event out of order");
    moved.is(moved.seek(earliest).await?, before, beginning, again, 0)?;
    drop(hook);
    let mut hook = moved.subscribe().await?;
    let left = if keeps { vec![0, 1, 2, 3, 4, 5] } else { vec![2, 4, 5] };
    let read = moved.reads(&mut hook, left).await?;
    let hook = ahead(&moved, hook, &read).await?;
    refusals(&moved).await?;
    if probe.traits.outlives_process { kept(moved, hook).await } else { Ok(()) }
}

/// Moves the hook ahead. It has these in hand.
async fn ahead<'a>(moved: &Moved<'a>, hook: End<'a>, read: &[Delivery]) -> Checked<End<'a>> {
    let probe = moved.probe;
    let wanted = |at: usize| {
        let is_it = |delivery: &&Delivery| delivery.envelope().id() == moved.wanted[at].id();
        read.iter().find(is_it).ok_or_else(|| probe.failed(format!("`wanted-{at}` was not read")))
    };
    let (open, target, last) = (wanted(2)?, wanted(4)?, wanted(5)?);
    let open = [open.position, last.position];
    hook.settle(read.iter().filter(|delivery| !open.contains(&delivery.position)))?;
    probe.doing("move a hook ahead that may skip nothing");
    let refused = matches!(moved.ask(to(target)).await, Err(SeekError::Ahead { .. }));
    probe.expect(refused, "it is not refused")?;
    probe.doing("move a hook ahead of one event that it has not settled");
    // It may pass what it has settled.
    let there = target.position..=open[1];
    moved.is(moved.seek(to(target).skip(true)).await?, open[0], there, 0, 1)?;
    drop(hook);
    let mut hook = moved.subscribe().await?;
    let skipped = moved.ledger.counts().dropped_for(DropReason::Skipped);
    probe.expect(skipped > 0, "no event is counted as skipped")?;
    let read = moved.reads(&mut hook, [5]).await?;
    probe.doing("move a hook to the end");
    moved.seek(start(StartAt::End).skip(true)).await?;
    drop((hook, read));
    let mut hook = moved.subscribe().await?;
    let read = moved.reads(&mut hook, []).await?;
    hook.settle(&read)?;
    probe.doing("count what a hook has skipped");
    let skipped = moved.ledger.counts().dropped_for(DropReason::Skipped) - skipped;
    probe.expect(skipped >= 2, format!("{skipped} events are counted as skipped"))?;
    Ok(hook)
}

async fn refusals(moved: &Moved<'_>) -> Checked {
    let probe = moved.probe;
    probe.doing("move a hook to a position that no event has yet");
    let far = Seek::to(SeekTo::Position(Position::new(u64::MAX / 2))).skip(true);
    let refused = matches!(moved.ask(far.clone()).await, Err(SeekError::BeyondEnd { .. }));
    probe.expect(refused, "it is not refused")?;
    probe.doing("move a hook that nobody knows");
    let unknown = moved.bus.hooks().seek(&HookId::new("unknown")?, &start(StartAt::Earliest)).await;
    probe.expect(matches!(unknown, Err(SeekError::Unknown(_))), format!("it says {unknown:?}"))
}

/// What was answered holds after a crash, and for a hook that is not subscribed.
async fn kept<'a>(mut moved: Moved<'a>, hook: End<'a>) -> Checked {
    let probe = moved.probe;
    let all = [0, 1, 2, 3, 4, 5].map(|at| moved.wanted[at].clone());
    moved.seek(start(StartAt::Earliest)).await?;
    drop(hook);
    probe.doing("crash when a hook was moved back, and open the bus again");
    probe.store.crash(moved.bus).await;
    moved = Moved { bus: probe.open().await?, ..moved };
    let mut hook = moved.subscribe().await?;
    let read = hook.take(6).await?;
    probe.same(&all, &read)?;
    hook.settle(&read)?;
    probe.doing("move a hook that is not subscribed");
    moved.bus.unsubscribe(&moved.id).await.map_err(|error| probe.failed(error))?;
    drop(hook);
    moved.seek(to(&read[3])).await?;
    let mut hook = moved.subscribe().await?;
    probe.same(&all[3..], &hook.take(3).await?)
}
