//! Checks of publishing: events are accepted in one order, as a whole, unchanged, and until the bus is closed.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::end::End;
use super::probe::{Probe, drop_after};
use crate::bus::{Bus, BusError, Delivery, Overflow, Subscription};
use crate::conformance::events;
use crate::conformance::run::{Checked, POLLS};
use crate::envelope::Envelope;
use crate::filter::Filter;

pub(super) async fn order(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (mut many, mut few) = (probe.hook(&*bus, "many").await?, probe.hook(&*bus, "few").await?);
    probe.doing("publish in calls of 1, 7, 100, 2 and 50 events and read");
    let mut sent = Vec::new();
    for (round, size) in [1, 7, 100, 2, 50].into_iter().enumerate() {
        sent.extend(probe.send(&*bus, &format!("order-{round}"), size).await?);
    }
    sent.push(probe.mark(&*bus).await?);
    let read = many.until(&sent[160]).await?;
    probe.same(&sent, &read)?;
    many.settle(&read)?;
    many.is_done(161)?;
    probe.doing("read the same for another hook, few at a time");
    let mut again = Vec::new();
    while again.len() < 161 {
        let some = 1 + again.len() % 3;
        again.extend(few.take(some.min(161 - again.len())).await?);
    }
    probe.same(&sent, &again)?;
    let positions = |read: &[Delivery]| read.iter().map(|delivery| delivery.position).collect::<Vec<_>>();
    probe.expect(positions(&read) == positions(&again), "the two hooks see other positions")?;
    few.settle(&again)?;
    few.is_done(161)
}

pub(super) async fn verbatim(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    for (what, sent) in [("in peculiar JSON", events::peculiar()?), ("of 64 KiB", events::sized("64-KiB", 64 << 10)?)] {
        probe.doing(format!("publish events {what} and read them"));
        probe.publish(&*bus, &sent).await?;
        let read = hook.take(sent.len()).await?;
        probe.same(&sent, &read)?;
        hook.settle(&read)?;
    }
    Ok(())
}

pub(super) async fn publishers(probe: &Probe<'_>) -> Checked {
    const CALLS: usize = 10;
    let bus = probe.open().await?;
    let (mut first, mut second) = (probe.hook(&*bus, "first").await?, probe.hook(&*bus, "second").await?);
    probe.doing("publish from eight tasks at the same time and read");
    let publisher = async |name: String| {
        let mut sent = Vec::new();
        for call in 0..CALLS {
            sent.extend(probe.send(&*bus, &format!("{name}-{call}"), 3).await?);
        }
        Checked::Ok(sent)
    };
    let sent = try_join_all((0..8).map(|name| publisher(format!("publisher-{name}")))).await?;
    let marker = probe.mark(&*bus).await?;
    let read = first.until(&marker).await?;
    probe.expect(read.len() == 8 * CALLS * 3 + 1, format!("{} events come instead of 241", read.len()))?;
    for sent in &sent {
        let is_own = |delivery: &&Delivery| sent.iter().any(|event| event.id() == delivery.envelope().id());
        probe.same(sent, &read.iter().filter(is_own).cloned().collect::<Vec<_>>())?;
    }
    let calls = read.chunks_exact(3).map(|call| call.iter().map(|event| call_of(event.envelope().id())));
    let together = calls.map(|mut call| call.next().is_some_and(|first| call.all(|other| other == first)));
    probe.expect(!probe.traits.atomic || together.min() == Some(true), "events of one call do not stand together")?;
    probe.doing("read the same for another hook");
    let again = second.until(&marker).await?;
    probe.same(read.iter().map(|delivery| delivery.envelope()), &again)
}

/// The call that an event was published in, by its id.
fn call_of(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(call, _)| call)
}

pub(super) async fn all_or_nothing(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    probe.doing("publish nothing");
    probe.publish(&*bus, &[]).await?;
    let middle = events::typed("reserved", "hooks.endpoint.held", "a")?;
    let error = refused(probe, &*bus, &mut hook, "of the dispatcher's own type", middle).await?;
    probe
        .expect(matches!(error, BusError::Reserved(_)), format!("`publish` fails as if for another reason: {error}"))?;
    let Some(length) = probe.store.too_large() else { return Ok(()) };
    let middle = events::sized("large", length)?[0].clone();
    let error = refused(probe, &*bus, &mut hook, "that is too large", middle).await?;
    probe.expect(matches!(error, BusError::TooLarge(_)), format!("`publish` fails as if for another reason: {error}"))
}

