//! Checks of limits: memory is bounded, and a slow, full or disabled hook harms no other.

use std::sync::Arc;

use futures_util::future::{Either, join, ready, select};

use super::end::End;
use super::probe::Probe;
use crate::bus::{Bus, Delivery, Overflow, Read, Subscription, WINDOW};
use crate::conformance::run::Checked;
use crate::envelope::Envelope;
use crate::filter::Filter;
use crate::ledger::DropReason;

/// Events that are published beyond the window.
const OVER_WINDOW: usize = 600;

pub(super) async fn window(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let filter = Arc::new(Filter::types(["conformance.event"]));
    let subscription = Subscription { filter, ..probe.limited("full", 2 * WINDOW, Overflow::Block)? };
    let mut full = probe.subscribe(&*bus, subscription).await?;
    // Who reads this one knows that the other could have read on.
    let filter = Arc::new(Filter::types(["conformance.a"]));
    let mut other = probe.subscribe(&*bus, Subscription { filter, ..probe.subscription("other")? }).await?;
    probe.doing(format!("publish {} events", WINDOW + OVER_WINDOW));
    let mut sent = Vec::new();
    while sent.len() < WINDOW + OVER_WINDOW {
        let left = (WINDOW + OVER_WINDOW - sent.len()).min(5_000);
        sent.extend(probe.send(&*bus, &format!("window-{}", sent.len()), left).await?);
    }
    probe.doing("read as many as there may be in hand");
    let read = full.take(WINDOW).await?;
    probe.doing(format!("read on with {WINDOW} events in hand"));
    reads_nothing(probe, &*bus, &mut full, &mut other).await?;
    full.settle(&read[1..])?;
    probe.doing("read on when all but the oldest of them are settled");
    reads_nothing(probe, &*bus, &mut full, &mut other).await?;
    full.settle(&read[..1])?;
    probe.doing("read on when the oldest of them is settled");
    let rest = full.take(OVER_WINDOW).await?;
    full.settle(&rest)?;
    probe.same(&sent, &[read, rest].concat())?;
    full.is_done(WINDOW + OVER_WINDOW)
}

/// Checks that the hook reads nothing while another reads newly published events.
async fn reads_nothing(probe: &Probe<'_>, bus: &dyn Bus, full: &mut End<'_>, other: &mut End<'_>) -> Checked {
    let marker = probe.mark(bus).await?;
    let mut marked = Box::pin(other.until(&marker));
    let mut read = Vec::new();
    let mut flushes = 0;
    loop {
        let next = Box::pin(full.next(1_000, &mut read));
        match select(next, &mut marked).await {
            Either::Right((marked, _)) => return marked.map(drop),
            Either::Left((Ok(Read::Flush), _)) if flushes < 10 => flushes += 1,
            Either::Left((said, _)) => return Err(probe.failed(format!("`next` says {:?}", said?))),
        }
    }
}

pub(super) async fn queue_limits(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut drops = probe.subscribe(&*bus, probe.limited("drops", 4, Overflow::DropOldest)?).await?;
    probe.doing("publish 10 events for a hook that holds 4 and drops the oldest, then read");
    let mut sent = Vec::new();
    for at in 0..9 {
        sent.extend(probe.send(&*bus, &format!("drops-{at}"), 1).await?);
    }
    sent.push(probe.mark(&*bus).await?);
    reads_newest(probe, &mut drops, &sent).await?;
    bus.unsubscribe(&drops.hook).await.map_err(|error| probe.failed(error))?;
    let mut blocks = probe.subscribe(&*bus, probe.limited("blocks", 2, Overflow::Block)?).await?;
    probe.doing("publish 6 events for a hook that holds 2 and makes publishers wait, and read, settling when asked");
    let publishing = async {
        let mut sent = Vec::new();
        for at in 0..6 {
            sent.extend(probe.send(&*bus, &format!("blocks-{at}"), 1).await?);
        }
        Checked::Ok(sent)
    };
    let (sent, read) = join(publishing, read_until_flush(&mut blocks, 6)).await;
    probe.same(&sent?, &read?)?;
    blocks.is_done(6)
}

