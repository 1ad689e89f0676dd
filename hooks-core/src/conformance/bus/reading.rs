//! Checks of reading: a hook reads the events that match, from its position, until it has settled them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::end::End;
use super::probe::{Probe, drop_after};
use crate::bus::{Bus, Position, Read, StartAt, Subscription};
use crate::conformance::events::{events, of_tenant, placed, typed};
use crate::conformance::run::{Checked, POLLS};
use crate::envelope::Envelope;
use crate::event_pattern::EventPattern;
use crate::filter::Filter;
use crate::id::TenantId;
use crate::ledger::Outcome;

pub(super) async fn filters(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let filters = [
        ("one-type", Filter::types(["conformance.a"])),
        ("types", Filter::types(["conformance.a", "conformance.b.*"])),
        ("not-a-type", Filter::types(["conformance.*"]).except_types(["conformance.b.c"])),
        ("subject", Filter::all().subjects(["marker", "mine-*"])),
        ("not-a-subject", Filter::types(["*.a"]).except_subjects(["mine-1"])),
        ("source", Filter::types(["conformance.*"]).sources(["/shop/*"]).except_sources(["/shop/2"])),
        ("attribute", Filter::all().attribute("place", ["eu-*"])),
        ("not-an-attribute", Filter::types(["conformance.a"]).except_attribute("place", ["eu-*"])),
        ("data", Filter::all().data(EventPattern::new(&json!({ "n": [1, { "numeric": [">=", 3] }] }))?)),
        ("no-data", Filter::types(["*.a"]).data(EventPattern::new(&json!({ "n": [{ "exists": false }] }))?)),
    ];
    let mut ends = subscribe_all(probe, &*bus, filters).await?;
    let mut sent: Vec<Envelope> = Vec::new();
    for event_type in ["conformance.a", "conformance.b", "conformance.b.c", "conformance.b.c.d", "other.a"] {
        for subject in ["mine-1", "mine-2", "other"] {
            sent.push(typed(&format!("{event_type}-{subject}"), event_type, subject)?);
        }
    }
    for source in ["/shop/1", "/shop/2", "/conformance"] {
        for place in ["eu-1", "us-1"] {
            sent.push(placed(&format!("{source}-{place}"), source, place)?);
        }
    }
    sent.extend(events("data", 5)?.iter().cloned());
    probe.publish(&*bus, &sent).await?;
    sent.push(probe.mark(&*bus).await?);
    each_reads_its_own(probe, &mut ends, &sent).await
}

pub(super) async fn tenants(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let acme = Filter::all().tenant(TenantId::new("acme")?);
    let filters = [
        ("everybodys", Filter::all()),
        ("acmes", acme.clone()),
        ("acmes-type", Filter { types: vec!["conformance.a".into()], ..acme.clone() }),
        ("acmes-subject", acme.subjects(["s"])),
        ("others", Filter::all().tenant(TenantId::new("other")?)),
    ];
    let mut ends = subscribe_all(probe, &*bus, filters).await?;
    let mut sent: Vec<Envelope> = Vec::new();
    for round in 0..4 {
        for event_type in ["conformance.a", "conformance.b"] {
            sent.push(typed(&format!("nobodys-{event_type}-{round}"), event_type, "s")?);
            for tenant in ["acme", "other", "ac", "nobody"] {
                sent.push(of_tenant(&format!("{tenant}-{event_type}-{round}"), event_type, tenant)?);
            }
        }
    }
    for tenant in ["acme", "other"] {
        sent.push(of_tenant(&format!("{tenant}-last"), "conformance.a", tenant)?);
    }
    probe.doing("publish events of tenants and of none, in several calls");
    for part in sent.chunks(7) {
        probe.publish(&*bus, part).await?;
    }
    each_reads_its_own(probe, &mut ends, &sent).await
}

type Filtered<'a> = (Arc<Filter>, End<'a>);

async fn subscribe_all<'a, const N: usize>(
    probe: &'a Probe<'a>,
    bus: &dyn Bus,
    filters: [(&str, Filter); N],
) -> Checked<Vec<Filtered<'a>>> {
    let mut ends = Vec::new();
    for (hook, filter) in filters {
        let filter = Arc::new(filter);
        let subscription = Subscription { filter: filter.clone(), ..probe.subscription(hook)? };
        ends.push((filter, probe.subscribe(bus, subscription).await?));
    }
    Ok(ends)
}

