//! Sends past events again.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::hook_locks::uncancelled;
use super::sending_again::{SentAgain, again};
use super::slot::Slot;
use super::{Dispatcher, ReplayError, ResendReport};
use crate::attempt::Trigger;
use crate::bus::{BusError, Past, PastEvent, PastOrder, PastPage, PastQuery, Position};
use crate::endpoint_state::EndpointState;
use crate::filter::Filter;
use crate::id::{HookId, uuid_v7};
use crate::notices::Notices;
use crate::worker::{CUT_OFF, Ending, Settlement, dead_letters};

/// Most events that are in memory for it at a time.
const PAGE: usize = 256;

/// The past events that are sent again to a hook.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Resending {
    /// The events, which go oldest first. Its limits of a page count for nothing.
    pub query: PastQuery,
    /// Only events at these positions; empty: all that the query selects.
    pub positions: BTreeSet<u64>,
    /// Also events that the hook's filter leaves out. A tenant's hook gets its tenant's alone in any case.
    pub unmatched: bool,
    /// Only counts them.
    pub dry_run: bool,
}

impl Resending {
    /// The events that the query selects and the hook takes.
    pub fn of(query: PastQuery) -> Self {
        Self { query, ..Self::default() }
    }

    /// Only events at these positions.
    #[must_use]
    pub fn positions(self, positions: BTreeSet<u64>) -> Self {
        Self { positions, ..self }
    }

    /// Also events that the hook's filter leaves out, but for its tenant.
    #[must_use]
    pub fn unmatched(self, unmatched: bool) -> Self {
        Self { unmatched, ..self }
    }

    /// Only counts them.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// True if the event is one to send to a hook with this filter.
    fn takes(&self, filter: &Filter, event: &PastEvent) -> bool {
        let envelope = &event.envelope;
        // Those of the dispatcher itself might be about the hook.
        let is_free = self.unmatched && !envelope.is_reserved() && filter.matches_tenant(envelope.tenant());
        is_free || filter.matches(envelope)
    }
}

impl Dispatcher {
    /// Sends past events to a hook again, oldest first: those that are selected and that there are now. They travel
    /// through the hook's own worker, in batches that take turns with the live ones, with its rate limit, and have the
    /// extension attribute `hooksreplay`; their order among the live events is not promised. What is refused becomes a
    /// dead letter. Events that the hook has not come to yet it gets twice. Where instances share hooks, the one that has
    /// the hook sends; at another, or when it goes to another, it ends and says so. `each` hears of every selected event; to a
    /// tenant's hook no others are selected than its tenant's.
    ///
    /// # Errors
    /// When there is no such hook, it is disabled (which does not matter for counting), or its bus keeps no past or can't read it. One that has begun and ends
    /// early (the receiver fails, the hook is changed) is no error: the report says how far it came, and why not further.
    ///
    /// # Cancel safety
    /// A dropped call begins nothing more. Events in flight, at most 256, are still delivered.
    pub async fn resend(
        &self,
        id: &HookId,
        mut what: Resending,
        mut each: impl FnMut(&PastEvent) + Send,
    ) -> Result<ResendReport, ReplayError> {
        let slot = self.0.slot(id).map_err(|_| ReplayError::UnknownHook(id.clone()))?;
        // Of others' events its tenant is not even told that there are any.
        if let Some(tenant) = slot.hook.tenant() {
            let asked = what.query.filter.tenant.replace(tenant.clone());
            if asked.is_some_and(|asked| asked != *tenant) {
                return Ok(ResendReport::default());
            }
        }
        let past = self.0.bus.past().ok_or_else(|| ReplayError::NoPast(id.clone()))?;
        if !what.dry_run && slot.state() == EndpointState::Disabled {
            return Err(ReplayError::Disabled(id.clone()));
        }
        let (run, mut pages, mut report) = (uuid_v7(), Pages::new(&what), ResendReport::default());
        loop {
            let page = match pages.next(past).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(report),
                Err(error) if report.matched > 0 => {
                    report.error = Some(format!("the rest of the events can't be read: {error}"));
                    report.next = pages.from().map(Position::get);
                    return Ok(report);
                }
                Err(error) => return Err(ReplayError::Past { hook: id.clone(), error }),
            };
            page.events.iter().for_each(&mut each);
            report.unreadable += page.unreadable.iter().map(|range| range.end() - range.start() + 1).sum::<u64>();
            let (events, others): (Vec<_>, Vec<_>) =
                page.events.into_iter().partition(|event| what.takes(&slot.hook.filter, event));
            report.matched += events.len();
            report.unmatched += others.len();
            if !what.dry_run && !events.is_empty() {
                let notices = self.0.notices.clone();
                report = uncancelled(one_page(slot.clone(), notices, run, events, report)).await;
            }
            if report.next.is_some() {
                return Ok(report);
            }
        }
    }
}