/// Checks that a call with a refused event leaves only the events that its error names: none where calls are atomic.
async fn refused(
    probe: &Probe<'_>,
    bus: &dyn Bus,
    hook: &mut End<'_>,
    what: &str,
    middle: Envelope,
) -> Checked<BusError> {
    let name = middle.id().to_owned();
    let before = events::events(&format!("before-{name}"), 2)?;
    let events = [&*before, &[middle], &*events::events(&name, 2)?].concat();
    probe.doing(format!("publish five events, the third of which is one {what}"));
    let error = match bus.publish(events::together(&events)?).await {
        Ok(_) => return Err(probe.failed("`publish` says Ok")),
        Err(error) => error,
    };
    let (reason, accepted) = error.parts();
    probe.expect(accepted.is_empty() || !probe.traits.atomic, format!("some are accepted: {error}"))?;
    let marker = probe.mark(bus).await?;
    let read = hook.until(&marker).await?;
    let said = accepted.iter().flat_map(|range| &events[range.clone()]);
    probe.same(said.chain([&marker]), &read)?;
    hook.settle(&read)?;
    Ok(reason.clone())
}

pub(super) async fn cancelled_publish(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    // Where it is bounded, this hook makes a publisher wait; elsewhere the future is dropped on its way.
    let mut hook = probe.subscribe(&*bus, probe.limited("a", 4, Overflow::Block)?).await?;
    for polls in POLLS {
        let first = probe.send(&*bus, &format!("first-{polls}"), 3).await?;
        let dropped = events::events(&format!("dropped-{polls}"), 3)?;
        probe.doing(format!("drop the future of `publish` after {polls} polls, read and publish another"));
        let done = drop_after(polls, bus.publish(dropped.clone())).await.is_some_and(|result| result.is_ok());
        let mut read = hook.take(3).await?;
        hook.settle(&read)?;
        let marker = probe.mark(&*bus).await?;
        let rest = hook.until(&marker).await?;
        hook.settle(&rest)?;
        read.extend(rest);
        let is_there = |event: &&Envelope| read.iter().any(|delivery| delivery.envelope().id() == event.id());
        let there = if done { 3 } else { dropped.iter().filter(is_there).count() };
        let whole = there == 0 || there == 3 || !probe.traits.atomic;
        probe.expect(whole, format!("{there} of the 3 events of the call that was dropped come"))?;
        let kept: Vec<&Envelope> = dropped.iter().filter(|event| done || is_there(event)).collect();
        probe.same(first.iter().chain(kept).chain([&marker]), &read)?;
    }
    Ok(())
}

pub(super) async fn counting(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    let before = bus.monitor().stats();
    probe.doing("publish 5 events");
    let sent = probe.send(&*bus, "counting", 5).await?;
    let accepted = |events: u64| {
        let stats = bus.monitor().stats().accepted;
        probe.expect(stats == before.accepted + events, format!("{stats} events are counted as accepted"))
    };
    accepted(5)?;
    probe.doing("publish an event that is refused");
    let refused = bus.publish(events::typed("refused", "hooks.endpoint.held", "a")?.into()).await;
    probe.expect(refused.is_err(), "`publish` says Ok")?;
    accepted(5)?;
    probe.doing("publish the same 5 events again");
    let published = probe.published(&*bus, &sent).await?;
    accepted(10)?;
    let duplicates = bus.monitor().stats().duplicates;
    let expected = duplicates.map(|_| before.duplicates.unwrap_or(0) + 5);
    probe.expect(duplicates == expected, format!("{duplicates:?} events are counted as duplicates"))?;
    let known = if duplicates.is_some() { 5 } else { 0 };
    probe.expect(published.duplicates == known, format!("`publish` answers {published:?}"))?;
    let marker = probe.mark(&*bus).await?;
    let read = hook.until(&marker).await?;
    let again = if duplicates.is_none() { &sent[..] } else { &[] };
    probe.same(sent.iter().chain(again).chain([&marker]), &read)
}

pub(super) async fn closing(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut all = probe.hook(&*bus, "all").await?;
    let filter = Arc::new(Filter::types(["conformance.other"]));
    let mut none = probe.subscribe(&*bus, Subscription { filter, ..probe.subscription("none")? }).await?;
    let filter = Arc::new(Filter::all().subjects(["nobody"]));
    let mut picky = probe.subscribe(&*bus, Subscription { filter, ..probe.subscription("picky")? }).await?;
    let sent = probe.send(&*bus, "closing", 20).await?;
    let first = all.take(5).await?;
    probe.doing("close the bus, twice");
    bus.close().await;
    bus.close().await;
    probe.doing("publish when the bus is closed");
    for events in [&sent[..1], &[]] {
        let closed = matches!(bus.publish(events::together(events)?).await, Err(BusError::Closed));
        probe.expect(closed, format!("`publish` of {} events does not say that the bus is closed", events.len()))?;
    }
    probe.doing("read what was accepted before the bus was closed");
    let rest = all.drain().await?;
    probe.same(&sent, &[first.clone(), rest.clone()].concat())?;
    all.settle(first.iter().chain(&rest))?;
    all.is_done(20)?;
    for end in [&mut none, &mut picky] {
        probe.doing(format!("read for the hook `{}`, which has nothing to read, when the bus is closed", end.hook));
        probe.same([], &end.drain().await?)?;
    }
    bus.finish().await;
    all.is_done(20)
}
