//! `[bus]`: where events wait for hooks.

use std::path::Path;

#[cfg(feature = "nats")]
use hooks_bus::NatsConfig;
use hooks_bus::{DurableConfig, MemoryConfig};
use hooks_core::ByteSize;
use schemars::SchemaGenerator;
use serde_json::{Value as Json, json};

use super::nearest::nearest;
use super::problem::Findings;
#[cfg(feature = "nats")]
use super::read::parse_path;
use super::tree::{Entry, Node, Step, Value};
use super::wording::Redactor;
use super::{Source, section};

/// The bus, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusConfig {
    /// Events stay in this process.
    Memory(MemoryConfig),
    /// Events are kept in a folder.
    Durable(DurableConfig),
    /// Events are kept in a NATS JetStream stream.
    #[cfg(feature = "nats")]
    Nats(Box<NatsConfig>),
}

impl BusConfig {
    /// Most bytes of events that the process holds, where the bus bounds them together.
    pub fn max_memory(&self) -> Option<ByteSize> {
        match self {
            Self::Memory(memory) => Some(memory.max_memory),
            Self::Durable(durable) => Some(durable.max_memory),
            #[cfg(feature = "nats")]
            Self::Nats(_) => None,
        }
    }
}

/// The meaning of a config file without `[bus]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutBus {
    /// The memory bus: a pipe and a test delivery leave nothing behind.
    Memory,
    /// The durable bus, in the folder `hooks-data` beside the file.
    Durable,
    /// Either: settings of both are legal.
    Either,
}

/// The settings of hooks that have an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Durable,
    #[cfg(feature = "nats")]
    Nats,
}

impl Kind {
    const ALL: &'static [(&'static str, Self)] = &[
        ("memory", Self::Memory),
        ("durable", Self::Durable),
        #[cfg(feature = "nats")]
        ("nats", Self::Nats),
    ];

    /// Their names, as they are written.
    fn known() -> String {
        Self::ALL.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ")
    }

    /// True if events outlive the process.
    pub(super) fn outlives(self) -> bool {
        self != Self::Memory
    }

    /// The setting of a hook that this bus has no use for, and why.
    pub(super) fn misplaced(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory => ("from", "the memory bus keeps nothing to begin with; the durable bus does"),
            Self::Durable => (
                "queue",
                "belongs to the memory bus; here the log keeps what a hook has not received, see bus.max_bytes",
            ),
            #[cfg(feature = "nats")]
            Self::Nats => ("queue", "belongs to the memory bus; here the stream keeps what a hook has not received"),
        }
    }
}

/// The folder of the durable bus where none is set.
const FOLDER: &str = "hooks-data";

