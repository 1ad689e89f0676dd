//! The config file: from text to hooks that are ready to run, with everything that is wrong said at once.
//!
//! ```text
//! text ─▶ tree with places ─▶ ${VARIABLES} ─▶ JSON: `hooks_core::settings` ─▶ Config
//!                  ▲                                   │
//!                  └─ pointers of what is wrong ───────┘  problems, each with line and column
//! ```
//!
//! Nothing here does I/O but [`load`]: [`parse`] takes the text and the variables as parameters.

mod api;
mod applied;
mod bus;
mod expand;
mod history;
mod hook;
mod ingest;
#[cfg(feature = "http")]
mod listening;
mod names;
mod origin;
mod problem;
mod schema;
mod section;
mod settings;
mod telemetry;
#[cfg(test)]
mod tests;
mod tree;
mod written;

use std::ops::Range;
use std::path::{Path, PathBuf};

use hooks_core::Hook;
use hooks_core::settings::unknown_field;
use hooks_server::otlp::TelemetrySettings;
use hooks_server::{ApiSettings, IngestSettings};
use toml::de::DeTable;

pub(crate) use applied::{FileHook, HookFile, load_hooks};
pub use bus::{ConfiguredBus, WithoutBus};
pub use expand::Variables;
pub use history::HistoryConfig;
pub(crate) use ingest::too_large_for;
#[cfg(feature = "http")]
pub(crate) use listening::listening;
pub(crate) use names::Names;
pub use origin::Origin;
pub(crate) use origin::without_steps_up;
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use settings::EventSettings;
pub use written::Written;

use crate::files::{Fingerprint, Fingerprints};
use bus::Source;
use origin::ConfigText;
use problem::{Findings, Lines};
use section::{empty, place_of, section};
use tree::{Entry, Node, Table, Value};

/// A config file whose every setting makes sense.
#[derive(Debug)]
pub struct Config {
    /// The file, as it is to be shown.
    pub file: String,
    /// `[bus]`.
    pub bus: ConfiguredBus,
    /// `[events]`.
    pub events: EventSettings,
    /// `[api]`, for `hooks serve`.
    pub api: ApiSettings,
    /// `[ingest]`, for `hooks serve`.
    pub ingest: IngestSettings,
    /// `[history]`.
    pub history: HistoryConfig,
    /// `[telemetry]`, if it is there.
    pub telemetry: Option<TelemetrySettings>,
    /// `[[hooks]]`: at least one, unless there is `[api]`.
    pub hooks: Vec<HookConfig>,
    /// Line and column of each string with a `$NAME`, which stands for nothing.
    bare: Vec<(usize, usize)>,
    /// Files that sinks read and that gave no answer.
    silent: Vec<PathBuf>,
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

/// The names that can stand at the top of a config file.
const SECTIONS: [&str; 8] = ["bus", "api", "events", "ingest", "history", "telemetry", "defaults", "hooks"];

/// Reads and checks a config.
///
/// # Errors
/// Everything that is wrong with it; or that its file can't be read.
pub fn load(origin: &Origin, without_bus: WithoutBus) -> Result<Config, Problems> {
    let ConfigText { file, text, folder } = origin.text()?;
    let variables = Variables { config_dir: folder.as_deref(), lookup: &|name| std::env::var(name) };
    let mut config = parse(&text, &file, without_bus, &variables).map_err(|problems| origin.told(problems))?;
    config.silent = look_at_files(&mut config.hooks);
    Ok(config)
}

/// Notes what the files hold that sinks read; returns those that give no answer.
fn look_at_files(hooks: &mut [HookConfig]) -> Vec<PathBuf> {
    let mut fingerprints = Fingerprints::default();
    for HookConfig { hook, written, .. } in hooks {
        let (named, system) = (fingerprints.of(&hook.sink.files()), fingerprints.of(&hook.sink.system_files()));
        hook.files = all(&named);
        written.with_files(named.into_iter().chain(system).collect());
    }
    fingerprints.silent().map(Path::to_owned).collect()
}

/// The fingerprint of all of them, if there are some and all could be read.
fn all(files: &[Fingerprint]) -> Option<Box<str>> {
    let holds = files.iter().map(|print| match print {
        Fingerprint::Holds(print) => Some(&**print),
        Fingerprint::Nothing | Fingerprint::Silent => None,
    });
    let all: Vec<_> = holds.collect::<Option<_>>()?;
    (!all.is_empty()).then(|| all.join(" ").into())
}

impl Config {
    /// Warnings: settings that are legal, but may not be what was meant.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        // Not quoted: it may be a secret.
        let bare = self.bare.iter().map(|(line, column)| {
            format!(":{line}:{column}: warning: a name behind `$` stays as it is: a variable is written `${{NAME}}`, and a plain dollar sign `$$`")
        });
        let sinks = self.hooks.iter().flat_map(|HookConfig { hook, .. }| {
            let (id, sink) = (&hook.id, hook.sink.kind());
            let warnings = hook.sink.warnings().into_iter();
            warnings.map(move |warning| format!(": warning: hook `{id}`: sink `{sink}`: {warning}"))
        });
        let filters = self.hooks.iter().flat_map(|HookConfig { hook, .. }| {
            let warnings = hook.filter.warnings().into_iter();
            warnings.map(move |warning| format!(": warning: hook `{}`: {warning}", hook.id))
        });
        let silent = self.silent.iter();
        let silent =
            silent.map(|path| format!(": warning: {}: no answer: is it on a disk that hangs?", path.display()));
        bare.chain(filters).chain(sinks).chain(silent).map(|warning| format!("{}{warning}", self.file))
    }

