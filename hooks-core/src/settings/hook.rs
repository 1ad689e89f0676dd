//! The settings of a hook: its options and its sink.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use super::draft::{Draft, parse_path};
use super::fault::{About, Fault};
use super::hook_reader::HookReader;
use super::options::HookOptions;
use super::schema;
use crate::config_problem::ConfigProblem;
use crate::hook::Hook;
use crate::id::HookId;
use crate::sink::{SinkFactory, SinkPlugin};

/// Everything that can be set for a hook but its name, as a table in JSON or TOML has it.
///
/// Where the table sets no limits of a batch, those of its sink hold. As JSON it leaves out the secrets of the sink,
/// so keep what was read if it is to be read again.
///
/// ```
/// use hooks_core::settings::HookSettings;
/// use hooks_core::HookId;
/// use serde_json::json;
/// # mod print {
/// #     use hooks_core::sink::{Batch, Delivered, DeliveryError, Sink, SinkConfig, SinkContext, SinkPlugin};
/// #     use hooks_core::{BoxError, Secret};
/// #     #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// #     #[serde(deny_unknown_fields)]
/// #     pub struct Print { url: String, secret: Option<Secret> }
/// #     pub struct Printer;
/// #     #[hooks_core::async_trait]
/// #     impl Sink for Printer {
/// #         async fn deliver(&mut self, _: &Batch) -> Result<Delivered, DeliveryError> { Ok(Delivered::all()) }
/// #     }
/// #     impl SinkConfig for Print {
/// #         const KIND: &'static str = "print";
/// #         type Sink = Printer;
/// #         fn build(&self, _: &SinkContext) -> Result<Printer, BoxError> { let _ = (&self.url, &self.secret); Ok(Printer) }
/// #     }
/// #     hooks_core::inventory::submit! { SinkPlugin::of::<Print>() }
/// # }
///
/// // A customer's webhook, as he sent it. Everything that is wrong with it is said at once.
/// let faults = HookSettings::read(json!({
///     "tipes": ["order.*"],
///     "lanes": 0,
///     "sink": { "kind": "print", "secret": "open sesame" },
/// }));
/// let said: Vec<_> = faults.unwrap_err().iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect();
/// assert_eq!(said, [
///     "/sink/url sink `print`: `url` is missing",
///     "/lanes lanes: 0 is no limit: set at least 1",
///     "/tipes unknown field `tipes`, did you mean `types`?",
/// ]);
///
/// let settings = HookSettings::read(json!({
///     "types": ["order.*"],
///     "sink": { "kind": "print", "url": "https://shop.example/hooks", "secret": "open sesame" },
/// })).unwrap();
/// let shown = serde_json::to_value(&settings)?;
/// assert_eq!(shown["sink"], json!({ "kind": "print", "url": "https://shop.example/hooks" }));
/// let hook = settings.into_hook(HookId::new("orders")?).unwrap();
/// assert!(hook.filter.matches_type("order.paid"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct HookSettings {
    /// All but the sink.
    #[serde(flatten)]
    pub options: HookOptions,
    /// Where to.
    pub sink: SinkSettings,
}

impl HookSettings {
    /// Reads a table, for a bus with queues in memory; [`HookReader`] reads for any bus.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(table: Json) -> Result<Self, Vec<Fault>> {
        HookReader::new().read(Draft::new(table))
    }

    /// The hook of this name.
    ///
    /// # Errors
    /// Contradictions between the settings; none where they are as they were read.
    pub fn into_hook(self, id: HookId) -> Result<Hook, Vec<Fault>> {
        let shown = serde_json::to_string(&self).ok();
        let mut hook = self.options.hook(id, self.sink.factory)?;
        hook.settings = shown.map(Into::into);
        let faults: Vec<_> = hook.problems().into_iter().map(|found| contradiction(&found)).collect();
        if faults.is_empty() { Ok(hook) } else { Err(faults) }
    }
}

fn contradiction(found: &ConfigProblem) -> Fault {
    Fault::new(parse_path(&Json::Null, &found.path), About::Value, found.to_string())
}

impl<'de> Deserialize<'de> for HookSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Json::deserialize(deserializer)?).map_err(|faults| {
            let messages: Vec<_> = faults.into_iter().map(|fault| fault.message).collect();
            serde::de::Error::custom(messages.join("; "))
        })
    }
}

/// The sink of a hook, as its kind has read it.
#[derive(Clone)]
pub struct SinkSettings {
    pub(super) factory: Arc<dyn SinkFactory>,
    /// Its table, without secrets.
    pub(super) shown: Json,
}

impl SinkSettings {
    /// The sink, ready to be built.
    pub fn factory(&self) -> &Arc<dyn SinkFactory> {
        &self.factory
    }
}

impl fmt::Debug for SinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.factory.fmt(f)
    }
}

impl Serialize for SinkSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown.serialize(serializer)
    }
}

impl JsonSchema for SinkSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SinkSettings".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let path = generator.settings().definitions_path.clone();
        let definitions = generator.definitions_mut();
        let kinds = SinkPlugin::all().into_iter();
        let kinds: Vec<_> = kinds.map(|plugin| schema::of_plugin(plugin, &path, "", definitions)).collect();
        schemars::json_schema!({ "oneOf": kinds })
    }
}
