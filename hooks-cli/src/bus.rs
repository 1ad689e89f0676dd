//! From `[bus]` to a bus.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks_bus::{DurableBus, DurableConfig, MemoryBus, OpenError};
use hooks_core::{BoxError, Bus};

use crate::config::BusConfig;

/// Opens the bus of a config file.
///
/// # Errors
/// When its folder or its servers can't be used.
pub(crate) async fn open(config: &BusConfig) -> Result<Arc<dyn Bus>, BoxError> {
    match config {
        BusConfig::Memory(memory) => Ok(Arc::new(MemoryBus::new(memory))),
        BusConfig::Durable(durable) => Ok(Arc::new(open_folder(durable).await?)),
        #[cfg(feature = "nats")]
        BusConfig::Nats(nats) => Ok(Arc::new(hooks_bus::NatsBus::connect((**nats).clone()).await?)),
    }
}

/// How long a folder may be in use by somebody who is about to leave it: a daemon that ends, an operator's look.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it is tried meanwhile: nothing tells when the lock goes.
const PAUSE: Duration = Duration::from_millis(50);

async fn open_folder(config: &DurableConfig) -> Result<DurableBus, OpenError> {
    let begin = Instant::now();
    loop {
        match DurableBus::open(config) {
            Err(OpenError::InUse { .. }) if begin.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            opened => return opened,
        }
    }
}

/// The folder that the bus keeps its events in, if it does.
pub(crate) fn folder(config: &BusConfig) -> Option<&Path> {
    match config {
        BusConfig::Memory(_) => None,
        BusConfig::Durable(durable) => Some(&durable.dir),
        #[cfg(feature = "nats")]
        BusConfig::Nats(_) => None,
    }
}

/// Whether there is anything to look at yet. Opening what is not there would make it.
pub(crate) fn exists(config: &BusConfig) -> bool {
    folder(config).is_none_or(DurableBus::exists)
}

/// Whether events and positions outlive the process.
pub(crate) fn outlives(config: &BusConfig) -> bool {
    match config {
        BusConfig::Memory(_) => false,
        BusConfig::Durable(_) => true,
        #[cfg(feature = "nats")]
        BusConfig::Nats(_) => true,
    }
}
