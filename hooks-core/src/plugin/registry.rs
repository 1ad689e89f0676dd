//! The kinds that are linked into the program, by name.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::{BusConfig, BusFactory, SinkConfig};
use crate::config_problem::ConfigProblem;
use crate::sink::SinkFactory;

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

/// A kind of sink that is linked into the program, registered with
/// `inventory::submit! { SinkPlugin::of::<MyConfig>() }`.
pub type SinkPlugin = Plugin<dyn SinkFactory>;

inventory::collect!(SinkPlugin);

impl SinkPlugin {
    /// The plugin of a config type.
    pub const fn of<C: SinkConfig + JsonSchema>() -> Self {
        Self { kind: C::KIND, parse: parse_sink::<C>, schema: schema::<C> }
    }
}

fn parse_sink<C: SinkConfig>(table: serde_json::Value) -> Parsed<dyn SinkFactory> {
    parse::<C>(table, SinkConfig::validate).map(|config| Arc::new(config) as Arc<dyn SinkFactory>)
}

/// A kind of bus that is linked into the program, registered with
/// `inventory::submit! { BusPlugin::of::<MyConfig>() }`.
pub type BusPlugin = Plugin<dyn BusFactory>;

inventory::collect!(BusPlugin);

impl BusPlugin {
    /// The plugin of a config type.
    pub const fn of<C: BusConfig + JsonSchema>() -> Self {
        Self { kind: C::KIND, parse: parse_bus::<C>, schema: schema::<C> }
    }
}

fn parse_bus<C: BusConfig>(table: serde_json::Value) -> Parsed<dyn BusFactory> {
    parse::<C>(table, BusConfig::validate).map(|config| Arc::new(config) as Arc<dyn BusFactory>)
}
