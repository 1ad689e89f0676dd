//! Checks of several processes: one ends and another begins, or several have the log.

use std::collections::HashSet;

use futures_util::future::{Either, select};

use super::end::End;
use super::keeping::refused;
use super::probe::Probe;
use crate::bus::{Bus, Delivery, Read, StartAt, Subscription};
use crate::conformance::run::Checked;
use crate::envelope::Envelope;

pub(super) async fn claims(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    probe.doing("compare the traits of the bus with those of the store");
    let (found, expected) = (bus.traits(), probe.traits);
    probe.expect(found == expected, format!("the bus says {found:?}, the store {expected:?}"))?;
    probe.expect(found.outlives_process || !found.shared, "a bus is shared that does not outlive its process")?;
    if found.outlives_process {
        return Ok(());
    }
    probe.doing("open a bus that does not outlive its process once more");
    probe.send(&*bus, "before", 1).await?;
    let log = bus.log_id();
    probe.end(bus).await;
    let again = probe.open().await?;
    probe.expect(again.log_id() != log, "it is said to be the same log")?;
    let mut hook =
        probe.subscribe(&*again, Subscription { from: StartAt::Earliest, ..probe.subscription("a")? }).await?;
    let marker = probe.mark(&*again).await?;
    probe.same([&marker], &hook.until(&marker).await?)
}

/// Opens a bus with 20 events, of which hook `a` has read 15 and settled some. Returns the settled ones, too.
async fn some_settled<'p>(probe: &'p Probe<'_>, bus: &dyn Bus) -> Checked<(Vec<Envelope>, Vec<Delivery>, End<'p>)> {
    let mut hook = probe.hook(bus, "a").await?;
    let sent = probe.send(bus, "settled", 20).await?;
    let read = hook.take(15).await?;
    let settled: Vec<Delivery> = [0, 1, 2, 5, 6, 9, 14].iter().map(|at| read[*at].clone()).collect();
    hook.settle(&settled)?;
    Ok((sent, settled, hook))
}

/// The events of these that were not settled.
fn unsettled<'e>(sent: &'e [Envelope], settled: &[Delivery]) -> Vec<&'e Envelope> {
    let is_settled = |event: &Envelope| settled.iter().any(|settled| settled.envelope().id() == event.id());
    sent.iter().filter(|event| !is_settled(event)).collect()
}

pub(super) async fn restart(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let _other = probe.hook(&*bus, "other").await?;
    let (mut sent, settled, hook) = some_settled(probe, &*bus).await?;
    let log = bus.log_id();
    probe.doing("close, finish and open the bus again, with events settled out of order");
    bus.close().await;
    drop((hook, _other));
    probe.end(bus).await;
    let bus = probe.open().await?;
    probe.expect(bus.log_id() == log, "it is said to be another log")?;
    let mut known = bus.hooks().known_hooks();
    known.sort();
    probe.expect(known.iter().map(|hook| hook.as_str()).eq(["a", "other"]), format!("known are {known:?}"))?;
    let mut hook = probe.hook(&*bus, "a").await?;
    let mut other = probe.hook(&*bus, "other").await?;
    sent.push(probe.mark(&*bus).await?);
    let read = hook.until(&sent[20]).await?;
    probe.same(unsettled(&sent, &settled), &read)?;
    probe.doing("compare positions before and after");
    let by_other = other.until(&sent[20]).await?;
    probe.same(&sent, &by_other)?;
    let is_same = |settled: &Delivery| {
        by_other.iter().any(|read| read.position == settled.position && read.envelope().id() == settled.envelope().id())
    };
    probe.expect(settled.iter().all(is_same), "events stand elsewhere")?;
    hook.settle(&read)?;
    hook.is_done(read.len())
}

pub(super) async fn crash(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (mut sent, settled, hook) = some_settled(probe, &*bus).await?;
    probe.doing("crash, and open the bus again");
    drop(hook);
    probe.store.crash(bus).await;
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    sent.push(probe.mark(&*bus).await?);
    let read = hook.until(&sent[20]).await?;
    has_unsettled(probe, &sent, &settled, &read)
}

/// Checks that the unsettled events came, in order, each once. Settled ones may have come again.
fn has_unsettled(probe: &Probe<'_>, sent: &[Envelope], settled: &[Delivery], read: &[Delivery]) -> Checked {
    let again: HashSet<&str> = read.iter().map(|delivery| delivery.envelope().id()).collect();
    let unsettled: HashSet<&str> = unsettled(sent, settled).into_iter().map(Envelope::id).collect();
    let expected = sent.iter().filter(|event| unsettled.contains(event.id()) || again.contains(event.id()));
    probe.same(expected, read)
}

pub(super) async fn one_at_a_time(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    probe.send(&*bus, "first", 1).await?;
    probe.doing("open the bus while it is open");
    probe.expect(probe.store.open().await.is_err(), "it opens")?;
    probe.doing("open the bus when it has ended");
    probe.end(bus).await;
    probe.open().await.map(drop)
}

