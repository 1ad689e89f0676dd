//! Checks of a bus's knowledge of hooks: their lag, what is kept of them, and their overrides.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::probe::Probe;
use crate::bus::{Bus, Lag, Read, Subscription};
use crate::conformance::events::typed;
use crate::conformance::run::{Checked, Stop};
use crate::envelope::Envelope;
use crate::filter::Filter;
use crate::id::HookId;
use crate::overrides::{DisabledBy, Override};

pub(super) async fn lag(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    probe.doing("ask for the lag of a hook that nobody knows");
    probe.expect(bus.monitor().lag(&HookId::new("unknown")?).is_none(), "there is one")?;
    let filter = Arc::new(Filter::types(["conformance.a"]));
    let mut hook = probe.subscribe(&*bus, Subscription { filter, ..probe.subscription("a")? }).await?;
    let id = hook.hook.clone();
    let (mut wanted, mut others): (Vec<Envelope>, Vec<Envelope>) = Default::default();
    for at in 0..4 {
        wanted.push(typed(&format!("wanted-{at}"), "conformance.a", "s")?);
        others.push(typed(&format!("other-{at}"), "conformance.b", "s")?);
    }
    probe.publish(&*bus, &wanted[..3]).await?;
    let read = hook.take(3).await?;
    for settled in 0..3 {
        probe.doing(format!("ask for the lag with three events in hand, {settled} of them settled"));
        let left = &wanted[settled..3];
        let lag = known_lag(probe, &*bus, &id)?;
        is_between(probe, &lag, left.len(), left.len())?;
        let bytes = left.iter().map(|event| event.len() as u64).sum::<u64>();
        probe.expect(lag.bytes == bytes, format!("it says {} bytes instead of {bytes}", lag.bytes))?;
        let oldest = lag.oldest.is_some_and(|oldest| oldest <= SystemTime::now());
        probe.expect(oldest, format!("it says that the oldest was accepted at {:?}", lag.oldest))?;
        hook.settle(&read[settled..=settled])?;
    }
    probe.until("the lag is 0", || bus.monitor().lag(&id).is_some_and(|lag| lag.events == 0 && lag.exact)).await;
    probe.publish(&*bus, &[&wanted[3..], &others].concat()).await?;
    probe.until("the lag shows what was published", || bus.monitor().lag(&id).is_some_and(|lag| lag.events > 0)).await;
    probe.doing("ask for the lag when one event that the hook wants and four others were not read");
    is_between(probe, &known_lag(probe, &*bus, &id)?, 1, 5)
}

fn known_lag(probe: &Probe<'_>, bus: &dyn Bus, hook: &HookId) -> Checked<Lag> {
    bus.monitor().lag(hook).ok_or_else(|| probe.failed("there is none"))
}

/// Checks that the lag is exactly `events`, or from there to `most` where it is an upper bound.
fn is_between(probe: &Probe<'_>, lag: &Lag, events: usize, most: usize) -> Checked {
    let most = if lag.exact { events } else { most };
    let fits = (events as u64..=most as u64).contains(&lag.events);
    probe.expect(fits, format!("it says {} events, exact: {}, instead of {events}", lag.events, lag.exact))
}

pub(super) async fn unsubscribing(probe: &Probe<'_>) -> Checked {
    let mut bus = probe.open().await?;
    let mut other = probe.hook(&*bus, "other").await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    let mut sent = probe.send(&*bus, "before", 4).await?;
    let read = hook.take(3).await?;
    hook.settle(&read[..2])?;
    probe.doing("remove a hook that has read three of four events and settled two");
    bus.unsubscribe(&hook.hook).await.map_err(|error| probe.failed(error))?;
    let said = hook.next(1, &mut Vec::new()).await?;
    probe.expect(said == Read::Dry, format!("`next` says {said:?} instead of Dry"))?;
    let counts = hook.ledger.counts();
    probe.expect(counts.in_flight == 0 && counts.balances(), format!("its ledger says: {counts}"))?;
    probe.doing("remove a hook that nobody knows");
    bus.unsubscribe(&HookId::new("unknown")?).await.map_err(|error| probe.failed(error))?;
    sent.extend(probe.send(&*bus, "meanwhile", 2).await?);
    probe.doing("read for another hook when one was removed");
    let read = other.take(6).await?;
    probe.same(&sent, &read)?;
    other.settle(&read)?;
    if probe.traits.outlives_process {
        drop((hook, other));
        probe.end(bus).await;
        bus = probe.open().await?;
    }
    probe.doing("subscribe the hook again");
    let mut again = probe.hook(&*bus, "a").await?;
    sent.push(probe.mark(&*bus).await?);
    let kept = if probe.traits.outlives_process { &sent[2..] } else { &sent[6..] };
    probe.same(kept, &again.until(&sent[6]).await?)
}

