//! The conformance kit for buses: each of them keeps the contract.

use std::sync::Arc;

use hooks_bus::MemoryBus;
use hooks_core::conformance::bus::{self, Store};
use hooks_core::{BoxError, Bus, async_trait, bus::BusTraits};

/// Checks that are for buses that processes share.
const SHARED: [&str; 5] = ["takeover", "takeover_after_crash", "sharing", "shared_overrides", "shared_definitions"];

struct Memory;

#[async_trait]
impl Store for Memory {
    fn traits(&self) -> BusTraits {
        BusTraits::new().atomic()
    }

    async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
        Ok(Arc::new(MemoryBus::default()))
    }
}

#[tokio::test(start_paused = true)]
async fn memory() {
    let report = bus::check(async || Memory).await;
    report.assert_passed();
    let keeps_nothing =
        ["overrides", "dead_letters", "dead_letter_limit", "restart", "crash", "kept_definitions", "one_at_a_time"];
    assert_eq!(report.skipped(), [&keeps_nothing[..], &SHARED].concat(), "{report}");
}

#[cfg(feature = "durable")]
mod durable {
    use hooks_bus::{DurableBus, DurableConfig};
    use hooks_core::ByteSize;
    use tempfile::TempDir;

    use super::*;

    struct Durable(TempDir);

    impl Durable {
        fn config(&self) -> DurableConfig {
            let mut config = DurableConfig::new(self.0.path());
            config.segment_size = ByteSize::new(256 << 10);
            config.max_bytes = ByteSize::new(256 << 20);
            config.dead_letters.max_events = 4;
            config.dead_letters.max_bytes = ByteSize::new(256 << 10);
            config
        }
    }

    #[async_trait]
    impl Store for Durable {
        fn traits(&self) -> BusTraits {
            BusTraits::new().outlives_process().keeps_events().atomic().counts_tenants()
        }

        async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
            Ok(Arc::new(DurableBus::open(&self.config())?))
        }

        fn max_dead_letters(&self) -> Option<usize> {
            Some(4)
        }

        fn too_large(&self) -> Option<usize> {
            Some(self.config().largest_event() + 1)
        }
    }

    #[tokio::test]
    async fn conforms() {
        let report = bus::check(async || Durable(tempfile::tempdir().unwrap())).await;
        report.assert_passed();
        assert_eq!(report.skipped(), SHARED, "{report}");
    }
}

#[cfg(feature = "nats")]
mod nats {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hooks_bus::{NatsBus, NatsConfig};

    use super::*;
    use crate::nats::{config, server::Server};

    /// Names of its own on a server.
    struct Nats(NatsConfig);

    #[async_trait]
    impl Store for Nats {
        fn traits(&self) -> BusTraits {
            BusTraits::new().outlives_process().shared().keeps_events()
        }

        async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
            Ok(Arc::new(NatsBus::connect(self.0.clone()).await?))
        }

        fn max_dead_letters(&self) -> Option<usize> {
            Some(4)
        }

        fn too_large(&self) -> Option<usize> {
            // The server takes messages of 1 MiB, headers included.
            Some(1 << 20)
        }
    }

    /// On more than one thread: what the kit computes keeps no bus from sending heartbeats.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn conforms() {
        let Some(server) = Server::start().await else { return };
        let stores = AtomicUsize::new(0);
        let make = async || {
            let name = format!("bus-{}", stores.fetch_add(1, Ordering::Relaxed));
            Nats(NatsConfig { name, max_dead_letters: 4, ..config(&[&server]) })
        };
        let report = bus::check(make).await;
        report.assert_passed();

        assert_eq!(report.skipped(), ["one_at_a_time"], "{report}");
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hooks_bus::{PostgresBus, PostgresConfig};

    use super::*;
    use crate::postgres::config;
    use hooks_test::postgres::Server;

    /// A database of its own.
    struct Postgres(PostgresConfig);

    #[async_trait]
    impl Store for Postgres {
        fn traits(&self) -> BusTraits {
            BusTraits::new().outlives_process().shared().keeps_events().atomic()
        }

        async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> {
            Ok(Arc::new(PostgresBus::connect(self.0.clone()).await?))
        }

        fn max_dead_letters(&self) -> Option<usize> {
            Some(4)
        }
    }

    /// On more than one thread: what the kit computes keeps no bus from sending heartbeats.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn conforms() {
        let Some(server) = Server::start() else { return };
        let stores = AtomicUsize::new(0);
        let make = async || {
            let name = format!("bus{}", stores.fetch_add(1, Ordering::Relaxed));
            server.database(&name);
            Postgres(PostgresConfig { max_dead_letters: 4, ..config(&server, &name) })
        };
        let report = bus::check(make).await;
        report.assert_passed();
        assert_eq!(report.skipped(), ["one_at_a_time"], "{report}");
    }
}