pub(super) async fn takeover(probe: &Probe<'_>) -> Checked {
    let (bus, next) = (probe.open().await?, probe.open().await?);
    let (mut sent, settled, mut before) = some_settled(probe, &*bus).await?;
    let mut after = probe.hook(&*next, "a").await?;
    probe.doing("end one of two processes, the one that has the hook, and read on with the other");
    bus.finish().await;
    sent.push(probe.mark(&*next).await?);
    let read = after.until(&sent[20]).await?;
    has_unsettled(probe, &sent, &settled, &read)?;
    probe.until("the settler of the one that has the hook says so", || after.settler.holds()).await;
    probe.doing("ask whether a hook is still one's own");
    probe.expect(!before.settler.holds(), "the settler of the one that had the hook says that it has it still")?;
    after.settle(&read)?;
    probe.doing("read on with the one that had the hook");
    let mut late = Vec::new();
    while before.next(1, &mut late).await? != Read::Lost {
        // The events that were fetched before the loss was known.
        probe.expect(late.len() < sent.len(), "it reads all, and is not Lost")?;
    }
    Ok(())
}

pub(super) async fn takeover_after_crash(probe: &Probe<'_>) -> Checked {
    let (bus, next) = (probe.open().await?, probe.open().await?);
    let (mut sent, settled, before) = some_settled(probe, &*bus).await?;
    let mut after = probe.hook(&*next, "a").await?;
    probe.doing("crash one of two processes, the one that has the hook, and read on with the other");
    drop(before);
    probe.store.crash(bus).await;
    sent.push(probe.mark(&*next).await?);
    let read = after.until(&sent[20]).await?;
    has_unsettled(probe, &sent, &settled, &read)
}

pub(super) async fn sharing(probe: &Probe<'_>) -> Checked {
    let buses = [probe.open().await?, probe.open().await?];
    probe.expect(buses[0].log_id() == buses[1].log_id(), "two processes say that they have different logs")?;
    let mut ends = [probe.hook(&*buses[0], "a").await?, probe.hook(&*buses[1], "a").await?];
    probe.doing("publish through two processes and read in both");
    let mut sent = probe.send(&*buses[0], "one", 10).await?;
    sent.extend(probe.send(&*buses[1], "two", 10).await?);
    sent.push(probe.mark(&*buses[0]).await?);
    let (read, moved) = read_both(&mut ends, &sent[20]).await?;
    let by = |end: usize| read.iter().filter(move |(by, _)| *by == end).map(|(_, delivery)| delivery.clone());
    let (one, two): (Vec<_>, Vec<_>) = (by(0).collect(), by(1).collect());
    if moved {
        // The next owner may get the last settled events again.
        let all: Vec<Delivery> = read.into_iter().map(|(_, delivery)| delivery).collect();
        let mut seen = HashSet::new();
        let first = all.into_iter().filter(|delivery| seen.insert(delivery.position));
        return probe.same(&sent, &first.collect::<Vec<_>>());
    }
    probe.expect(one.is_empty() || two.is_empty(), "both deliver")?;
    probe.same(&sent, &[one, two].concat())
}

/// Reads the events of a hook in two processes, up to this event. Returns each with the index of
/// its process, and true if the hook moved.
async fn read_both(ends: &mut [End<'_>; 2], last: &Envelope) -> Checked<(Vec<(usize, Delivery)>, bool)> {
    let mut all: Vec<(usize, Delivery)> = Vec::new();
    let mut moved = false;
    while all.last().is_none_or(|(_, read)| read.envelope().id() != last.id()) {
        let (mut by_one, mut by_two) = (Vec::new(), Vec::new());
        let [one, two] = &mut *ends;
        let said = {
            let (one, two) = (Box::pin(one.next(1, &mut by_one)), Box::pin(two.next(1, &mut by_two)));
            // Each has its turn to be first.
            let both = if all.len().is_multiple_of(2) { select(one, two) } else { select(two, one) };
            match both.await {
                Either::Left((said, _)) | Either::Right((said, _)) => said?,
            }
        };
        moved |= said == Read::Lost;
        for (end, read) in [by_one, by_two].into_iter().enumerate() {
            ends[end].settle(&read)?;
            all.extend(read.into_iter().map(|delivery| (end, delivery)));
        }
        tokio::task::yield_now().await;
    }
    Ok((all, moved))
}

pub(super) async fn shared_overrides(probe: &Probe<'_>) -> Checked {
    let (here, elsewhere) = (probe.open().await?, probe.open().await?);
    let hook = probe.hook(&*here, "a").await?;
    for to in [Some(refused("gone")), None] {
        probe.doing(format!("set the override of a hook to {to:?} in one process and wait for word of it in another"));
        elsewhere.hooks().set_override(&hook.hook, to.clone()).await.map_err(|error| probe.failed(error))?;
        let changed = here.hooks().follow_overrides().await;
        probe.expect(changed == hook.hook, format!("it is said to be about `{changed}`"))?;
        let there = here.hooks().overrides(&hook.hook);
        here.hooks().override_followed(&hook.hook);
        probe.expect(there == to, format!("the override is {there:?}"))?;
    }
    Ok(())
}