pub(super) async fn forgetting(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    let id = hook.hook.clone();
    probe.send(&*bus, "before", 3).await?;
    let read = hook.take(2).await?;
    hook.settle(&read[..1])?;
    bus.hooks().set_override(&id, Some(refused("gone"))).await.map_err(|error| probe.failed(error))?;
    bus.hooks().set_failing_since(&id, Some(after(7))).await.map_err(|error| probe.failed(error))?;
    let lasting = probe.traits.outlives_process;
    if lasting {
        probe.doing("forget a hook that is subscribed");
        probe.expect(bus.hooks().forget(&id).await.is_err(), "`forget` does not fail")?;
        probe
            .expect(bus.hooks().known_hooks() == [id.clone()], format!("known are {:?}", bus.hooks().known_hooks()))?;
    }
    probe.doing("remove the hook and forget it");
    bus.unsubscribe(&id).await.map_err(|error| probe.failed(error))?;
    for known in [lasting, false] {
        let forgotten = bus.hooks().forget(&id).await.map_err(|error| probe.failed(error))?;
        probe.expect(forgotten == known, format!("`forget` says {forgotten} instead of {known}"))?;
    }
    let (known, failing) = (bus.hooks().known_hooks(), bus.hooks().failing_since(&id));
    let left = (known, bus.hooks().overrides(&id), failing, bus.monitor().lag(&id));
    probe.expect(left == (Vec::new(), None, None, None), format!("still known are {left:?}"))?;
    probe.doing("subscribe a hook that was forgotten");
    let mut hook = probe.hook(&*bus, "a").await?;
    let marker = probe.mark(&*bus).await?;
    probe.same([&marker], &hook.until(&marker).await?)
}

pub(super) async fn overrides(probe: &Probe<'_>) -> Checked {
    let mut bus = probe.open().await?;
    let (id, other) = (HookId::new("a")?, HookId::new("a.b")?);
    for to in [Some(refused("first")), Some(refused("{\"é\":\"\\n\"}")), None] {
        probe.doing(format!("set the override of a hook to {to:?}"));
        bus.hooks().set_override(&id, to.clone()).await.map_err(|error| probe.failed(error))?;
        if to.is_some() && bus.hooks().overrides(&id).is_none() && !probe.traits.outlives_process {
            return Err(Stop::Skipped("the bus keeps nothing about hooks".to_owned()));
        }
        let there = (bus.hooks().overrides(&id), bus.hooks().overrides(&other));
        probe.expect(there == (to.clone(), None), format!("its own and another hook's are {there:?}"))?;
        if !probe.traits.outlives_process {
            continue;
        }
        probe.doing(format!("open the bus again when the override was {to:?}"));
        probe.end(bus).await;
        bus = probe.open().await?;
        let there = bus.hooks().overrides(&id);
        probe.expect(there == to, format!("the override is {there:?}"))?;
    }
    for to in [Some(after(7)), Some(after(8)), None] {
        probe.doing(format!("keep that a hook's receiver fails since {to:?}"));
        bus.hooks().set_failing_since(&id, to).await.map_err(|error| probe.failed(error))?;
        if probe.traits.outlives_process {
            probe.end(bus).await;
            bus = probe.open().await?;
            let there = (bus.hooks().failing_since(&id), bus.hooks().failing_since(&other));
            probe.expect(there == (to, None), format!("its own and another hook's are {there:?}"))?;
        }
    }
    Ok(())
}

fn after(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// An override of a hook that its receiver disabled for this reason.
pub(super) fn refused(said: &str) -> Override {
    let since = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let files = Some(said.to_owned());
    Override { sink: u64::MAX, files, ..Override::disabled(DisabledBy::Receiver, Some(said.to_owned()), since) }
}
