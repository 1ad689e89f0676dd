//! The tools of every check: a bus, hooks on it, and events.

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::poll_immediate;

use super::store::Store;
use crate::bus::{Bus, BusTraits, Delivery, Overflow, Published, QueueLimits, StartAt, Subscription};
use crate::conformance::run::{Checked, Steps, Stop};
use crate::conformance::{compare, events};
use crate::envelope::Envelope;
use crate::filter::Filter;
use crate::human::ByteSize;
use crate::id::HookId;
use crate::ledger::Ledger;

/// Pause between two looks at the state of another process, which wakes no task here, and before a retry.
const PAUSE: Duration = Duration::from_millis(20);

/// Pause between two polls of a future that will be dropped.
const BETWEEN_POLLS: Duration = Duration::from_millis(1);

/// One check's view of a store.
pub(super) struct Probe<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) traits: BusTraits,
    pub(super) steps: Steps,
    markers: AtomicUsize,
}

impl<'a> Probe<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Self {
        Self { store, traits: store.traits(), steps: Steps::default(), markers: AtomicUsize::new(0) }
    }

    pub(super) fn doing(&self, step: impl Into<String>) {
        self.steps.doing(step);
    }

    pub(super) fn failed(&self, why: impl fmt::Display) -> Stop {
        self.steps.failed(why)
    }

    /// Fails the step unless `holds`.
    pub(super) fn expect(&self, holds: bool, otherwise: impl fmt::Display) -> Checked {
        if holds { Ok(()) } else { Err(self.failed(otherwise)) }
    }

    pub(super) async fn open(&self) -> Checked<Arc<dyn Bus>> {
        self.store.open().await.map_err(|error| self.failed(format!("the bus does not open: {error}")))
    }

    /// Ends a bus as an orderly process does. Its readers and settlers have to be gone.
    pub(super) async fn end(&self, bus: Arc<dyn Bus>) {
        bus.close().await;
        bus.finish().await;
    }

    /// A subscription to all events from now on, with room for them.
    pub(super) fn subscription(&self, hook: &str) -> Checked<Subscription> {
        Ok(Subscription {
            hook: HookId::new(hook)?,
            filter: Arc::new(Filter::all()),
            queue: QueueLimits::default(),
            ledger: Arc::new(Ledger::default()),
            from: StartAt::End,
        })
    }

    /// The same with room for this many events.
    pub(super) fn limited(&self, hook: &str, max_events: usize, overflow: Overflow) -> Checked<Subscription> {
        let max_events = NonZeroUsize::new(max_events).unwrap_or(NonZeroUsize::MIN);
        let queue = QueueLimits { max_events, max_bytes: ByteSize::new(1 << 30), overflow };
        Ok(Subscription { queue, ..self.subscription(hook)? })
    }

    pub(super) async fn publish(&self, bus: &dyn Bus, events: &[Envelope]) -> Checked {
        self.published(bus, events).await.map(drop)
    }

    /// As [`publish`](Self::publish). Returns the answer.
    pub(super) async fn published(&self, bus: &dyn Bus, events: &[Envelope]) -> Result<Published, Stop> {
        let published = bus.publish(events::together(events)?).await;
        let published = published.map_err(|error| self.failed(format!("`publish` fails: {error}")))?;
        let counts = published.events == events.len() && published.duplicates <= published.events;
        self.expect(counts, format!("`publish` of {} events answers {published:?}", events.len()))?;
        Ok(published)
    }

    /// Publishes this many events in one call, with the ids `<name>-0`, `<name>-1` …
    pub(super) async fn send(&self, bus: &dyn Bus, name: &str, count: usize) -> Checked<Vec<Envelope>> {
        let events = events::events(name, count)?.to_vec();
        self.publish(bus, &events).await?;
        Ok(events)
    }

    /// Publishes an event that comes after all that a hook can still get.
    pub(super) async fn mark(&self, bus: &dyn Bus) -> Checked<Envelope> {
        let event = self.marker()?;
        self.publish(bus, std::slice::from_ref(&event)).await?;
        Ok(event)
    }

    /// A unique event with a type and a subject.
    pub(super) fn marker(&self) -> Checked<Envelope> {
        let id = format!("marker-{}", self.markers.fetch_add(1, Ordering::Relaxed));
        Ok(events::typed(&id, "conformance.a", "marker")?)
    }

    /// Checks that these were read, in this order, each once, and nothing else.
    pub(super) fn same<'e>(&self, sent: impl IntoIterator<Item = &'e Envelope>, read: &[Delivery]) -> Checked {
        let sent: Vec<String> = sent.into_iter().map(|event| event.json().to_owned()).collect();
        let read: Vec<String> = read.iter().map(|delivery| delivery.envelope().json().to_owned()).collect();
        compare::exactly("the hook", &sent, &read).map_err(|why| self.failed(why))
    }

    /// Waits until `holds` returns true, which another task or process brings about.
    pub(super) async fn until(&self, step: &str, mut holds: impl FnMut() -> bool) {
        self.doing(format!("wait until {step}"));
        while !holds() {
            self.pause().await;
        }
    }

    pub(super) async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Polls a future up to this number of times, woken or not, then drops it. Returns its output, if it was ready.
pub(super) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let output = poll_immediate(future.as_mut()).await;
        if output.is_some() {
            return output;
        }
        // Gives other tasks time.
        tokio::time::sleep(BETWEEN_POLLS).await;
    }
    None
}
