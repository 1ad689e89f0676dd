//! The config file: from text to hooks that are ready to run, with everything that is wrong said at once.
//!
//! ```text
//! text ─▶ tree with places ─▶ ${VARIABLES} ─▶ sections: serde, one error after the other ─▶ Config
//!                  └───────────── problems, each with line and column ─────────────┘
//! ```
//!
//! Nothing here does I/O but [`load`]: [`parse`] takes the text and the variables as parameters.

mod expand;
mod hook;
mod ingest;
mod nearest;
mod problem;
mod read;
mod schema;
mod settings;
mod shape;
mod sink;
#[cfg(test)]
mod tests;
mod tree;
mod wording;
mod written;

use std::path::Path;

use hooks_bus::MemoryConfig;
use hooks_core::Hook;
use toml::de::DeTable;

pub use expand::Variables;
pub use ingest::IngestSettings;
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use settings::EventSettings;
pub use written::Written;

pub(crate) use nearest::nearest;
pub(crate) use shape::{Shape, summary};
pub(crate) use sink::kinds;

use problem::{Findings, Lines};
use read::Section;
use tree::{Entry, Node, Table, Value};
use wording::Redactor;

/// A config file whose every setting makes sense.
#[derive(Debug)]
pub struct Config {
    /// The file, as it is to be shown.
    pub file: String,
    /// `[bus]`.
    pub bus: BusConfig,
    /// `[events]`.
    pub events: EventSettings,
    /// `[ingest]`, for `hooks serve`.
    pub ingest: IngestSettings,
    /// `[[hooks]]`, at least one.
    pub hooks: Vec<HookConfig>,
}

/// The bus, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusConfig {
    /// Events stay in this process.
    Memory(MemoryConfig),
}

/// A hook, and what a command has to know about how it was written.
#[derive(Debug)]
pub struct HookConfig {
    /// The hook, ready to run.
    pub hook: Hook,
    /// Line and column where `queue.overflow` is set; `None` where it is left to the command.
    pub overflow: Option<(usize, usize)>,
    /// Tells whether another hook was written the same.
    pub written: Written,
}

/// What can stand at the top of a config file.
const SECTIONS: [&str; 5] = ["bus", "events", "ingest", "defaults", "hooks"];

/// Reads and checks a config file.
///
/// # Errors
/// Everything that is wrong with it; or that it can't be read.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let file = path.display().to_string();
    let whole = |place, message: String| Problems { file: file.clone(), list: vec![Problem::new(place, message)] };
    let bytes = std::fs::read(path).map_err(|error| whole(None, format!("can't be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        whole(Some(Lines::new(&sound).place(sound.len())), "not UTF-8".to_owned())
    })?;
    let full = std::path::absolute(path).map_err(|error| whole(None, format!("has no absolute path: {error}")))?;
    let config_dir = full.parent().and_then(Path::to_str);
    parse(&text, &file, &Variables { config_dir, lookup: &|name| std::env::var(name) })
}

/// Checks the text of a config file. Does no I/O.
///
/// # Errors
/// Everything that is wrong with it.
///
/// ```
/// use hooks_cli::config::{Variables, parse};
///
/// let variables = Variables { config_dir: None, lookup: &|_| Err(std::env::VarError::NotPresent) };
/// let problems = parse("[[hook]]\nid = 'a'\n", "hooks.toml", &variables).expect_err("misspelt");
/// assert!(problems.to_string().starts_with("hooks.toml:1:3: unknown field `hook`, did you mean `hooks`?"));
/// ```
pub fn parse(text: &str, file: &str, variables: &Variables<'_>) -> Result<Config, Problems> {
    let mut findings = Findings::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // The tree of a broken file has holes; looking further would find errors that are none.
        for error in errors {
            findings.add_blind(error.span().unwrap_or(0..0), error.message());
        }
        return Err(findings.into_problems(file, text));
    }
    let mut root = tree::tree(table, text, variables, &mut |span, message| findings.add(span, message));
    let config = root.table_mut().and_then(|table| read(table, text, file, variables.config_dir, &mut findings));
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(findings.into_problems(file, text)),
    }
}

fn read(
    table: &mut Table,
    text: &str,
    file: &str,
    config_dir: Option<&str>,
    findings: &mut Findings,
) -> Option<Config> {
    let unknown = refuse_unknown(table, findings);
    let bus = bus(table.remove("bus"), findings);
    let events = section::<EventSettings>("events", table.remove("events"), findings);
    if let Some((events, places)) = &events {
        check_events(events, places, bus.as_ref(), findings);
    }
    let ingest = ingest::read(table.remove("ingest"), config_dir, bus.as_ref(), findings);
    let mut defaults = table.remove("defaults").map_or_else(empty, |entry| entry.node);
    if !matches!(defaults.value, Value::Table(_) | Value::Broken) {
        findings.add(defaults.span.clone(), format!("defaults: expected a table, found {}", defaults.describe()));
        defaults = empty();
    }
    hook::defaults(&mut defaults, findings);
    let hooks = match table.remove("hooks") {
        // A misspelt `hooks` is one error, not two.
        None if unknown => Vec::new(),
        entry => hooks(entry, &defaults, bus.as_ref(), findings),
    };
    let lines = Lines::new(text);
    let hooks = hooks.into_iter().map(|read| HookConfig {
        hook: read.hook,
        overflow: read.overflow.map(|span| lines.place(span.start)),
        written: read.written,
    });
    Some(Config { file: file.to_owned(), bus: bus?, events: events?.0, ingest: ingest?, hooks: hooks.collect() })
}

