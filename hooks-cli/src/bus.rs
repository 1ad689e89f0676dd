//! Opening the bus of a config file, and the history beside it.

use std::time::Duration;

use hooks_core::uuid::Uuid;
use hooks_core::{
    BoxError,
    bus::{OpenBusError, OpenedBus, Purpose},
};
use hooks_server::history::{History, HistoryError};
use hooks_server::on_own_thread;
use tokio::time::Instant;

use crate::config::{ConfiguredBus, HistoryConfig};

/// Opens the bus to deliver its events. Waits a while for a process that is about to leave it.
///
/// # Errors
/// When it can't be opened.
pub(crate) async fn open(bus: &ConfiguredBus) -> Result<OpenedBus, BoxError> {
    let mut handover = Handover::default();
    loop {
        match bus.open(Purpose::Deliver).await {
            Err(OpenBusError::InUse(_)) if handover.waits().await => {}
            opened => return Ok(opened?),
        }
    }
}

/// Opens the history beside the bus, if one is kept. Waits a while for a process that is about to leave it.
///
/// # Errors
/// When it can't be opened.
pub(crate) async fn open_history(
    history: &HistoryConfig,
    bus: &ConfiguredBus,
    log: Uuid,
) -> Result<Option<History>, BoxError> {
    let mut handover = Handover::default();
    loop {
        let (history, bus) = (history.clone(), bus.clone());
        match on_own_thread("history", move || history.open(&bus, log)).await? {
            Err(HistoryError::InUse(_)) if handover.waits().await => {}
            opened => return Ok(opened?),
        }
    }
}

/// How long a bus may be in use by a process that is about to leave it: a daemon that ends, an operator's look. A
/// daemon that starts has it before it can be asked.
const HANDOVER: Duration = Duration::from_secs(3);

/// How often it is tried until then: nothing tells when the lock goes.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits for a bus that is in use.
pub(crate) struct Handover(Instant);

impl Default for Handover {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Handover {
    /// Waits a moment, and returns whether it is worth trying again.
    pub(crate) async fn waits(&mut self) -> bool {
        let is_left = self.0.elapsed() < HANDOVER;
        if is_left {
            tokio::time::sleep(PAUSE).await;
        }
        is_left
    }
}
