//! The NATS bus against real servers.

mod chaos;
mod definitions;
mod fixture;
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
mod watching;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hooks_bus::{NatsBus, NatsConfig};
use hooks_core::{Bus, DeadLetter, DeadLetterReason, DisabledBy, Envelope, Override, Position, Slice};
use hooks_test::{events_of as events, pause, soon};
use server::Server;

pub(crate) fn config(servers: &[&Server]) -> NatsConfig {
    NatsConfig {
        servers: servers.iter().map(|server| server.url()).collect(),
        max_bytes: Some(hooks_core::ByteSize::new(64 << 20)),
        // However busy the machine is, nobody who lives is taken for dead.
        lease: hooks_core::HumanDuration::new(Duration::from_secs(30)),
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
            pause().await;
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
        position: Position::new(position),
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