    /// What is wrong with the files that hooks name, as far as somebody can know who does not run them. Reads them.
    pub(crate) fn file_problems(&self) -> Vec<String> {
        let of = |HookConfig { hook, .. }: &HookConfig| {
            let (id, sink) = (&hook.id, hook.sink.kind());
            let problems = hook.sink.file_problems().into_iter();
            problems.map(|problem| format!("{}: hook `{id}`: sink `{sink}`: {problem}", self.file)).collect::<Vec<_>>()
        };
        self.hooks.iter().flat_map(of).collect()
    }
}

/// Checks the text of a config file. Does no I/O.
///
/// # Errors
/// Everything that is wrong with it.
///
/// ```
/// use hooks_cli::config::{Variables, WithoutBus, parse};
///
/// let variables = Variables { config_dir: None, lookup: &|_| Err(std::env::VarError::NotPresent) };
/// let problems = parse("[[hook]]\nid = 'a'\n", "hooks.toml", WithoutBus::InProcess, &variables).expect_err("misspelt");
/// assert!(problems.to_string().starts_with("hooks.toml:1:3: unknown field `hook`, did you mean `hooks`?"));
/// ```
pub fn parse(text: &str, file: &str, without_bus: WithoutBus, variables: &Variables<'_>) -> Result<Config, Problems> {
    let mut findings = Findings::default();
    let (mut root, bare) = tree_of(text, file, variables, &mut findings)?;
    let config = root.table_mut().and_then(|table| {
        read(
            table,
            &Source { text, file, without_bus, config_dir: variables.config_dir, lookup: variables.lookup },
            &mut findings,
        )
    });
    let lines = Lines::new(text);
    let bare = bare.into_iter().map(|span| lines.place(span.start)).collect();
    match config {
        Some(config) if findings.is_empty() => Ok(Config { bare, ..config }),
        _ => Err(findings.into_problems(file, text)),
    }
}

/// The tree of a text, and the strings in it that may want a variable without saying so.
fn tree_of(
    text: &str,
    file: &str,
    variables: &Variables<'_>,
    findings: &mut Findings,
) -> Result<(Node, Vec<Range<usize>>), Problems> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // The tree of a broken file has holes; looking further would find errors that are none.
        for error in errors {
            findings.add_blind(error.span().unwrap_or(0..0), error.message());
        }
        return Err(std::mem::take(findings).into_problems(file, text));
    }
    Ok(tree::tree(table, text, variables, &mut |span, message| findings.add(span, message)))
}

