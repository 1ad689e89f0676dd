//! The durable bus as a kind of bus in config files.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hooks_core::{
    BoxError, ByteSize, ConfigProblem,
    bus::{BusConfig, BusTraits, ControlChannel, LogMaintenance, OpenBusError, OpenedBus, Purpose},
    serde_json,
};

use super::{DurableBus, DurableConfig, OpenError, folder};
use crate::memory::no_memory;

#[async_trait]
impl BusConfig for DurableConfig {
    const KIND: &'static str = "durable";
    const TRAITS: BusTraits = BusTraits::new().outlives_process().keeps_events().atomic().counts_tenants();

    async fn open(&self, purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
        if purpose != Purpose::Deliver && !DurableBus::exists(&self.dir) {
            return Err(OpenBusError::Missing(self.missing()));
        }
        let bus = match purpose {
            Purpose::Look => DurableBus::look(self),
            Purpose::Operate => DurableBus::open_to_operate(self),
            _ => DurableBus::open(self),
        };
        let bus = bus.map_err(|error| match error {
            OpenError::InUse { .. } => OpenBusError::InUse(error.into()),
            _ => OpenBusError::Failed(error.into()),
        })?;
        Ok(OpenedBus::new(Arc::new(bus)).control(ControlChannel::Folder(self.dir.clone())))
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        no_memory(self.max_memory).into_iter().chain(self.problems()).collect()
    }

    fn begin_paths_at(&mut self, folder: &Path) {
        self.dir = folder.join(&self.dir);
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.dir)
    }

    fn max_memory(&self) -> Option<(&'static str, ByteSize)> {
        Some(("max_memory", self.max_memory))
    }

    fn max_event(&self) -> Option<(&'static str, ByteSize)> {
        Some(("dead_letters.max_bytes", ByteSize::new(self.largest_event() as u64)))
    }

    fn maintenance(&self) -> Option<&dyn LogMaintenance> {
        Some(self)
    }
}

impl LogMaintenance for DurableConfig {
    fn verify(&self) -> Result<serde_json::Value, BoxError> {
        Ok(serde_json::to_value(DurableBus::verify(&self.dir)?)?)
    }

    fn repair(&self) -> Result<Option<String>, BoxError> {
        let lost = DurableBus::repair(&self.dir)?;
        Ok(lost.map(|(from, to)| format!("the events at positions {from} to {} are lost", to - 1)))
    }
}

impl DurableConfig {
    fn missing(&self) -> String {
        let dir = self.dir.display();
        let why = match folder::names(&self.dir) {
            Ok(_) => "it has no file `format`".to_owned(),
            Err(error) => error.to_string(),
        };
        format!("`{dir}` holds no log ({why})")
    }
}
