//! Plugins: sink crates register their sinks for programs that read a config file.

use std::fmt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::BoxError;
use crate::batcher::{BatchLimits, Batcher, SizeBatcher};
use crate::config_problem::ConfigProblem;
use crate::policy::RetryPolicy;
use crate::secret::Secret;
use crate::sink::{Sink, SinkContext, SinkFactory};

/// The option of a sink that holds its signing secret, or a list of them, each of which signs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SigningOption {
    /// Its name in the sink's table.
    pub name: &'static str,
    /// Other options that also hold the secret: a file with it, say. Where one is set, no secret is made.
    pub instead: &'static [&'static str],
    /// Makes a secret.
    pub make: fn() -> std::io::Result<Secret>,
}

impl SigningOption {
    /// The option of this name, whose secrets are made like this.
    pub const fn new(name: &'static str, make: fn() -> std::io::Result<Secret>) -> Self {
        Self { name, instead: &[], make }
    }

    /// With others that hold the secret, too.
    #[must_use]
    pub const fn or(self, instead: &'static [&'static str]) -> Self {
        Self { instead, ..self }
    }
}

/// A sink's settings as a config file has them.
///
/// Deriving `Deserialize` and `JsonSchema` is most of the work; [`validate`](Self::validate) checks what
/// the types can't. Use [`HumanDuration`](crate::HumanDuration), [`ByteSize`](crate::ByteSize) and [`Secret`]
/// for durations, sizes and secrets. A crate that depends on `hooks-core` alone finds the derive
/// macros' crates re-exported here.
///
/// ```
/// use hooks_core::{async_trait, inventory, schemars, serde};
/// use hooks_core::{sink::{Batch, Delivered, DeliveryError, SinkConfig, SinkContext, SinkPlugin}, BoxError, Sink};
///
/// /// Prints events.
/// #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(crate = "hooks_core::serde", deny_unknown_fields)]
/// #[schemars(crate = "hooks_core::schemars")]
/// struct StdoutConfig {
///     /// Printed before each event.
///     #[serde(default)]
///     prefix: String,
/// }
///
/// impl SinkConfig for StdoutConfig {
///     const KIND: &'static str = "stdout";
///     type Sink = Stdout;
///
///     fn build(&self, _context: &SinkContext) -> Result<Stdout, BoxError> {
///         Ok(Stdout { prefix: self.prefix.clone() })
///     }
/// }
///
/// inventory::submit! { SinkPlugin::of::<StdoutConfig>() }
///
/// struct Stdout { prefix: String }
///
/// #[async_trait]
/// impl Sink for Stdout {
///     async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
///         for line in batch.lines() {
///             println!("{}{line}", self.prefix);
///         }
///         Ok(Delivered::all())
///     }
/// }
///
/// let plugin = SinkPlugin::find("stdout").expect("registered above");
/// let factory = plugin.parse(serde_json::json!({ "prefix": "> " }))?;
/// assert_eq!(factory.kind(), "stdout");
/// # Ok::<(), Vec<hooks_core::ConfigProblem>>(())
/// ```
///
/// # Options for strangers
/// A service may let its customers define hooks. Of a sink's options these may set only the ones that its author marked
/// as safe; every other is refused, so one that nobody thought of is safe, too. Mark an option if it can't name a file
/// or an address that only this machine reaches, can't switch a check off, and costs others nothing:
///
/// ```
/// # use hooks_core::{sink::{SinkConfig, SinkContext, SinkPlugin}, schemars, serde, BoxError, UntrustedLimits};
/// # use hooks_core::serde_json::{Map, json};
/// #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(crate = "hooks_core::serde", deny_unknown_fields)]
/// #[schemars(crate = "hooks_core::schemars")]
/// struct TopicConfig {
///     /// Where to.
///     #[schemars(extend("x-untrusted" = true))]
///     topic: String,
///     /// How it is encrypted. A table that is safe is marked, and so is each option in it that is.
///     #[schemars(extend("x-untrusted" = true))]
///     tls: Option<Tls>,
/// }
///
/// #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(crate = "hooks_core::serde", deny_unknown_fields)]
/// #[schemars(crate = "hooks_core::schemars")]
/// struct Tls {
///     /// The oldest version.
///     #[schemars(extend("x-untrusted" = true))]
///     min_version: Option<String>,
///     /// A file, which is the operator's.
///     key_file: Option<String>,
/// }
/// # struct Nowhere;
/// # #[hooks_core::async_trait]
/// # impl hooks_core::Sink for Nowhere {
/// #     async fn deliver(&mut self, _: &hooks_core::sink::Batch) -> Result<hooks_core::sink::Delivered, hooks_core::sink::DeliveryError> { Ok(hooks_core::sink::Delivered::all()) }
/// # }
/// # impl SinkConfig for TopicConfig {
/// #     const KIND: &'static str = "topic";
/// #     type Sink = Nowhere;
/// #     fn build(&self, _: &SinkContext) -> Result<Nowhere, BoxError> { Ok(Nowhere) }
/// # }
/// # hooks_core::inventory::submit! { SinkPlugin::of::<TopicConfig>() }
///
/// let plugin = SinkPlugin::find("topic").expect("registered");
/// let parse = |table| plugin.parse_untrusted(table, &Map::new(), &UntrustedLimits::default());
/// assert!(parse(json!({ "topic": "orders", "tls": { "min_version": "1.3" } })).is_ok());
/// let problems = parse(json!({ "topic": "orders", "tls": { "key_file": "/etc/key" } })).unwrap_err();
/// assert_eq!(problems[0].path, "tls.key_file");
/// ```
pub trait SinkConfig: DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// The value of `kind` in a config file.
    const KIND: &'static str;

    /// The sink that the settings build.
    type Sink: Sink + 'static;

    /// Builds a sink: once per lane, and once per test delivery. See [`SinkFactory::build`].
    ///
    /// # Errors
    /// When it can't be built now.
    fn build(&self, context: &SinkContext) -> Result<Self::Sink, BoxError>;

    /// All errors in the settings that their types don't catch. Does no I/O.
    fn validate(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// The option that holds the secret with which the sink signs, where it has one. A hook that is made at run time
    /// without it gets a new one.
    fn signing() -> Option<SigningOption> {
        None
    }

    /// Options that a stranger's hook has unless the operator sets them otherwise: a guard that is on, say.
    fn untrusted_defaults() -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::new()
    }

    /// Values of marked options that a stranger may not set although their types and [`validate`](Self::validate) have
    /// nothing against them. Does no I/O.
    fn untrusted_problems(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// The limits of a batch where the hook sets none.
    fn batch_limits(&self) -> BatchLimits {
        BatchLimits::default()
    }

    /// The batcher for the hook's events.
    fn batcher(&self, limits: BatchLimits, overhead: usize) -> Box<dyn Batcher> {
        Box::new(SizeBatcher::new(limits, overhead))
    }

    /// Returns true if one synthetic event may be sent through the real sink at any time.
    fn takes_tests(&self) -> bool {
        true
    }

    /// Contradictions between these settings of the hook and the sink's. See [`SinkFactory::problems`].
    fn problems(&self, _batch: &BatchLimits, _retry: &RetryPolicy) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// Secrets of the settings, each always at the same place. See [`SinkFactory::secrets`].
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
    }

    /// Warnings about legal settings that may be mistakes. Does no I/O.
    fn warnings(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// Files that the settings name and [`build`](Self::build) reads. See [`SinkFactory::files`].
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// All errors in what these files hold. See [`SinkFactory::file_problems`].
    fn file_problems(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// Files that [`build`](Self::build) reads and no setting names. See [`SinkFactory::system_files`].
    fn system_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl<C: SinkConfig> SinkFactory for C {
    fn kind(&self) -> &str {
        C::KIND
    }

    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
        Ok(Box::new(SinkConfig::build(self, context)?))
    }

    fn batch_limits(&self) -> BatchLimits {
        SinkConfig::batch_limits(self)
    }

    fn batcher(&self, limits: BatchLimits, overhead: usize) -> Box<dyn Batcher> {
        SinkConfig::batcher(self, limits, overhead)
    }

    fn takes_tests(&self) -> bool {
        SinkConfig::takes_tests(self)
    }

    fn problems(&self, batch: &BatchLimits, retry: &RetryPolicy) -> Vec<ConfigProblem> {
        SinkConfig::problems(self, batch, retry)
    }

    fn validate(&self) -> Vec<ConfigProblem> {
        SinkConfig::validate(self)
    }

    fn secrets(&self) -> Vec<Secret> {
        SinkConfig::secrets(self)
    }

    fn warnings(&self) -> Vec<ConfigProblem> {
        SinkConfig::warnings(self)
    }

    fn files(&self) -> Vec<PathBuf> {
        SinkConfig::files(self)
    }

    fn file_problems(&self) -> Vec<ConfigProblem> {
        SinkConfig::file_problems(self)
    }

    fn system_files(&self) -> Vec<PathBuf> {
        SinkConfig::system_files(self)
    }
}
