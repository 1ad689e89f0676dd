//! The server as a library, from outside.
#![allow(clippy::unwrap_used, reason = "tests")]

mod listener;
mod metrics;
mod settings;

use std::sync::Arc;

use hooks_bus::MemoryBus;
use hooks_core::{Bus, Dispatcher};
use hooks_server::{Server, ServerBuilder};

fn parts() -> (Arc<dyn Bus>, Arc<Dispatcher>) {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::default());
    (bus.clone(), Arc::new(Dispatcher::new(bus)))
}

fn builder() -> ServerBuilder {
    let (bus, dispatcher) = parts();
    Server::builder(bus, dispatcher)
}
