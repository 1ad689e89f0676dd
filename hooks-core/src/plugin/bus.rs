//! Kinds of buses, and how a program that reads a config file opens one.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::BoxError;
use crate::bus::{Bus, BusTraits, Instances};
use crate::config_problem::ConfigProblem;
use crate::human::ByteSize;

/// A bus's settings as a config file has them.
///
/// Deriving `Deserialize` and `JsonSchema` is most of the work, as for a [sink](crate::sink::SinkConfig).
///
/// ```
/// # mod hooks_bus { pub use hooks_test::model::ModelBus as MemoryBus; }
/// use std::sync::Arc;
/// use hooks_bus::MemoryBus;
/// use hooks_core::{async_trait, inventory, schemars, serde};
/// use hooks_core::bus::{BusConfig, BusPlugin, BusTraits, OpenBusError, OpenedBus, Purpose};
///
/// /// A bus that says when it is opened.
/// #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
/// #[serde(crate = "hooks_core::serde", deny_unknown_fields)]
/// #[schemars(crate = "hooks_core::schemars")]
/// struct LoudConfig {
///     /// The words.
///     greeting: String,
/// }
///
/// #[async_trait]
/// impl BusConfig for LoudConfig {
///     const KIND: &'static str = "loud";
///     const TRAITS: BusTraits = BusTraits::new().atomic();
///
///     async fn open(&self, _purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
///         println!("{}", self.greeting);
///         Ok(OpenedBus::new(Arc::new(MemoryBus::default())))
///     }
/// }
///
/// inventory::submit! { BusPlugin::of::<LoudConfig>() }
///
/// let plugin = BusPlugin::find("loud").expect("registered above");
/// let bus = plugin.parse(serde_json::json!({ "greeting": "hello" }))?;
/// assert_eq!((bus.kind(), bus.traits().outlives_process), ("loud", false));
/// # Ok::<(), Vec<hooks_core::ConfigProblem>>(())
/// ```
#[async_trait]
pub trait BusConfig: DeserializeOwned + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The value of `kind` in a config file.
    const KIND: &'static str;

    /// The promises of the bus, as [`Bus::traits`] repeats them.
    const TRAITS: BusTraits;

    /// Opens the bus for this purpose. Waits for nobody who has it.
    ///
    /// # Errors
    /// When it can't be opened now.
    async fn open(&self, purpose: Purpose) -> Result<OpenedBus, OpenBusError>;

    /// Everything that is wrong with the settings although each is of the right type. Does no I/O.
    fn validate(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// Makes relative paths begin in this folder.
    fn begin_paths_at(&mut self, _folder: &Path) {}

    /// The folder that the bus keeps its log in, if it does. The process that has the bus can be reached by a socket
    /// there.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Files with credentials, each by the path of its setting. They are read when the bus is opened.
    fn credentials(&self) -> Vec<(&'static str, &Path)> {
        Vec::new()
    }

    /// Most bytes of events that the process holds, by the path of the setting that says so.
    fn max_memory(&self) -> Option<(&'static str, ByteSize)> {
        None
    }

    /// The longest event that the bus accepts where a setting bounds it, in bytes, by the path of that setting.
    fn max_event(&self) -> Option<(&'static str, ByteSize)> {
        None
    }

    /// Maintenance of a log that no process has open, where there is such a thing.
    fn maintenance(&self) -> Option<&dyn LogMaintenance> {
        None
    }
}

/// A [`BusConfig`] whose type is forgotten. Implemented for each of them.
#[async_trait]
pub trait BusFactory: Any + fmt::Debug + Send + Sync {
    /// See [`BusConfig::KIND`].
    fn kind(&self) -> &'static str;

    /// See [`BusConfig::TRAITS`].
    fn traits(&self) -> BusTraits;

    /// Returns true if the other one has the same kind and settings, however they were written.
    fn is_same(&self, other: &dyn BusFactory) -> bool;

    /// See [`BusConfig::open`].
    ///
    /// # Errors
    /// When it can't be opened now.
    async fn open(&self, purpose: Purpose) -> Result<OpenedBus, OpenBusError>;

    /// See [`BusConfig::begin_paths_at`].
    fn begin_paths_at(&mut self, folder: &Path);

    /// See [`BusConfig::folder`].
    fn folder(&self) -> Option<&Path>;