/// Reads the events that there were at the beginning.
struct Pages {
    next: Option<PastQuery>,
    /// Positions that are read one by one.
    positions: Option<std::collections::btree_set::IntoIter<u64>>,
}

impl Pages {
    fn new(what: &Resending) -> Self {
        let query = what.query.clone().order(PastOrder::OldestFirst).max_events(PAGE);
        let positions = (!what.positions.is_empty()).then(|| what.positions.clone().into_iter());
        Self { next: Some(query), positions }
    }

    /// The next page. `None` is the end.
    async fn next(&mut self, past: &dyn Past) -> Result<Option<PastPage>, BusError> {
        let Some(query) = self.next.clone() else { return Ok(None) };
        if let Some(positions) = &mut self.positions {
            let is_selected = |at: &u64| *at >= query.from.get() && query.to.is_none_or(|to| *at < to.get());
            let Some(at) = positions.find(is_selected) else { return Ok(None) };
            return past.read(&query.at(Position::new(at))).await.map(Some);
        }
        let page = past.read(&query).await?;
        // What comes while this runs is left alone.
        let end = query.to.map_or(page.end, |to| to.min(page.end));
        self.next = query.to(Some(end)).next(&page);
        Ok(Some(page))
    }

    /// The position of the events that were not read.
    fn from(&self) -> Option<Position> {
        self.next.as_ref().map(|query| query.from)
    }
}

/// Delivers the events of a page. What is refused becomes a dead letter as soon as it is known.
async fn one_page(
    slot: Arc<Slot>,
    notices: Notices,
    run: Uuid,
    events: Vec<PastEvent>,
    report: ResendReport,
) -> ResendReport {
    let left = events.iter().map(|event| event.position).collect();
    let deliveries = events.iter().map(|event| again(event.position, &event.envelope)).collect();
    let (mut sent, mut page) =
        (SentAgain::by(&slot, run, Trigger::Resend, deliveries), Page { slot, notices, left, report });
    let mut why = None;
    while let Some(settled) = sent.next().await {
        why = page.enter(settled).await.or(why);
    }
    let Page { left, mut report, .. } = page;
    if let Some(first) = left.first() {
        report.next = Some(first.get());
        report.error = Some(why.unwrap_or_else(|| CUT_OFF.to_owned()));
    }
    report
}

/// Events that are sent again and whose outcome is not known yet.
struct Page {
    slot: Arc<Slot>,
    notices: Notices,
    left: BTreeSet<Position>,
    report: ResendReport,
}

impl Page {
    /// Counts those delivered, and keeps those refused as dead letters. Returns why some are not done with, if so.
    async fn enter(&mut self, settled: Vec<Settlement>) -> Option<String> {
        let mut stopped = None;
        for settlement in settled {
            let positions = settlement.batch.positions();
            match &settlement.ending {
                Ending::Delivered => self.report.delivered += positions.len(),
                Ending::GivenUp(given_up) => {
                    let letters = dead_letters(&settlement);
                    let kept = match &self.slot.dead_letters {
                        Some(store) => store.keep(letters.clone()).await,
                        None => Ok(()),
                    };
                    if let Err(error) = kept {
                        stopped = Some(format!("what is refused can't be kept as dead letters: {error}"));
                        continue;
                    }
                    self.notices.dead_lettered(&self.slot.hook, &letters, self.slot.dead_letters.is_some());
                    self.report.refused += positions.len();
                    self.report.error = Some(given_up.detail.clone().into_owned());
                }
                Ending::Stopped(why) => {
                    stopped = Some(why.clone());
                    continue;
                }
            }
            positions.iter().for_each(|position| {
                self.left.remove(position);
            });
        }
        stopped
    }
}
