//! `[bus]`: where events wait for hooks.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use hooks_core::bus::{BusFactory, BusPlugin};
use serde_json::{Value as Json, json};

use super::plugin::Place;
use super::problem::Findings;
use super::shape::Shapes;
use super::tree::Entry;

/// The bus of a config file.
#[derive(Clone)]
pub struct ConfiguredBus {
    factory: Arc<dyn BusFactory>,
    /// Whether the command takes this one, whatever it is.
    is_decided: bool,
}

/// The bus of a config file without `[bus]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutBus {
    /// One in the process: a pipe and a test delivery leave nothing behind.
    InProcess,
    /// One on disk, in the folder `hooks-data` beside the file.
    OnDisk,
    /// Either: settings of both are legal.
    Either,
}

/// The source of a config.
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
    pub(super) without_bus: WithoutBus,
    pub(super) config_dir: Option<&'a str>,
}

/// The kind of bus in a process.
const IN_PROCESS: &str = "memory";

/// The kind of bus on disk.
const ON_DISK: &str = "durable";

impl ConfiguredBus {
    /// The bus on disk in this folder, as no config file says otherwise.
    ///
    /// # Errors
    /// When it is not linked, or refuses the folder.
    pub fn on_disk(dir: &Path) -> Result<Self, String> {
        Self::of(ON_DISK, json!({ "dir": dir }))
    }

    /// A bus of this kind.
    fn of(kind: &str, settings: Json) -> Result<Self, String> {
        let plugin = BusPlugin::find(kind);
        let plugin = plugin.ok_or_else(|| format!("the bus `{kind}` is not linked into this binary"))?;
        let factory = plugin.parse(settings).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(|problem| format!("bus `{kind}`: {problem}")).collect();
            problems.join("; ")
        })?;
        Ok(Self { factory, is_decided: true })
    }

    /// Whether hooks have queues in memory, whose limits can be set. `None`: that depends on the command.
    pub(super) fn has_queues(&self) -> Option<bool> {
        self.is_decided.then(|| !self.traits().keeps_events)
    }

    /// The setting of a hook that has no effect on this bus, and why.
    pub(super) fn misplaced(&self) -> Option<(&'static str, String)> {
        let kind = self.kind();
        self.has_queues().map(|has_queues| match has_queues {
            true => ("from", format!("has no effect on the `{kind}` bus, which keeps no events to begin with")),
            false => (
                "queue",
                format!("has no effect on the `{kind}` bus, whose log keeps the events that a hook has not received"),
            ),
        })
    }

    fn begin_paths_at(&mut self, source: &Source<'_>) {
        if let (Some(factory), Some(folder)) = (Arc::get_mut(&mut self.factory), source.config_dir) {
            factory.begin_paths_at(Path::new(folder));
        }
    }
}

impl Deref for ConfiguredBus {
    type Target = dyn BusFactory;

    fn deref(&self) -> &Self::Target {
        &*self.factory
    }
}

impl PartialEq for ConfiguredBus {
    fn eq(&self, other: &Self) -> bool {
        self.factory.is_same(&*other.factory)
    }
}

impl fmt::Debug for ConfiguredBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.factory.fmt(f)
    }
}

/// Reads the section.
pub(super) fn read(entry: Option<Entry>, source: &Source<'_>, findings: &mut Findings) -> Option<ConfiguredBus> {
    let Some(mut entry) = entry else { return unset(source, findings) };
    let place = Place { label: "bus", example: "bus = { kind = \"durable\", dir = \"hooks-data\" }" };
    let factory = place.read::<dyn BusFactory>(&mut entry, &mut Shapes::default(), findings)?;
    let mut bus = ConfiguredBus { factory, is_decided: true };
    bus.begin_paths_at(source);
    Some(bus)
}

fn unset(source: &Source<'_>, findings: &mut Findings) -> Option<ConfiguredBus> {
    let kind = if source.without_bus == WithoutBus::OnDisk { ON_DISK } else { IN_PROCESS };
    match ConfiguredBus::of(kind, json!({})) {
        Ok(mut bus) => {
            bus.begin_paths_at(source);
            bus.is_decided = source.without_bus != WithoutBus::Either;
            Some(bus)
        }
        Err(why) => {
            findings.add(0..0, format!("there is no `[bus]`, and {why}"));
            None
        }
    }
}