    /// See [`BusConfig::credentials`].
    fn credentials(&self) -> Vec<(&'static str, &Path)>;

    /// See [`BusConfig::max_memory`].
    fn max_memory(&self) -> Option<(&'static str, ByteSize)>;

    /// See [`BusConfig::max_event`].
    fn max_event(&self) -> Option<(&'static str, ByteSize)>;

    /// See [`BusConfig::maintenance`].
    fn maintenance(&self) -> Option<&dyn LogMaintenance>;
}

#[async_trait]
impl<C: BusConfig> BusFactory for C {
    fn kind(&self) -> &'static str {
        C::KIND
    }

    fn traits(&self) -> BusTraits {
        C::TRAITS
    }

    fn is_same(&self, other: &dyn BusFactory) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref() == Some(self)
    }

    async fn open(&self, purpose: Purpose) -> Result<OpenedBus, OpenBusError> {
        BusConfig::open(self, purpose).await
    }

    fn begin_paths_at(&mut self, folder: &Path) {
        BusConfig::begin_paths_at(self, folder);
    }

    fn folder(&self) -> Option<&Path> {
        BusConfig::folder(self)
    }

    fn credentials(&self) -> Vec<(&'static str, &Path)> {
        BusConfig::credentials(self)
    }

    fn max_memory(&self) -> Option<(&'static str, ByteSize)> {
        BusConfig::max_memory(self)
    }

    fn max_event(&self) -> Option<(&'static str, ByteSize)> {
        BusConfig::max_event(self)
    }

    fn maintenance(&self) -> Option<&dyn LogMaintenance> {
        BusConfig::maintenance(self)
    }
}

/// The purpose for which a bus is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// To deliver the events of all hooks. Makes the bus where there is none.
    Deliver,
    /// To look at it: nothing is made and nothing is changed.
    Look,
    /// To change the state of hooks while nobody delivers: nothing is made, and no event is given up for its age or
    /// for want of room.
    Operate,
}

/// A bus that was opened.
#[non_exhaustive]
pub struct OpenedBus {
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The channel by which operators reach the process that has it.
    pub control: ControlChannel,
}

impl OpenedBus {
    /// With no channel for operators.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus, control: ControlChannel::None }
    }

    /// With this channel.
    #[must_use]
    pub fn control(self, control: ControlChannel) -> Self {
        Self { control, ..self }
    }
}

impl fmt::Debug for OpenedBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedBus").finish_non_exhaustive()
    }
}

/// The channel by which operators reach a process that has a bus open.
#[derive(Clone)]
#[non_exhaustive]
pub enum ControlChannel {
    /// There is none.
    None,
    /// A socket in this folder.
    Folder(PathBuf),
    /// Questions over the bus itself, to each of the processes that share it.
    Instances(Arc<dyn Instances>),
}

/// The reason why a bus can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenBusError {
    /// Another process has it. It may leave it soon.
    #[error(transparent)]
    InUse(BoxError),
    /// There is none yet, where one was to be [looked](Purpose::Look) at or [operated](Purpose::Operate) on.
    #[error("{0}")]
    Missing(String),
    /// It can't be used.
    #[error(transparent)]
    Failed(BoxError),
}

/// Maintenance of a log that no process has open. Blocks.
///
/// ```
/// use std::sync::Mutex;
/// use hooks_core::{bus::LogMaintenance, BoxError, serde_json};
///
/// /// Events as lines of a text, of which a crash may leave the last one torn.
/// struct Lines(Mutex<String>);
///
/// /// The length of the lines that are whole.
/// fn whole(text: &str) -> usize {
///     text.rfind('\n').map_or(0, |last| last + 1)
/// }
///
/// impl LogMaintenance for Lines {
///     fn verify(&self) -> Result<serde_json::Value, BoxError> {
///         let text = self.0.lock().unwrap();
///         let (events, torn) = text.split_at(whole(&text));
///         let damage: Vec<_> = (!torn.is_empty()).then(|| format!("the last {} bytes are torn", torn.len())).into_iter().collect();
///         Ok(serde_json::json!({ "events": events.lines().count(), "damage": damage }))
///     }
///
///     fn repair(&self) -> Result<Option<String>, BoxError> {
///         let mut text = self.0.lock().unwrap();
///         let (whole, all) = (whole(&text), text.len());
///         text.truncate(whole);
///         Ok((whole < all).then(|| format!("the last {} bytes are gone", all - whole)))
///     }
/// }
///
/// let log = Lines(Mutex::new("one\ntwo\nthr".to_owned()));
/// assert_eq!(log.verify()?["damage"][0], "the last 3 bytes are torn");
/// assert_eq!(log.repair()?.as_deref(), Some("the last 3 bytes are gone"));
/// assert_eq!(log.verify()?, serde_json::json!({ "events": 2, "damage": [] }));
/// # Ok::<(), BoxError>(())
/// ```
pub trait LogMaintenance {
    /// Reads the whole log, and describes it as [`BusMonitor::details`](crate::bus::BusMonitor::details) does, with the
    /// damage that was found in a list `damage`.
    ///
    /// # Errors
    /// When it can't be read.
    fn verify(&self) -> Result<serde_json::Value, BoxError>;

    /// Gives up what is damaged so that the log can be opened again, and names it. `None`: there is nothing to repair.
    ///
    /// # Errors
    /// When it can't be repaired.
    fn repair(&self) -> Result<Option<String>, BoxError>;
}