/// Reads up to the last event that each wants, and settles.
async fn each_reads_its_own(probe: &Probe<'_>, ends: &mut [Filtered<'_>], sent: &[Envelope]) -> Checked {
    for (filter, end) in ends {
        probe.doing(format!("read for the hook `{}`", end.hook));
        let wanted: Vec<_> = sent.iter().filter(|event| filter.matches(event)).collect();
        let Some(last) = wanted.last() else { return Err(probe.failed("no event is wanted")) };
        let read = end.until(last).await?;
        probe.same(wanted, &read)?;
        end.settle(&read)?;
        end.is_done(read.len())?;
    }
    Ok(())
}

pub(super) async fn filter_change(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let _all = probe.hook(&*bus, "all").await?;
    let filter = Arc::new(Filter::types(["conformance.b"]));
    let before = Subscription { filter, ..probe.subscription("changes")? };
    let mut hook = probe.subscribe(&*bus, before.clone()).await?;
    let mut sent: Vec<Vec<Envelope>> = Vec::new();
    for part in ["conformance.b", "conformance.a"].map(|kind| (0..6).map(move |at| (format!("{kind}-{at}"), kind))) {
        let events = part.map(|(id, kind)| typed(&id, kind, "s")).collect::<Result<Vec<_>, _>>()?;
        probe.publish(&*bus, &events).await?;
        sent.push(events);
    }
    let first = hook.take(2).await?;
    probe.same(&sent[0][..2], &first)?;
    probe.doing("change the filter after two of six events were read, publish more and read");
    let filter = Arc::new(Filter::types(["conformance.a"]));
    hook.reader.reconfigure(Subscription { filter, ..before });
    let old = typed("old", "conformance.b", "s")?;
    let new = typed("new", "conformance.a", "s")?;
    probe.publish(&*bus, &[old, new.clone()]).await?;
    let marker = probe.mark(&*bus).await?;
    let read = hook.until(&marker).await?;
    let waiting = if probe.traits.keeps_events { &sent[1][..] } else { &[] };
    probe.same(waiting.iter().chain([&new, &marker]), &read)?;
    hook.settle(first.iter().chain(&read))?;
    hook.is_done(first.len() + read.len())
}

pub(super) async fn beginning(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let _first = probe.hook(&*bus, "first").await?;
    let sent = probe.send(&*bus, "before", 3).await?;
    probe.doing("begin at the end and at the earliest event, then publish");
    let mut late = probe.hook(&*bus, "late").await?;
    let from = |hook: &str, from| Checked::Ok(Subscription { from, ..probe.subscription(hook)? });
    let mut early = probe.subscribe(&*bus, from("early", StartAt::Earliest)?).await?;
    probe.doing("begin an hour ago and in an hour, then publish");
    let hour = Duration::from_secs(3600);
    let mut since = probe.subscribe(&*bus, from("since", StartAt::Ago(hour.into()))?).await?;
    let mut ahead = probe.subscribe(&*bus, from("ahead", StartAt::Time(SystemTime::now() + hour))?).await?;
    let after = probe.send(&*bus, "after", 2).await?;
    let marker = probe.mark(&*bus).await?;
    let new = after.iter().chain([&marker]);
    let read = late.until(&marker).await?;
    probe.same(new.clone(), &read)?;
    late.settle(&read)?;
    let kept = if probe.traits.keeps_events { &sent[..] } else { &[] };
    probe.same(kept.iter().chain(new.clone()), &early.until(&marker).await?)?;
    probe.same(kept.iter().chain(new.clone()), &since.until(&marker).await?)?;
    probe.same(new, &ahead.until(&marker).await?)?;
    probe.doing("subscribe a hook that is known, from the earliest event");
    let mut late = probe.subscribe(&*bus, from("late", StartAt::Earliest)?).await?;
    let marker = probe.mark(&*bus).await?;
    probe.same([&marker], &late.until(&marker).await?)
}

