//! The NATS bus against real servers.

mod chaos;
mod foreign;
mod instances;
mod limits;
mod load;
mod network;
mod reading;
mod refusals;
mod replays;
mod rollback;
mod secure;
pub(crate) mod server;
mod storage;

use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, SystemTime};

use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{
    Bus, BusError, DeadLetter, DeadLetterReason, Delivery, DisabledBy, Envelope, Filter, Outcome, Override, Position,
    Read, Slice, SliceBuilder, StartAt, Subscription,
};

use crate::End;
use server::Server;

/// Long enough for anything, however busy the machine is.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_LIMIT, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            server::pause().await;
        }
    })
    .await;
}

pub(crate) fn config(servers: &[&Server]) -> NatsConfig {
    NatsConfig {
        servers: servers.iter().map(|server| server.url()).collect(),
        max_bytes: Some(hooks_core::ByteSize(64 << 20)),
        lease: hooks_core::HumanDuration(Duration::from_secs(2)),
        ..NatsConfig::default()
    }
}

async fn bus(server: &Server) -> NatsBus {
    soon("connecting", NatsBus::connect(config(&[server]))).await.unwrap()
}

/// Publishes until that is accepted.
async fn publish(bus: &NatsBus, slice: Slice) {
    soon("publishing", async {
        while bus.publish(slice.clone()).await.is_err() {
            server::pause().await;
        }
    })
    .await;
}

/// The numbers in the order in which they first came.
fn each_once(mut numbers: Vec<usize>) -> Vec<usize> {
    let mut known = BTreeSet::new();
    numbers.retain(|number| known.insert(*number));
    numbers
}

fn dead_letter(position: u64, envelope: Envelope) -> DeadLetter {
    DeadLetter {
        position: Position(position),
        envelope,
        reason: DeadLetterReason::Refused,
        detail: "no".to_owned(),
        attempts: 1,
        first_attempt: SystemTime::now(),
        last_attempt: SystemTime::now(),
    }
}

/// An override by a receiver that answered this.
fn disabled(said: &str) -> Override {
    Override::disabled(DisabledBy::Receiver, Some(said.to_owned()), SystemTime::UNIX_EPOCH)
}

/// Numbered events of one type.
fn events(range: std::ops::Range<usize>, event_type: &str) -> Slice {
    let mut slice = SliceBuilder::new("/test");
    for number in range {
        slice.push_json(format!(r#"{{"specversion":"1.0","id":"{number}","source":"/test","type":"{event_type}","time":"2026-11-23T10:00:00Z","data":{{"n":{number}}}}}"#).as_bytes()).unwrap();
    }
    slice.finish()
}

async fn end(bus: &NatsBus, hook: &str, filter: Filter) -> End {
    end_from(bus, hook, filter, StartAt::End).await
}

async fn end_from(bus: &NatsBus, hook: &str, filter: Filter, from: StartAt) -> End {
    let ledger = std::sync::Arc::default();
    let subscription = crate::subscription(hook, filter, Default::default(), &ledger);
    let (reader, settler) = bus.subscribe(Subscription { from, ..subscription }).await.unwrap();
    End { reader, settler, ledger }
}

impl End {
    /// Waits for this many events.
    async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut read = Vec::new();
        soon("events", async {
            while read.len() < count {
                match self.reader.next(count - read.len(), &mut read).await {
                    Ok(Read::Events(_) | Read::Flush) => {}
                    Ok(other) => panic!("{other:?} after {} of {count}", read.len()),
                    Err(error) => {
                        eprintln!("{error}");
                        server::pause().await;
                    }
                }
            }
        })
        .await;
        read
    }

    /// Reads and settles until the last number came, so many at a time, through losses and outages: what is lost is read
    /// again.
    async fn read_to(&mut self, last: usize, max: usize) -> Vec<usize> {
        let mut all = Vec::new();
        soon("events", async {
            while all.last() != Some(&last) {
                let mut read = Vec::new();
                match self.reader.next(max, &mut read).await {
                    Ok(Read::Lost) => self.ledger.hand_over(self.ledger.counts().in_flight as usize),
                    Ok(_) => self.done(&read),
                    Err(BusError::Unavailable(_)) => server::pause().await,
                    Err(error) => panic!("{error}"),
                }
                all.extend(crate::numbers(&read));
            }
        })
        .await;
        all
    }

    /// Waits for the hook to be lost, and drops what was in flight.
    async fn lost(&mut self, in_hand: usize) {
        // What was fetched before the loss was known may come first.
        let mut late = Vec::new();
        while soon("losing the hook", self.reader.next(1, &mut late)).await.unwrap() != Read::Lost {}
        self.ledger.hand_over(in_hand + late.len());
    }

    fn done(&self, deliveries: &[Delivery]) {
        let positions: Vec<_> = deliveries.iter().map(|delivery| delivery.position).collect();
        self.settler.settle(&positions, Outcome::Delivered);
        assert!(self.ledger.counts().balances(), "{}", self.ledger.counts());
    }
}
