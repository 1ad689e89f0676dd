//! `[bus]`: where events wait for hooks.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use hooks_core::bus::{BusFactory, BusPlugin};
use hooks_core::settings::read_plugin;
use serde_json::{Value as Json, json};

use super::problem::Findings;
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
    /// Looks up a variable of the environment.
    pub(super) lookup: &'a dyn Fn(&str) -> Result<String, std::env::VarError>,
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

    /// Whether the command takes this one, whatever it is.
    pub(super) fn is_decided(&self) -> bool {
        self.is_decided
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
    let Some(entry) = entry else { return unset(source, findings) };
    findings.mask_plugin(&entry.node);
    let example = "bus = { kind = \"durable\", dir = \"hooks-data\" }";
    let read = read_plugin::<dyn BusFactory>("bus", example, entry.node.draft());
    let factory = read.map_err(|faults| findings.add_faults("", Some(entry.key), &entry.node, faults)).ok()?;
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
