//! The Postgres bus as a kind of bus in config files.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{
    ConfigProblem,
    bus::{BusConfig, BusTraits, ControlChannel, OpenBusError, OpenedBus, Purpose},
};

use super::{PostgresBus, PostgresConfig};

#[async_trait]
impl BusConfig for PostgresConfig {
    const KIND: &'static str = "postgres";
    const TRAITS: BusTraits = BusTraits::new().outlives_process().shared().keeps_events().atomic();

    async fn open(&self, purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
        let mut config = self.clone();
        // An operator's command makes nothing.
        config.create &= purpose == Purpose::Deliver;
        let bus = PostgresBus::connect(config).await.map_err(|error| OpenBusError::Failed(error.into()))?;
        let control = ControlChannel::Instances(Arc::new(bus.clone()));
        Ok(OpenedBus::new(Arc::new(bus)).control(control))
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        self.problems()
    }

    fn begin_paths_at(&mut self, folder: &Path) {
        let files = [&mut self.passfile, &mut self.sslrootcert, &mut self.sslcert, &mut self.sslkey];
        for path in files.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    fn credentials(&self) -> Vec<(&'static str, &Path)> {
        let files = [("passfile", &self.passfile), ("sslkey", &self.sslkey)];
        files.into_iter().filter_map(|(setting, path)| Some((setting, path.as_deref()?))).collect()
    }
}