pub(super) async fn redelivery(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let subscription = probe.subscription("a")?;
    let mut first = probe.subscribe(&*bus, subscription.clone()).await?;
    let sent = probe.send(&*bus, "redelivery", 10).await?;
    let read = first.take(6).await?;
    first.settle([&read[3], &read[1]])?;
    probe.doing("subscribe the hook again when it has read six events and settled the second and the fourth");
    let mut second = probe.subscribe(&*bus, subscription).await?;
    let marker = probe.mark(&*bus).await?;
    let again = second.until(&marker).await?;
    let unsettled = [0, 2, 4, 5, 6, 7, 8, 9].map(|at| &sent[at]);
    probe.same(unsettled.into_iter().chain([&marker]), &again)?;
    let same_positions = [0, 2, 4, 5].iter().zip(&again).all(|(at, again)| read[*at].position == again.position);
    probe.expect(same_positions, "they come at other positions")?;
    second.settle(&again)?;
    second.is_done(11)?;
    probe.doing("read on with the reader before");
    let lost = first.next(1, &mut Vec::new()).await?;
    probe.expect(lost == Read::Lost, format!("`next` says {lost:?} instead of Lost"))?;
    probe.doing("subscribe the hook again when it has settled everything");
    let mut third = probe.hook(&*bus, "a").await?;
    let marker = probe.mark(&*bus).await?;
    probe.same([&marker], &third.until(&marker).await?)
}

pub(super) async fn settling(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    probe.send(&*bus, "settling", 10).await?;
    let read = hook.take(10).await?;
    let mut left = 10;
    for part in [&[7][..], &[9, 2], &[0], &[1, 3, 4], &[8, 6, 5]] {
        probe.doing(format!("settle events {part:?} of ten"));
        hook.settle(part.iter().map(|at| &read[*at]))?;
        left -= part.len() as u64;
        let in_flight = hook.ledger.counts().in_flight;
        probe.expect(in_flight == left, format!("{in_flight} events are in hand instead of {left}"))?;
    }
    hook.is_done(10)?;
    let mut other = probe.hook(&*bus, "other").await?;
    probe.send(&*bus, "others", 3).await?;
    let read = other.take(3).await?;
    other.settle(&read[..1])?;
    probe.doing("settle an event again and a position that was never read");
    other.settler.settle(&[read[0].position, Position::new(u64::MAX)], Outcome::Delivered);
    let in_flight = other.ledger.counts().in_flight;
    probe.expect(in_flight == 2, format!("{in_flight} events are in hand instead of 2"))
}

pub(super) async fn cancelled_next(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let mut hook = probe.hook(&*bus, "a").await?;
    let (mut sent, mut read) = (Vec::new(), Vec::new());
    for polls in POLLS {
        probe.doing(format!("drop the future of `next` after {polls} polls, before and after something is published"));
        let nothing = drop_after(polls, hook.next(2, &mut read)).await;
        nothing.transpose()?;
        sent.extend(probe.send(&*bus, &format!("cancelled-{polls}"), 3).await?);
        let something = drop_after(polls, hook.next(2, &mut read)).await;
        something.transpose()?;
        probe.doing(format!("read on after the future of `next` was dropped after {polls} polls"));
        let rest = hook.take(sent.len() - read.len()).await?;
        read.extend(rest);
        probe.same(&sent, &read)?;
    }
    let marker = probe.mark(&*bus).await?;
    probe.same([&marker], &hook.until(&marker).await?)
}

pub(super) async fn closed_reader(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let (mut closed, mut other) = (probe.hook(&*bus, "closed").await?, probe.hook(&*bus, "other").await?);
    let mut sent = probe.send(&*bus, "closed", 5).await?;
    let first = closed.take(2).await?;
    closed.settle(&first)?;
    probe.doing("close a reader that has read two of five events, and read on");
    closed.reader.close();
    let rest = closed.drain().await?;
    probe.same(&sent[2..], &rest)?;
    closed.settle(&rest[..1])?;
    probe.doing("read on for another hook, and for the same one with another reader");
    sent.push(probe.mark(&*bus).await?);
    probe.same(&sent, &other.until(&sent[5]).await?)?;
    let ledger = closed.ledger.clone();
    let mut again = probe.subscribe(&*bus, Subscription { ledger, ..probe.subscription("closed")? }).await?;
    let read = again.until(&sent[5]).await?;
    probe.same(&sent[3..], &read)?;
    again.settle(&read)?;
    again.is_done(6)
}