/// Reads the section. The kind is `None` where it is not known.
pub(super) fn read(
    entry: Option<Entry>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Option<(BusConfig, Option<Kind>)> {
    let Some(mut entry) = entry else { return Some(unset(source)) };
    let Some(table) = entry.node.table_mut() else {
        section::<MemoryConfig>("bus", Some(entry), findings);
        return None;
    };
    let Some(kind) = table.remove("kind") else {
        findings.add(entry.key.clone(), format!("bus: `kind` is missing: one of {}", Kind::known()));
        return None;
    };
    if kind.node.is_broken() {
        return None;
    }
    let name = kind.node.text().unwrap_or_default().to_owned();
    match Kind::ALL.iter().find(|(known, _)| *known == name) {
        Some((_, Kind::Memory)) => memory(entry, findings).map(|bus| (bus, Some(Kind::Memory))),
        Some((_, Kind::Durable)) => durable(entry, source, findings).map(|bus| (bus, Some(Kind::Durable))),
        #[cfg(feature = "nats")]
        Some((_, Kind::Nats)) => nats(entry, source, findings).map(|bus| (bus, Some(Kind::Nats))),
        None => {
            let shown = Redactor::default().variables(&kind.node).redact(&name);
            findings.add(kind.node.span, unknown(&name, &shown));
            None
        }
    }
}

fn unset(source: &Source<'_>) -> (BusConfig, Option<Kind>) {
    let memory = BusConfig::Memory(MemoryConfig::default());
    match source.without_bus {
        WithoutBus::Memory => (memory, Some(Kind::Memory)),
        WithoutBus::Either => (memory, None),
        WithoutBus::Durable => {
            let folder = Path::new(source.config_dir.unwrap_or_default()).join(FOLDER);
            (BusConfig::Durable(DurableConfig::new(folder)), Some(Kind::Durable))
        }
    }
}

fn memory(entry: Entry, findings: &mut Findings) -> Option<BusConfig> {
    let (settings, places) = section::<MemoryConfig>("bus", Some(entry), findings)?;
    no_memory(settings.max_memory, &places, findings);
    Some(BusConfig::Memory(settings))
}

fn durable(mut entry: Entry, source: &Source<'_>, findings: &mut Findings) -> Option<BusConfig> {
    let table = entry.node.table_mut()?;
    if table.get("dir").is_none() {
        let node = Node { span: entry.key.clone(), value: Value::Leaf(json!(FOLDER), Vec::new()) };
        table.insert("dir".to_owned(), Entry { key: entry.key.clone(), node });
    }
    let (mut settings, places) = section::<DurableConfig>("bus", Some(entry), findings)?;
    no_memory(settings.max_memory, &places, findings);
    for (path, message) in settings.problems() {
        let steps: Vec<_> = path.split('.').map(|key| Step::Key(key.to_owned())).collect();
        findings.add(places.find(&steps).0.span(), format!("bus: {path}: {message}"));
    }
    settings.dir = Path::new(source.config_dir.unwrap_or_default()).join(&settings.dir);
    Some(BusConfig::Durable(settings))
}

#[cfg(feature = "nats")]
fn nats(entry: Entry, source: &Source<'_>, findings: &mut Findings) -> Option<BusConfig> {
    let (mut settings, places) = section::<NatsConfig>("bus", Some(entry), findings)?;
    for problem in settings.validate() {
        let steps = parse_path(&places, &problem.path);
        let place = if problem.path.is_empty() { "bus".to_owned() } else { format!("bus: {}", problem.path) };
        findings.add(places.find(&steps).0.span(), format!("{place}: {}", problem.message));
    }
    settings.begin_paths_at(Path::new(source.config_dir.unwrap_or_default()));
    Some(BusConfig::Nats(Box::new(settings)))
}

fn no_memory(max_memory: ByteSize, places: &Node, findings: &mut Findings) {
    if max_memory.0 == 0 {
        findings.add(super::place_of(places, "max_memory"), "bus: max_memory: 0 bytes hold no event: set at least 1");
    }
}

fn unknown(name: &str, shown: &str) -> String {
    match name {
        #[cfg(not(feature = "nats"))]
        "nats" => "bus: the `nats` bus is not built into this version".to_owned(),
        "" => format!("bus: kind: expected one of {}", Kind::known()),
        _ => match nearest(name, Kind::ALL.iter().map(|(name, _)| *name)) {
            Some(near) => format!("bus: unknown kind `{shown}`, did you mean `{near}`?"),
            None => format!("bus: unknown kind `{shown}`; known: {}", Kind::known()),
        },
    }
}

/// The JSON Schema of the section.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Json {
    let memory = super::schema::with_kind(generator.subschema_for::<MemoryConfig>().to_value(), "memory");
    let mut durable = super::schema::with_kind(generator.subschema_for::<DurableConfig>().to_value(), "durable");
    durable["required"] = json!(["kind"]);
    durable["properties"]["dir"]["default"] = json!(FOLDER);
    let kinds = vec![
        durable,
        memory,
        #[cfg(feature = "nats")]
        super::schema::with_kind(generator.subschema_for::<NatsConfig>().to_value(), "nats"),
    ];
    json!({
        "description": "Where events wait for hooks. Not set: for `serve` the durable bus in the folder `hooks-data` beside this file, else the memory of the process.",
        "oneOf": kinds,
    })
}
