//! Kinds of sinks and buses that are linked into the program, and their settings.

mod bus;
mod sink;

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

pub use bus::{BusConfig, BusFactory, BusPlugin, ControlChannel, LogMaintenance, OpenBusError, OpenedBus, Purpose};
pub use sink::{SinkConfig, SinkPlugin};

/// An error in a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}{message}", if path.is_empty() { "" } else { ": " })]
pub struct ConfigProblem {
    /// The path of the setting from the plugin's table down: `tls.ca_file`, `headers[2]`; empty for the table itself.
    pub path: String,
    /// The error, and what to do.
    pub message: String,
}

impl ConfigProblem {
    /// A problem at this path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// A kind that is linked into the program, as plain static data: a [`SinkPlugin`] or a [`BusPlugin`]. `F` is the
/// trait object that its settings become.
///
/// A crate that no code names is not linked and registers nothing: the binary needs
/// `use my_sink as _;`.
pub struct Plugin<F: ?Sized> {
    kind: &'static str,
    parse: fn(serde_json::Value) -> Parsed<F>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

type Parsed<F> = Result<Arc<F>, Vec<ConfigProblem>>;

impl<F: ?Sized> Plugin<F>
where
    Self: inventory::Collect,
{
    /// All kinds that are linked, by name.
    pub fn all() -> Vec<&'static Self> {
        let mut plugins: Vec<_> = inventory::iter::<Self>.into_iter().collect();
        plugins.sort_by_key(|plugin| plugin.kind);
        plugins
    }

    /// The kind of this name, if it is linked.
    pub fn find(kind: &str) -> Option<&'static Self> {
        inventory::iter::<Self>.into_iter().find(|plugin| plugin.kind == kind)
    }
}

impl<F: ?Sized> Plugin<F> {
    /// The value of `kind` in a config file.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Reads a table of settings, without its `kind`.
    ///
    /// # Errors
    /// The problems with their paths: the first value that does not fit its type, or everything that
    /// the config's `validate` finds.
    pub fn parse(&self, table: serde_json::Value) -> Result<Arc<F>, Vec<ConfigProblem>> {
        (self.parse)(table)
    }

    /// The JSON Schema of the table; the fields' documentation is in it.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

impl<F: ?Sized> fmt::Debug for Plugin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The schema of a config type.
fn schema<C: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<C>()
}

/// Reads a config type and checks it.
fn parse<C: DeserializeOwned>(
    table: serde_json::Value,
    validate: impl FnOnce(&C) -> Vec<ConfigProblem>,
) -> Result<C, Vec<ConfigProblem>> {
    let config: C = serde_path_to_error::deserialize(table).map_err(|error| {
        let path = error.path().to_string();
        vec![ConfigProblem::new(if path == "." { String::new() } else { path }, error.into_inner().to_string())]
    })?;
    let problems = validate(&config);
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}
