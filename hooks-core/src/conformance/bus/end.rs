//! One hook's reader and settler, used as the worker uses them.

use std::sync::Arc;

use super::probe::Probe;
use crate::bus::{Bus, BusError, Delivery, Position, Read, Reader, Settler, Subscription};
use crate::conformance::run::Checked;
use crate::envelope::Envelope;
use crate::id::HookId;
use crate::ledger::{Ledger, Outcome};

/// Maximum number of failures of `next` in a row: the caller tries again after a pause.
const ATTEMPTS: usize = 100;

/// Maximum number of times in a row that `next` may return `Flush`.
const MOST_FLUSHES: usize = 1_000;

/// Number of events to read at a time.
const READ_SIZE: usize = 1_000;

/// One hook's reader and settler of a bus.
pub(super) struct End<'a> {
    probe: &'a Probe<'a>,
    pub(super) hook: HookId,
    pub(super) reader: Box<dyn Reader>,
    pub(super) settler: Settler,
    pub(super) ledger: Arc<Ledger>,
    /// The last delivery that was read.
    last: Option<Position>,
}

impl<'a> Probe<'a> {
    pub(super) async fn subscribe(&'a self, bus: &dyn Bus, subscription: Subscription) -> Checked<End<'a>> {
        let (hook, ledger) = (subscription.hook.clone(), subscription.ledger.clone());
        match bus.subscribe(subscription).await {
            Ok((reader, settler)) => Ok(End::new(self, hook, reader, settler, ledger)),
            Err(error) => Err(self.failed(format!("`subscribe` of the hook `{hook}` fails: {error}"))),
        }
    }

    /// Subscribes a hook to all events from now on.
    pub(super) async fn hook(&'a self, bus: &dyn Bus, hook: &str) -> Checked<End<'a>> {
        self.subscribe(bus, self.subscription(hook)?).await
    }
}

impl<'a> End<'a> {
    fn new(probe: &'a Probe<'a>, hook: HookId, reader: Box<dyn Reader>, settler: Settler, ledger: Arc<Ledger>) -> Self {
        Self { probe, hook, reader, settler, ledger, last: None }
    }

    /// Returns the result of `next`; tries again when it fails.
    pub(super) async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Checked<Read> {
        let before = into.len();
        let mut last: Option<BusError> = None;
        for _ in 0..ATTEMPTS {
            match self.reader.next(max, into).await {
                Ok(read) => return self.checked(read, max, &into[before..]),
                Err(error) => last = Some(error),
            }
            self.probe.pause().await;
        }
        Err(self.probe.failed(format!("`next` of the hook `{}` fails: {last:?}", self.hook)))
    }

    fn checked(&mut self, read: Read, max: usize, new: &[Delivery]) -> Checked<Read> {
        let fits = match read {
            Read::Events(count) => count == new.len() && (1..=max).contains(&count),
            Read::Flush | Read::Dry | Read::Lost => new.is_empty(),
        };
        self.probe.expect(fits, format!("`next` says {read:?} and appends {} of at most {max} events", new.len()))?;
        for (position, envelope) in new.iter().map(|delivery| (delivery.position, delivery.envelope())) {
            if let Some(last) = self.last.filter(|last| *last >= position) {
                let (id, at) = (envelope.id(), position.get());
                return Err(self.probe.failed(format!("event `{id}` at {at} is read after {}", last.get())));
            }
            self.last = Some(position);
        }
        Ok(read)
    }

    /// Reads as many as `max` returns for the deliveries read so far, until it returns none; then `true`. `false`: the
    /// reader is dry.
    async fn read_until(
        &mut self,
        read: &mut Vec<Delivery>,
        max: impl Fn(&[Delivery]) -> Option<usize>,
    ) -> Checked<bool> {
        let mut flushes = 0;
        while let Some(max) = max(read) {
            flushes += 1;
            match self.next(max, read).await? {
                Read::Events(_) => flushes = 0,
                Read::Flush if flushes <= MOST_FLUSHES => {}
                Read::Flush => return Err(self.probe.failed("`next` says Flush again and again")),
                Read::Dry => return Ok(false),
                Read::Lost => return Err(self.probe.failed(format!("the hook `{}` is lost", self.hook))),
            }
        }
        Ok(true)
    }

    /// Reads this many events.
    pub(super) async fn take(&mut self, count: usize) -> Checked<Vec<Delivery>> {
        let mut read = Vec::new();
        let left = |read: &[Delivery]| Some(count - read.len()).filter(|left| *left > 0);
        if self.read_until(&mut read, left).await? {
            return Ok(read);
        }
        Err(self.probe.failed(format!("the hook `{}` is dry after {} of {count} events", self.hook, read.len())))
    }

    /// Reads up to this event, which was published last. Returns it with all before it.
    pub(super) async fn until(&mut self, event: &Envelope) -> Checked<Vec<Delivery>> {
        let mut read = Vec::new();
        let is_it = |delivery: &Delivery| delivery.envelope().id() == event.id();
        let more =
            |read: &[Delivery]| if read.iter().rev().take(READ_SIZE).any(is_it) { None } else { Some(READ_SIZE) };
        if self.read_until(&mut read, more).await? {
            return Ok(read);
        }
        let (hook, id) = (&self.hook, event.id());
        Err(self.probe.failed(format!("the hook `{hook}` is dry after {} events, without `{id}`", read.len())))
    }

    /// Reads to the end.
    pub(super) async fn drain(&mut self) -> Checked<Vec<Delivery>> {
        let mut read = Vec::new();
        self.read_until(&mut read, |_| Some(READ_SIZE)).await?;
        match self.next(1, &mut read).await? {
            Read::Dry => Ok(read),
            other => Err(self.probe.failed(format!("`next` says Dry and then {other:?}"))),
        }
    }

    /// Settles these as delivered. The ledger has to balance afterwards.
    pub(super) fn settle<'d>(&self, deliveries: impl IntoIterator<Item = &'d Delivery>) -> Checked {
        let positions: Vec<Position> = deliveries.into_iter().map(|delivery| delivery.position).collect();
        self.settler.settle(&positions, Outcome::Delivered);
        self.balances()
    }

    pub(super) fn balances(&self) -> Checked {
        let counts = self.ledger.counts();
        self.probe
            .expect(counts.balances(), format!("the ledger of the hook `{}` does not balance: {counts}", self.hook))
    }

    /// Checks that the hook is done with everything, and that this many events were delivered.
    pub(super) fn is_done(&self, delivered: usize) -> Checked {
        let counts = self.ledger.counts();
        let done = counts.balances() && counts.in_flight == 0 && counts.delivered == delivered as u64;
        self.probe.expect(
            done,
            format!("the hook `{}` is done with {delivered} events, and its ledger says: {counts}", self.hook),
        )
    }
}
