//! A hook's end of a bus, in the place of a worker.

use std::sync::Arc;

use hooks_core::{
    Bus, BusError, Filter, Ledger, Outcome, QueueLimits, StartAt,
    bus::{Delivery, Read, Reader, Settler, Subscription},
};

use crate::{id, numbers, pause, soon};

/// One hook's reader and settler, and the ledger that they keep.
pub struct End {
    /// Reads the hook's events.
    pub reader: Box<dyn Reader>,
    /// Settles them.
    pub settler: Settler,
    /// The counts of the hook.
    pub ledger: Arc<Ledger>,
}

/// A subscription that begins with what is published next.
pub fn subscription(hook: &str, filter: Filter, queue: QueueLimits, ledger: &Arc<Ledger>) -> Subscription {
    Subscription::new(id(hook), filter, ledger.clone()).queue(queue)
}

impl End {
    /// A hook with the queue of the defaults, which begins with what is published next.
    pub async fn new(bus: &dyn Bus, hook: &str, filter: Filter) -> Self {
        Self::starting(bus, hook, filter, QueueLimits::default(), StartAt::End).await
    }

    /// A hook for all events that the log has.
    pub async fn earliest(bus: &dyn Bus, hook: &str) -> Self {
        Self::beginning(bus, hook, StartAt::Earliest).await
    }

    /// A hook for all events from there on.
    pub async fn beginning(bus: &dyn Bus, hook: &str, from: StartAt) -> Self {
        Self::starting(bus, hook, Filter::all(), QueueLimits::default(), from).await
    }

    /// A hook with this queue, which begins with what is published next.
    pub async fn queued(bus: &dyn Bus, hook: &str, filter: Filter, queue: QueueLimits) -> Self {
        Self::starting(bus, hook, filter, queue, StartAt::End).await
    }

    async fn starting(bus: &dyn Bus, hook: &str, filter: Filter, queue: QueueLimits, from: StartAt) -> Self {
        let ledger = Arc::new(Ledger::default());
        let subscription = subscription(hook, filter, queue, &ledger).from(from);
        let (reader, settler) = bus.subscribe(subscription).await.unwrap();
        Self { reader, settler, ledger }
    }

    /// Reads up to `max` events that are there, without waiting for more. Ends at an error of the bus, too.
    pub async fn read(&mut self, max: usize) -> Vec<Delivery> {
        let mut read = Vec::new();
        self.reader.close();
        while read.len() < max {
            match self.reader.next(max - read.len(), &mut read).await {
                Ok(Read::Events(_) | Read::Flush) => {}
                Ok(Read::Dry | Read::Lost) => break,
                Err(error) => {
                    eprintln!("{error}");
                    break;
                }
            }
        }
        read
    }

    /// Waits for this many events, through errors of the bus.
    pub async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut read = Vec::new();
        soon("events", async {
            while read.len() < count {
                match self.reader.next(count - read.len(), &mut read).await {
                    Ok(Read::Events(_) | Read::Flush) => {}
                    Ok(other) => panic!("{other:?} after {} of {count}", read.len()),
                    Err(error) => {
                        eprintln!("{error}");
                        pause().await;
                    }
                }
            }
        })
        .await;
        read
    }

    /// Reads and settles until the last number came, so many at a time, through losses and outages: what is lost is read
    /// again.
    pub async fn read_to(&mut self, last: usize, max: usize) -> Vec<usize> {
        let mut all = Vec::new();
        soon("events", async {
            while all.last() != Some(&last) {
                let mut read = Vec::new();
                match self.reader.next(max, &mut read).await {
                    Ok(Read::Lost) => self.ledger.hand_over(self.ledger.counts().in_flight as usize),
                    Ok(_) => self.settle(&read),
                    Err(BusError::Unavailable(_)) => pause().await,
                    Err(error) => panic!("{error}"),
                }
                all.extend(numbers(&read));
            }
        })
        .await;
        all
    }

    /// Waits for the hook to be lost, and drops what was in flight.
    pub async fn lost(&mut self, in_hand: usize) {
        // What was fetched before the loss was known may come first.
        let mut late = Vec::new();
        while soon("losing the hook", self.reader.next(1, &mut late)).await.unwrap() != Read::Lost {}
        self.ledger.hand_over(in_hand + late.len());
    }

    /// Reads and settles everything that is there. Returns the numbers of the events.
    pub async fn read_all(&mut self) -> Vec<usize> {
        let read = self.read(usize::MAX).await;
        self.settle(&read);
        numbers(&read)
    }

    /// Settles these as delivered. The ledger has to balance.
    pub fn settle<'a>(&self, deliveries: impl IntoIterator<Item = &'a Delivery>) {
        let positions: Vec<_> = deliveries.into_iter().map(|delivery| delivery.position).collect();
        self.settler.settle(&positions, Outcome::Delivered);
        assert!(self.ledger.counts().balances(), "{}", self.ledger.counts());
    }
}
