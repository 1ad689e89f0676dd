//! Checks of reading the past, of buses that keep it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::probe::Probe;
use crate::bus::{Past, PastFilter, PastOrder, PastQuery, Position};
use crate::conformance::events::{of_tenant, peculiar};
use crate::conformance::run::Checked;
use crate::envelope::Envelope;
use crate::filter::Pattern;
use crate::id::TenantId;

pub(super) async fn past(probe: &Probe<'_>) -> Checked {
    let bus = probe.open().await?;
    let Some(past) = bus.past() else { return Ok(()) };
    probe.doing("read the past of a log without events");
    let page = past.read(&PastQuery::default()).await.map_err(|error| probe.failed(error))?;
    probe.expect(page.events.is_empty() && page.next.is_none(), format!("it has {page:?}"))?;
    let mut hook = probe.hook(&*bus, "a").await?;
    let mut sent = Vec::new();
    for at in 0..40 {
        let (event_type, tenant) = (["conformance.a", "conformance.b"][at % 2], ["one", "two", "three"][at % 3]);
        sent.push(of_tenant(&format!("past-{at}"), event_type, tenant)?);
    }
    sent.extend(peculiar()?.iter().cloned());
    for call in sent.chunks(7) {
        probe.publish(&*bus, call).await?;
    }
    let delivered = hook.take(sent.len()).await?;
    let positions: Vec<Position> = delivered.iter().map(|delivery| delivery.position).collect();
    let all = Reading { probe, past, sent: &sent, positions: &positions };
    all.has("all events", PastQuery::default(), |_| true).await?;
    all.filtered().await?;
    all.placed().await
}

/// The past, and what has to be in it.
struct Reading<'a> {
    probe: &'a Probe<'a>,
    past: &'a dyn Past,
    sent: &'a [Envelope],
    positions: &'a [Position],
}

impl Reading<'_> {
    async fn filtered(&self) -> Checked {
        let filter = PastFilter::default();
        let ids = filter.clone().ids(["past-3".to_owned(), "no-data".to_owned()].into());
        self.has("two ids", PastQuery::default().filter(ids), |event| ["past-3", "no-data"].contains(&event.id()))
            .await?;
        let types = filter.clone().types(vec![Pattern::new("*.b"), Pattern::new("conformance.event")]);
        let is_wanted = |event: &Envelope| event.event_type() != "conformance.a";
        self.has("some types", PastQuery::default().filter(types), is_wanted).await?;
        let tenant = filter.clone().tenant(Some(TenantId::new("two")?)).sources(vec![Pattern::new("/conf*")]);
        self.has("one tenant", PastQuery::default().filter(tenant), |event| event.tenant() == Some("two")).await?;
        let none = filter.sources(vec![Pattern::new("/other")]);
        self.has("another source", PastQuery::default().filter(none), |_| false).await
    }

    async fn placed(&self) -> Checked {
        let [early, late] = [self.positions[5], self.positions[30]];
        let between = PastQuery::default().from(early).to(Some(late));
        let ids: Vec<&str> = self.sent[5..30].iter().map(Envelope::id).collect();
        self.has("a part of the log", between, |event| ids.contains(&event.id())).await?;
        let one = PastQuery::default().at(late);
        self.has("one position", one, |event| event.id() == self.sent[30].id()).await?;
        let later = SystemTime::now() + Duration::from_secs(3600);
        let any = PastQuery::default().since(Some(UNIX_EPOCH)).until(Some(later));
        self.has("all times", any, |_| true).await?;
        self.has("the time to come", PastQuery::default().since(Some(later)), |_| false).await?;
        self.has("the time before", PastQuery::default().until(Some(UNIX_EPOCH)), |_| false).await
    }

    /// Reads all pages, large and small, in both orders.
    async fn has(&self, what: &str, query: PastQuery, is_wanted: impl Fn(&Envelope) -> bool) -> Checked {
        let wanted = self.positions.iter().zip(self.sent).filter(|(_, event)| is_wanted(event));
        let mut wanted: Vec<_> = wanted.map(|(position, event)| (*position, event.json())).collect();
        for order in [PastOrder::OldestFirst, PastOrder::NewestFirst] {
            for max_events in [1_000, 4, 1] {
                self.probe.doing(format!("read {what}, {order:?}, {max_events} events at a time"));
                let mut next = Some(query.clone().order(order).max_events(max_events));
                let mut read = Vec::new();
                while let Some(query) = next {
                    let page = self.past.read(&query).await.map_err(|error| self.probe.failed(error))?;
                    let is_small = page.events.len() <= max_events && page.unreadable.is_empty();
                    self.probe.expect(is_small, format!("a page has {page:?}"))?;
                    next = query.next(&page);
                    read.extend(page.events);
                }
                let read: Vec<_> = read.iter().map(|event| (event.position, event.envelope.json())).collect();
                let different = (0..read.len().max(wanted.len())).find(|at| read.get(*at) != wanted.get(*at));
                if let Some(at) = different {
                    let [found, wanted] = [&read, &wanted].map(|list| list.get(at).map(|event| event.0.get()));
                    let why = format!("event {at} of the pages is the one at {found:?} instead of {wanted:?}");
                    return Err(self.probe.failed(why));
                }
            }
            wanted.reverse();
        }
        Ok(())
    }
}
