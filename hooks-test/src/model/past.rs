//! The past of the model, which keeps no times: everything was accepted just now.

use hooks_core::bus::{Past, PastEvent, PastOrder, PastPage, PastQuery};
use hooks_core::{BusError, Position, async_trait};

use super::{Fault, ModelBus};

#[async_trait]
impl Past for ModelBus {
    async fn read(&self, query: &PastQuery) -> Result<PastPage, BusError> {
        let log = self.lock().log.clone();
        let accepted = std::time::SystemTime::now();
        let events = (0..).map(Position::new).zip(log.iter().cloned());
        let is_wanted = |event: &PastEvent| {
            let to = query.to.is_none_or(|to| event.position < to);
            event.position >= query.from && to && query.wants_time(accepted) && query.filter.matches(&event.envelope)
        };
        let events = events.map(|(position, envelope)| PastEvent { position, accepted, envelope }).filter(is_wanted);
        let mut page = PastPage::empty(Position::new(log.len() as u64));
        page.events = events.collect();
        if query.order == PastOrder::NewestFirst {
            page.events.reverse();
        }
        if page.events.len() > query.max_events {
            let next = page.events[query.max_events].position;
            page.next = Some(match query.order {
                PastOrder::NewestFirst => Position::new(next.get() + 1),
                PastOrder::OldestFirst if self.is(Fault::LosesBetweenPages) => Position::new(next.get() + 1),
                PastOrder::OldestFirst => next,
            });
            page.events.truncate(query.max_events);
        }
        Ok(page)
    }
}
