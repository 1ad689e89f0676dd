//! The log of the durable bus, in memory where there is a file system for that: the disk plays no role.

use std::path::Path;
use std::sync::Arc;

use hooks_bus::{DurableBus, DurableConfig};
use hooks_core::{
    BoxError, Bus as _, Filter, HookId, HumanDuration, StartAt,
    bus::{Read, Subscription},
};
use tempfile::TempDir;

use crate::{EVENTS, ROUNDS, runtime, slice};

/// Publishes so many slices, each in its own commit.
pub(crate) fn append(slices: usize) -> Result<(), BoxError> {
    let folder = folder()?;
    publish(&folder, slices)
}

/// Reads so many events of a log that holds [`ROUNDS`] slices, none of them in memory any more.
pub(crate) fn read(events: usize) -> Result<(), BoxError> {
    let folder = folder()?;
    publish(&folder, ROUNDS)?;
    let bus = DurableBus::open(&DurableConfig::new(folder.path()))?;
    let subscription =
        Subscription::new(HookId::new("hook")?, Filter::default(), Arc::default()).from(StartAt::Earliest);
    runtime()?.block_on(async {
        let (mut reader, _settler) = bus.subscribe(subscription).await?;
        let mut found = Vec::new();
        while found.len() < events {
            let Read::Events(_) = reader.next(EVENTS, &mut found).await? else {
                return Err(format!("only {} of {events} events were read", found.len()).into());
            };
        }
        Ok(())
    })
}

fn publish(folder: &TempDir, slices: usize) -> Result<(), BoxError> {
    // It takes the same events again and again.
    let config = DurableConfig { duplicate_window: HumanDuration::default(), ..DurableConfig::new(folder.path()) };
    let bus = DurableBus::open(&config)?;
    let events = slice()?;
    runtime()?.block_on(async {
        for _ in 0..slices {
            bus.publish(events.clone()).await?;
        }
        Ok(())
    })
}

fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}
