//! The kinds that are linked into the program, by name.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::bus::{BusConfig, BusFactory};
use super::checked::Checked;
use super::sink::{SigningOption, SinkConfig};
use crate::config_problem::ConfigProblem;
use crate::sink::SinkFactory;
use crate::untrusted::{UntrustedLimits, add, find, marked_options, refuse_unmarked};

/// A kind that is linked into the program, as plain static data: a [`SinkPlugin`] or a [`BusPlugin`]. `F` is the
/// trait object that its settings become.
///
/// A crate that no code names is not linked and registers nothing: the binary needs
/// `use my_sink as _;`.
pub struct Plugin<F: ?Sized> {
    kind: &'static str,
    parse: fn(&Json) -> Parsed<F>,
    parse_untrusted: fn(Json) -> Parsed<F>,
    schema: fn(&mut SchemaGenerator) -> Schema,
    signing: fn() -> Option<SigningOption>,
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
    pub fn parse(&self, table: Json) -> Result<Arc<F>, Vec<ConfigProblem>> {
        (self.parse)(&table)
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
    table: &Json,
    validate: impl FnOnce(&C) -> Vec<ConfigProblem>,
) -> Result<C, Vec<ConfigProblem>> {
    // Keeping in mind where an error would be takes longer, and most tables have none.
    let config = C::deserialize(table).or_else(|_| serde_path_to_error::deserialize(table)).map_err(|error| {
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
        Self {
            kind: C::KIND,
            parse: parse_sink::<C>,
            parse_untrusted: parse_untrusted_sink::<C>,
            schema: schema::<C>,
            signing: C::signing,
        }
    }

    /// Reads a table that a stranger wrote, without its `kind`. Of its options only those are taken that the sink's
    /// author [marked](SinkConfig#options-for-strangers), within the limits. `fixed` holds options that the operator
    /// sets for all such hooks, marked or not: these win over the sink's
    /// [defaults for strangers](SinkConfig::untrusted_defaults), and no stranger can set them.
    ///
    /// ```
    /// # mod hooks_sink_http {
    /// #     use hooks_core::{sink::{SinkConfig, SinkContext, SinkPlugin}, schemars, serde, BoxError};
    /// #     #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    /// #     #[serde(crate = "hooks_core::serde", deny_unknown_fields)]
    /// #     #[schemars(crate = "hooks_core::schemars")]
    /// #     struct Http {
    /// #         #[schemars(extend("x-untrusted" = true))]
    /// #         url: String,
    /// #         bearer_file: Option<String>,
    /// #         allow_cidrs: Vec<String>,
    /// #     }
    /// #     struct Nowhere;
    /// #     #[hooks_core::async_trait]
    /// #     impl hooks_core::Sink for Nowhere {
    /// #         async fn deliver(&mut self, _: &hooks_core::sink::Batch) -> Result<hooks_core::sink::Delivered, hooks_core::sink::DeliveryError> { Ok(hooks_core::sink::Delivered::all()) }
    /// #     }
    /// #     impl SinkConfig for Http {
    /// #         const KIND: &'static str = "http";
    /// #         type Sink = Nowhere;
    /// #         fn build(&self, _: &SinkContext) -> Result<Nowhere, BoxError> { Ok(Nowhere) }
    /// #     }
    /// #     hooks_core::inventory::submit! { SinkPlugin::of::<Http>() }
    /// # }
    /// use hooks_core::serde_json::{Map, json};
    /// use hooks_core::{sink::SinkPlugin, UntrustedLimits};
    ///
    /// let plugin = SinkPlugin::find("http").expect("linked");
    /// let limits = UntrustedLimits::default();
    /// let fixed = Map::from_iter([("allow_cidrs".to_owned(), json!(["10.1.0.0/16"]))]);
    ///
    /// assert!(plugin.parse_untrusted(json!({ "url": "https://example.com/" }), &fixed, &limits).is_ok());
    ///
    /// let curious = json!({ "url": "https://example.com/", "bearer_file": "/etc/shadow" });
    /// let problems = plugin.parse_untrusted(curious, &fixed, &limits).unwrap_err();
    /// assert_eq!(problems[0].path, "bearer_file");
    /// assert!(problems[0].message.starts_with("may be set by the operator only"));
    /// ```
    ///
    /// # Errors
    /// All that is refused, and what [`parse`](Self::parse) finds in the rest.
    pub fn parse_untrusted(
        &self,
        table: Json,
        fixed: &Map<String, Json>,
        limits: &UntrustedLimits,
    ) -> Parsed<dyn SinkFactory> {
        self.parse_marked(&self.whole_schema(), table, fixed, limits)
    }

    /// The same by the schema, which takes long to make.
    pub(crate) fn parse_marked(
        &self,
        schema: &Json,
        mut table: Json,
        fixed: &Map<String, Json>,
        limits: &UntrustedLimits,
    ) -> Parsed<dyn SinkFactory> {
        let mut problems = refuse_unmarked(&mut table, schema, fixed, limits);
        let rest = if problems.is_empty() { Json::Null } else { table.clone() };
        if let Some(table) = table.as_object_mut() {
            add(table, fixed);
        }
        match (self.parse_untrusted)(table) {
            Ok(factory) if problems.is_empty() => return Ok(factory),
            Ok(_) => {}
            Err(found) if problems.is_empty() => return Err(with_owner(found, schema)),
            // What is missing now may have been refused.
            Err(found) => problems.extend(
                found.into_iter().filter(|problem| !problem.path.is_empty() && find(&rest, &problem.path).is_some()),
            ),
        }
        Err(problems)
    }

    /// The option that holds the secret with which the sink signs.
    pub fn signing(&self) -> Option<SigningOption> {
        (self.signing)()
    }

    /// The paths of the options that strangers may set: `url`, `tls.min_version`.
    pub fn untrusted_options(&self) -> Vec<String> {
        marked_options(&self.whole_schema())
    }

    fn whole_schema(&self) -> Json {
        let mut generator = SchemaGenerator::default();
        let mut schema = self.schema(&mut generator).to_value();
        schema["$defs"] = Json::Object(generator.take_definitions(true));
        schema
    }
}

/// Says of options that are not marked whose they are: what a stranger asks for may need them.
fn with_owner(mut problems: Vec<ConfigProblem>, schema: &Json) -> Vec<ConfigProblem> {
    let marked = marked_options(schema);
    let is_under = |path: &str, option: &str| {
        path.strip_prefix(option).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    for problem in problems.iter_mut().filter(|problem| !problem.path.is_empty()) {
        if !marked.iter().any(|option| is_under(&problem.path, option)) {
            problem.message.push_str(". Only the operator can set it, for all hooks like this");
        }
    }
    problems
}

fn parse_sink<C: SinkConfig>(table: &Json) -> Parsed<dyn SinkFactory> {
    parse::<C>(table, SinkConfig::validate).map(checked)
}

fn checked<C: SinkConfig>(config: C) -> Arc<dyn SinkFactory> {
    Arc::new(Checked(config))
}

fn parse_untrusted_sink<C: SinkConfig>(mut table: Json) -> Parsed<dyn SinkFactory> {
    if let Some(table) = table.as_object_mut() {
        add(table, &C::untrusted_defaults());
    }
    let validate = |config: &C| {
        let mut problems = config.validate();
        problems.extend(config.untrusted_problems());
        problems
    };
    parse::<C>(&table, validate).map(checked)
}

/// A kind of bus that is linked into the program, registered with
/// `inventory::submit! { BusPlugin::of::<MyConfig>() }`.
pub type BusPlugin = Plugin<dyn BusFactory>;

inventory::collect!(BusPlugin);

impl BusPlugin {
    /// The plugin of a config type.
    pub const fn of<C: BusConfig + JsonSchema>() -> Self {
        Self {
            kind: C::KIND,
            parse: parse_bus::<C>,
            parse_untrusted: nobodys_bus,
            schema: schema::<C>,
            signing: || None,
        }
    }
}

/// Buses are the operator's.
fn nobodys_bus(_: Json) -> Parsed<dyn BusFactory> {
    Err(vec![ConfigProblem::new("", "a bus may be chosen by the operator only")])
}

fn parse_bus<C: BusConfig>(table: &Json) -> Parsed<dyn BusFactory> {
    parse::<C>(table, BusConfig::validate).map(|config| Arc::new(config) as Arc<dyn BusFactory>)
}