/// True when there is something unknown.
fn refuse_unknown(table: &Table, findings: &mut Findings) -> bool {
    let mut any = false;
    for (name, entry) in table.iter().filter(|(name, _)| !SECTIONS.contains(&name.as_str())) {
        let message = wording::unknown_field(name, &SECTIONS);
        entry.node.strings(&mut |node, _| findings.mask(node.span.clone()));
        findings.add(entry.key.clone(), message);
        any = true;
    }
    any
}

fn bus(entry: Option<Entry>, findings: &mut Findings) -> Option<BusConfig> {
    let Some(mut entry) = entry else { return Some(BusConfig::Memory(MemoryConfig::default())) };
    let Some(table) = entry.node.table_mut() else {
        section::<MemoryConfig>("bus", Some(entry), findings);
        return None;
    };
    let Some(kind) = table.remove("kind") else {
        findings.add(entry.key.clone(), "bus: `kind` is missing: `kind = \"memory\"`");
        // What else is wrong is said, too.
        section::<MemoryConfig>("bus", Some(entry), findings);
        return None;
    };
    if kind.node.is_broken() {
        return None;
    }
    let name = kind.node.text().unwrap_or_default().to_owned();
    if name != "memory" {
        let shown = Redactor::default().variables(&kind.node).redact(&name);
        findings.add(kind.node.span, unknown_bus(&name, &shown));
        return None;
    }
    let (settings, places) = section::<MemoryConfig>("bus", Some(entry), findings)?;
    if settings.max_memory.0 == 0 {
        findings.add(place_of(&places, "max_memory"), "bus: max_memory: 0 bytes hold no event: set at least 1");
    }
    Some(BusConfig::Memory(settings))
}

fn unknown_bus(name: &str, shown: &str) -> String {
    match name {
        "durable" | "nats" => format!("bus: the `{name}` bus is not built into this version: only `memory` is"),
        "" => "bus: kind: expected \"memory\"".to_owned(),
        _ => match nearest(name, ["memory", "durable", "nats"]) {
            Some(near) => format!("bus: unknown kind `{shown}`, did you mean `{near}`?"),
            None => format!("bus: unknown kind `{shown}`; known: `memory`"),
        },
    }
}

fn check_events(events: &EventSettings, places: &Node, bus: Option<&BusConfig>, findings: &mut Findings) {
    if events.source.is_empty() || events.source.chars().any(|char| char.is_whitespace() || char.is_control()) {
        let message = "events: source: expected a URI reference, for example \"/my/service\"";
        findings.add(place_of(places, "source"), message);
    }
    let mut size = |message: String| {
        findings.add(place_of(places, "max_bytes"), format!("events: max_bytes: {message}"));
    };
    if events.max_bytes.0 == 0 {
        size("0 bytes hold no event: set at least 1".to_owned());
    } else if events.max_bytes > settings::LARGEST_EVENT {
        size(format!("{} is more than {}", events.max_bytes, settings::LARGEST_EVENT));
    } else if let Some(BusConfig::Memory(memory)) = bus
        && memory.max_memory < events.max_bytes
    {
        size(format!("an event of {} never fits into bus.max_memory, {}", events.max_bytes, memory.max_memory));
    }
}

fn hooks(
    entry: Option<Entry>,
    defaults: &Node,
    bus: Option<&BusConfig>,
    findings: &mut Findings,
) -> Vec<hook::ReadHook> {
    let Some(mut entry) = entry else {
        findings.add(0..0, "there is no hook: add `[[hooks]]` with `id` and `sink`");
        return Vec::new();
    };
    match &mut entry.node.value {
        Value::List(list) if list.is_empty() => {
            findings.add(entry.key, "there is no hook: add `[[hooks]]` with `id` and `sink`");
            Vec::new()
        }
        Value::List(list) => hook::read_all(list, defaults, bus, findings),
        Value::Table(_) => {
            findings.add(entry.key, "hooks: expected a list, found a table: each hook begins with `[[hooks]]`");
            Vec::new()
        }
        _ => {
            let found = entry.node.describe();
            findings
                .add(entry.key, format!("hooks: expected a list, found {found}: each hook begins with `[[hooks]]`"));
            Vec::new()
        }
    }
}

/// Reads a plain section, and gives its places back.
fn section<T: serde::de::DeserializeOwned>(
    name: &str,
    entry: Option<Entry>,
    findings: &mut Findings,
) -> Option<(T, Node)> {
    let mut node = entry.map_or_else(empty, |entry| entry.node);
    let redactor = Redactor::default().variables(&node);
    let label = format!("{name}: ");
    if node.table().is_none() {
        if !node.is_broken() {
            findings.add(node.span.clone(), format!("{label}expected a table, found {}", node.describe()));
        }
        return None;
    }
    let elsewhere: &[&str] = if name == "bus" { &["kind"] } else { &[] };
    let mut section = Section { label: &label, node: &mut node, redactor: &redactor, elsewhere };
    let read = section.read(findings, |json| json);
    read.map(|read| (read, node))
}

fn place_of(node: &Node, name: &str) -> std::ops::Range<usize> {
    node.find(&[tree::Step::Key(name.to_owned())]).0.span()
}

fn empty() -> Node {
    Node { span: 0..0, value: Value::Table(Table::new()) }
}
