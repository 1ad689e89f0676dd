//! From `[bus]` to a bus.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooks_bus::{DurableBus, DurableConfig, MemoryBus, OpenError};
use hooks_core::{BoxError, Bus};
use tokio::time::Instant;

use crate::config::BusConfig;

/// A bus, and the way by which operators reach the process that has it.
pub(crate) struct Opened {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) way: Way,
}

/// The way by which operators reach a process.
pub(crate) enum Way {
    None,
    /// A socket in this folder.
    Folder(PathBuf),
    /// The servers that it is connected to.
    #[cfg(feature = "nats")]
    Nats(hooks_bus::NatsBus),
}

/// Opens the bus of a config file.
///
/// # Errors
/// When its folder or its servers can't be used.
pub(crate) async fn open(config: &BusConfig) -> Result<Opened, BoxError> {
    let (bus, way): (Arc<dyn Bus>, _) = match config {
        BusConfig::Memory(memory) => (Arc::new(MemoryBus::new(memory)), Way::None),
        BusConfig::Durable(durable) => (Arc::new(open_folder(durable).await?), Way::Folder(durable.dir.clone())),
        #[cfg(feature = "nats")]
        BusConfig::Nats(nats) => {
            let bus = hooks_bus::NatsBus::connect((**nats).clone()).await?;
            (Arc::new(bus.clone()), Way::Nats(bus))
        }
    };
    Ok(Opened { bus, way })
}

/// The longest time that a folder may be in use by a process that is about to leave it: a daemon that ends, an
/// operator's look. A daemon that starts has it before it can be asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// The interval of tries in that time: nothing tells when the lock goes.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for a folder that is in use.
pub(crate) struct Patience(Instant);

impl Default for Patience {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Patience {
    /// Waits a while, and returns whether it is worth trying again.
    pub(crate) async fn waits(&mut self) -> bool {
        let is_left = self.0.elapsed() < PATIENCE;
        if is_left {
            tokio::time::sleep(PAUSE).await;
        }
        is_left
    }
}

/// The purpose for which an operator without a daemon opens a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing is changed by that.
    Look,
    Change,
}

/// Opens the bus while no daemon runs, and gives up nothing that it keeps. Does not wait for a process that has it.
///
/// # Errors
/// As for [`open`].
pub(crate) async fn open_for(purpose: Purpose, config: &BusConfig) -> Result<Arc<dyn Bus>, BoxError> {
    Ok(match (config, purpose) {
        (BusConfig::Durable(durable), Purpose::Look) => Arc::new(DurableBus::look(durable)?),
        (BusConfig::Durable(durable), Purpose::Change) => Arc::new(DurableBus::open_to_operate(durable)?),
        _ => open(config).await?.bus,
    })
}

async fn open_folder(config: &DurableConfig) -> Result<DurableBus, OpenError> {
    let mut patience = Patience::default();
    loop {
        match DurableBus::open(config) {
            Err(OpenError::InUse { .. }) if patience.waits().await => {}
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

/// The file of its credentials, if it has one: read once, when it is opened.
pub(crate) fn credentials(config: &BusConfig) -> Option<&Path> {
    match config {
        BusConfig::Memory(_) | BusConfig::Durable(_) => None,
        #[cfg(feature = "nats")]
        BusConfig::Nats(nats) => nats.credentials_file.as_deref(),
    }
}

/// True if there is anything to look at yet. Opening what is not there would make it.
pub(crate) fn exists(config: &BusConfig) -> bool {
    folder(config).is_none_or(DurableBus::exists)
}

/// True if events and positions outlive the process.
pub(crate) fn outlives(config: &BusConfig) -> bool {
    match config {
        BusConfig::Memory(_) => false,
        BusConfig::Durable(_) => true,
        #[cfg(feature = "nats")]
        BusConfig::Nats(_) => true,
    }
}
