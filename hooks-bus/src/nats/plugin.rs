//! The NATS bus as a kind of bus in config files.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{
    ConfigProblem,
    bus::{BusConfig, BusTraits, ControlChannel, OpenBusError, OpenedBus, Purpose},
};

use super::{NatsBus, NatsConfig};

#[async_trait]
impl BusConfig for NatsConfig {
    const KIND: &'static str = "nats";
    const TRAITS: BusTraits = BusTraits::new().outlives_process().shared().keeps_events();

    async fn open(&self, purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
        let mut config = self.clone();
        // An operator's command makes nothing.
        config.create &= purpose == Purpose::Deliver;
        let bus = NatsBus::connect(config).await.map_err(|error| OpenBusError::Failed(error.into()))?;
        let control = ControlChannel::Instances(Arc::new(bus.clone()));
        Ok(OpenedBus::new(Arc::new(bus)).control(control))
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        self.problems()
    }

    fn begin_paths_at(&mut self, folder: &Path) {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.ca, &mut tls.cert, &mut tls.key]);
        for path in tls.chain([&mut self.credentials_file]).flatten() {
            *path = folder.join(&*path);
        }
    }

    fn credentials(&self) -> Vec<(&'static str, &Path)> {
        self.credentials_file.as_deref().map(|file| ("credentials_file", file)).into_iter().collect()
    }
}