fn read(table: &mut Table, source: &Source<'_>, findings: &mut Findings) -> Option<Config> {
    let unknown = refuse_unknown(table, &SECTIONS, findings);
    let named_bus = table.contains_key("bus");
    let bus = bus::read(table.remove("bus"), source, findings);
    let events = section::<EventSettings>("events", table.remove("events"), findings);
    if let Some((events, places)) = &events {
        check_events(events, places, bus.as_ref(), findings);
    }
    // Hooks may be made over the API alone.
    let may_be_empty = table.contains_key("api") && source.without_bus != WithoutBus::InProcess;
    let (api, has_tokens) = api::read(table.remove("api"), source.config_dir, bus.as_ref(), findings);
    let ingest = ingest::read(table.remove("ingest"), source.config_dir, bus.as_ref(), has_tokens, findings);
    let history =
        history::read(table.remove("history"), source.config_dir, bus.as_ref().filter(|_| named_bus), findings);
    let telemetry = telemetry::read(table.remove("telemetry"), source.lookup, findings);
    let defaults = defaults(table, findings);
    let hooks = match table.remove("hooks") {
        // A misspelt `hooks` is one error, not two.
        None if unknown || may_be_empty => Vec::new(),
        entry => hook::read_all(&mut hook_list(entry, findings), &defaults, bus.as_ref(), findings),
    };
    let lines = Lines::new(source.text);
    let hooks = hooks.into_iter().map(|read| HookConfig {
        hook: read.hook,
        overflow: read.overflow.map(|span| lines.place(span.start)),
        written: read.written,
    });
    Some(Config {
        file: source.file.to_owned(),
        bus: bus?,
        events: events?.0,
        api: api?,
        ingest: ingest?,
        history: history?,
        telemetry: telemetry?,
        hooks: hooks.collect(),
        bare: Vec::new(),
        silent: Vec::new(),
    })
}

/// True when there is something unknown.
fn refuse_unknown(table: &Table, known: &[&str], findings: &mut Findings) -> bool {
    let mut any = false;
    for (name, entry) in table.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        let message = unknown_field(name, known);
        entry.node.strings(&mut |node, _| findings.mask(node.span.clone()));
        findings.add(entry.key.clone(), message);
        any = true;
    }
    any
}

fn check_events(events: &EventSettings, places: &Node, bus: Option<&ConfiguredBus>, findings: &mut Findings) {
    if events.source.is_empty() || events.source.chars().any(|char| char.is_whitespace() || char.is_control()) {
        let message = "events: source: expected a URI reference, for example \"/my/service\"";
        findings.add(place_of(places, "source"), message);
    }
    let mut size = |message: String| {
        findings.add(place_of(places, "max_bytes"), format!("events: max_bytes: {message}"));
    };
    if events.max_bytes.bytes() == 0 {
        size("0 bytes hold no event: set at least 1".to_owned());
    } else if events.max_bytes > settings::LARGEST_EVENT {
        size(format!("{} is more than {}", events.max_bytes, settings::LARGEST_EVENT));
    } else if let Some((setting, max)) = bus.and_then(|bus| bus.max_memory())
        && max < events.max_bytes
    {
        size(format!("an event of {} never fits into bus.{setting}, {max}", events.max_bytes));
    } else if let Some((setting, max)) = bus.and_then(|bus| bus.max_event())
        && max < events.max_bytes
    {
        size(format!("an event of {} never fits: bus.{setting} allows for events of {max}", events.max_bytes));
    }
}

/// `[defaults]`.
fn defaults(table: &mut Table, findings: &mut Findings) -> Node {
    let mut defaults = table.remove("defaults").map_or_else(empty, |entry| entry.node);
    if !matches!(defaults.value, Value::Table(_) | Value::Broken) {
        findings.add(defaults.span.clone(), format!("defaults: expected a table, found {}", defaults.describe()));
        defaults = empty();
    }
    hook::defaults(&mut defaults, findings);
    defaults
}

/// Also where hooks were made over the API: the file says whether they run.
const NO_HOOK: &str = "there is no hook: add `[[hooks]]` with `id` and `sink`, or `[api]` alone for hooks that are made over the API, with those that were made before";

/// The tables of `[[hooks]]`.
fn hook_list(entry: Option<Entry>, findings: &mut Findings) -> Vec<Node> {
    let Some(entry) = entry else {
        findings.add(0..0, NO_HOOK);
        return Vec::new();
    };
    let found = entry.node.describe();
    match entry.node.value {
        Value::List(list) if !list.is_empty() => return list,
        Value::List(_) => findings.add(entry.key, NO_HOOK),
        _ => {
            findings.add(entry.key, format!("hooks: expected a list, found {found}: each hook begins with `[[hooks]]`"))
        }
    }
    Vec::new()
}