/// Reads this many events and settles them when a publisher waits, and at the end.
async fn read_until_flush(hook: &mut End<'_>, count: usize) -> Checked<Vec<Delivery>> {
    let (mut read, mut settled) = (Vec::new(), 0);
    while read.len() < count {
        if hook.next(count - read.len(), &mut read).await? != Read::Flush && read.len() < count {
            continue;
        }
        hook.settle(&read[settled..])?;
        settled = read.len();
        // The settled events make room for a publisher.
        tokio::task::yield_now().await;
    }
    Ok(read)
}

/// Checks that the hook reads these but for the oldest, which its ledger counts as dropped.
async fn reads_newest(probe: &Probe<'_>, hook: &mut End<'_>, sent: &[Envelope]) -> Checked {
    let read = hook.until(&sent[sent.len() - 1]).await?;
    let dropped = sent.len().saturating_sub(read.len());
    probe.same(&sent[dropped..], &read)?;
    let counted = hook.ledger.counts().dropped_for(DropReason::Overflow);
    probe.expect(counted == dropped as u64, format!("{counted} events are counted as dropped instead of {dropped}"))?;
    hook.settle(&read)?;
    hook.is_done(read.len())
}

pub(super) async fn isolation(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (mut slow, mut quick) = (probe.hook(&*bus, "slow").await?, probe.hook(&*bus, "quick").await?);
    probe.doing("publish and read for one hook while another reads nothing");
    let mut sent = Vec::new();
    for round in 0..20 {
        let events = probe.send(&*bus, &format!("isolation-{round}"), 10).await?;
        let read = quick.take(10).await?;
        probe.same(&events, &read)?;
        quick.settle(&read)?;
        sent.extend(events);
    }
    quick.is_done(200)?;
    probe.doing("read for the hook that read nothing");
    let marker = probe.mark(&*bus).await?;
    let read = slow.until(&marker).await?;
    probe.same(sent.iter().chain([&marker]), &read)?;
    slow.settle(&read)?;
    slow.is_done(201)?;
    makes_only_its_own_wait(probe, &*bus, &mut quick).await
}

/// Checks that a full hook makes publishers wait only with events that it wants.
async fn makes_only_its_own_wait(probe: &Probe<'_>, bus: &dyn Bus, quick: &mut End<'_>) -> Checked {
    let filter = Arc::new(Filter::types(["conformance.a"]));
    let subscription = Subscription { filter, ..probe.limited("full", 1, Overflow::Block)? };
    let mut full = probe.subscribe(bus, subscription).await?;
    let first = probe.mark(bus).await?;
    probe.doing("publish an event that a full hook does not want while it makes another publisher wait");
    let waits = Box::pin(probe.mark(bus));
    let goes_on = Box::pin(async {
        let events = probe.send(bus, "free", 1).await?;
        quick.until(&events[0]).await.map(drop)
    });
    let (waits, others) = match select(waits, goes_on).await {
        Either::Left((marker, goes_on)) => (Either::Left(ready(marker)), goes_on.await),
        Either::Right((others, waits)) => (Either::Right(waits), others),
    };
    others?;
    probe.doing("read for the full hook");
    let read = full.take(1).await?;
    probe.same([&first], &read)?;
    full.settle(&read)?;
    let second = waits.await?;
    let read = full.until(&second).await?;
    probe.same([&second], &read)?;
    full.settle(&read)?;
    full.is_done(2)
}

pub(super) async fn disabled(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.subscribe(&*bus, probe.limited("a", 2, Overflow::Block)?).await?;
    probe.doing("disable a hook that holds 2 events and makes publishers wait, then publish 6");
    hook.reader.set_enabled(false);
    let mut sent = Vec::new();
    for at in 0..5 {
        sent.extend(probe.send(&*bus, &format!("disabled-{at}"), 1).await?);
    }
    sent.push(probe.mark(&*bus).await?);
    probe.doing("enable it again and read");
    hook.reader.set_enabled(true);
    reads_newest(probe, &mut hook, &sent).await
}
