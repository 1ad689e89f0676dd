//! Checks that cost grows linearly: one axis at a time, at most 4 GiB of events in all.

use std::ffi::OsStr;

use hooks_core::BoxError;

use crate::Setup;
use crate::events::{Events, SIZE};
use crate::pipe::webhook_config;
use crate::process::{Cost, cost, precise};
use crate::receiver::Receiver;

/// Deliveries of each point on the axis of hooks, at least,
const DELIVERIES: usize = 1_000_000;

/// and events: the first batch of a hook starts its worker, and that is no cost per event.
const EVENTS: usize = 1_000;

/// Bytes of each point on the axis of sizes.
const BYTES: usize = 100 << 20;

/// A table of all.
pub(crate) fn table(setup: &Setup) -> Result<String, BoxError> {
    let mut text = "| axis | | CPU | per | peak MiB |\n|---|---|---|---|---|\n".to_owned();
    for count in [10_000, 100_000, 1_000_000, 8_000_000] {
        let events = Events::prepare(&setup.folder, count, SIZE)?;
        let cost = deliver(setup, &events)?;
        std::fs::remove_file(&events.file)?;
        text.push_str(&row("events", count, cost.cpu / count as f64 * 1e9, "ns", "event", cost.peak));
    }
    for size in [100, 1 << 10, 10 << 10, 100 << 10, 1 << 20] {
        let events = Events::prepare(&setup.folder, BYTES / size, size)?;
        let cost = deliver(setup, &events)?;
        std::fs::remove_file(&events.file)?;
        text.push_str(&row("bytes an event", size, cost.cpu / events.bytes as f64 * 1e9, "ns", "byte", cost.peak));
    }
    for hooks in [1, 10, 100, 1_000, 10_000, 100_000] {
        let events = Events::prepare(&setup.folder, (DELIVERIES / hooks).max(EVENTS), SIZE)?;
        let cost = cost(&["fanout", &hooks.to_string(), &events.file.display().to_string()])?;
        let deliveries = (events.count * hooks) as f64;
        text.push_str(&row("hooks", hooks, cost.cpu / deliveries * 1e9, "ns", "delivery", cost.peak));
    }
    Ok(text)
}

fn deliver(setup: &Setup, events: &Events) -> Result<Cost, BoxError> {
    let receiver = Receiver::start()?;
    let config = webhook_config(&setup.folder, &receiver.url())?;
    precise(&[OsStr::new("pipe"), OsStr::new("-c"), config.as_os_str()], &events.file)
}

fn row(axis: &str, at: usize, figure: f64, unit: &str, per: &str, peak: f64) -> String {
    eprintln!("  {axis} {at}: {figure:.2} {unit} per {per}");
    let peak = if peak > 0.0 { format!("{peak:.0}") } else { String::new() };
    format!("| {axis} | {at} | {figure:.2} {unit} | {per} | {peak} |\n")
}
