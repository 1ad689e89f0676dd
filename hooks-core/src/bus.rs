//! Where events come from: one log, one cursor per hook.

mod delivery;
mod error;
mod settler;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dead_letter::DeadLetters;
use crate::envelope::{Slice, shown_type};
use crate::filter::Filter;
use crate::health::BusHealth;
use crate::human::ByteSize;
use crate::id::HookId;
use crate::ledger::Ledger;
use crate::overrides::Override;

pub use delivery::{Delivery, Position};
pub use error::BusError;
pub use settler::{Settle, Settler};

/// Most deliveries between the oldest that is not settled and the newest that was read. Readers stop there.
pub const WINDOW: usize = 65_536;

/// A log of events that hooks read, each at its own pace.
///
/// The contract, which the dispatcher relies on:
/// - When `publish` has returned `Ok`, every subscribed hook whose filter matches will read the event,
///   unless its own limits make it drop it, which its ledger then says.
/// - Every hook reads in the order of positions, and all hooks see the same order.
/// - What is not settled is delivered again: to whoever subscribes next under the same id.
/// - A slow hook delays neither `publish` nor other hooks, except where its limits ask for it.
/// - `publish` begins with [`refuse_reserved`].
#[async_trait]
pub trait Bus: Send + Sync {
    /// Names this log. Batch ids are made from it, so a log that outlives the process keeps its name.
    fn log_id(&self) -> Uuid;

    /// Accepts events, in their order. Returns when they are accepted.
    ///
    /// # Errors
    /// All or nothing, where the bus's documentation says no more: after an error no event was accepted. Where it
    /// does, [`BusError::Partly`] says which were.
    ///
    /// # Cancel safety
    /// A dropped call may have published all of the events or none.
    async fn publish(&self, slice: Slice) -> Result<(), BusError>;

    /// Registers a hook, or takes over the hook of this id: what was not settled comes again first.
    ///
    /// # Errors
    /// When the bus is closed or can't be reached, or does not support what the subscription asks for.
    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError>;

    /// Forgets a hook. What it has in memory is counted as dropped (`removed`); a position on disk stays.
    ///
    /// # Errors
    /// When the bus can't be reached.
    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError>;

    /// All hooks that there are were subscribed: from now on the bus may give up what it keeps for nobody, or for
    /// longer than it should. A bus that keeps nothing does nothing.
    fn all_subscribed(&self) {}

    /// Refuses further events. What was accepted is still read; then readers run dry.
    async fn close(&self);

    /// Called when the last reader is done, before the process ends: makes what was settled last, and
    /// would be made to last within a second, last now. Takes no longer than a few seconds.
    async fn finish(&self) {}

    /// Where a hook's dead letters are kept. `None`: nowhere; what is given up is dropped, counted and logged.
    fn dead_letters(&self, _hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        None
    }

    /// What a hook that is known here has not settled.
    fn lag(&self, _hook: &HookId) -> Option<Lag> {
        None
    }

    /// What the bus knows of itself.
    fn stats(&self) -> BusStats {
        BusStats::default()
    }

    /// Whether the bus can do its work. Must not block: probes and the service manager ask often.
    fn health(&self) -> BusHealth {
        BusHealth::Well
    }

    /// What else there is to say about the bus and its log, for operators: an object whose members are
    /// plain values, lists of texts, and lists of objects.
    fn details(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Keeps what overrides a hook's settings, across restarts. A bus that keeps nothing does nothing.
    ///
    /// # Errors
    /// When it can't be kept.
    async fn set_override(&self, _hook: &HookId, _to: Option<Override>) -> Result<(), BusError> {
        Ok(())
    }

    /// What overrides a hook's settings.
    fn overrides(&self, _hook: &HookId) -> Option<Override> {
        None
    }

    /// Waits until another process set or removed the override of a hook that is subscribed here, and names the hook.
    /// The bus may hold it until this process [has followed](Self::override_followed). For one caller, the
    /// [`Dispatcher`](crate::Dispatcher). Waits for ever on a bus of one process.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing.
    async fn follow_overrides(&self) -> HookId {
        std::future::pending().await
    }

    /// What [`follow_overrides`](Self::follow_overrides) last said of this hook holds here now.
    fn override_followed(&self, _hook: &HookId) {}

    /// Hooks that the bus keeps a position for, subscribed now or not, by name.
    fn known_hooks(&self) -> Vec<HookId> {
        Vec::new()
    }

    /// Gives up everything that is kept for a hook that is not subscribed: its position, its
    /// override and its dead letters. Returns whether there was anything.
    ///
    /// # Errors
    /// When the hook is subscribed, or it can't be done now.
    async fn forget(&self, _hook: &HookId) -> Result<bool, BusError> {
        Ok(false)
    }
}

/// What a hook has not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Events.
    pub events: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// When the oldest of them was accepted, or somewhat earlier.
    pub oldest: Option<SystemTime>,
    /// Whether every event counted matches the hook's filter. Where it is false, all that lies between the hook's
    /// position and the end of the log is counted, matching or not: `events` and `bytes` are the most that it can
    /// be, and `oldest` is the earliest.
    pub exact: bool,
}

/// What a bus knows of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStats {
    /// Events accepted since the process started.
    pub accepted: u64,
    /// How many of them the bus knew already, by `source` and `id`, and did not take twice. `None`: it takes
    /// whatever comes.
    pub duplicates: Option<u64>,
    /// Bytes of disk that the log takes, where there is one.
    pub log_bytes: Option<u64>,
    /// The most that the log may take, in bytes, where it has a limit.
    pub log_max_bytes: Option<u64>,
    /// Whether damage was found in the log since the process started, where there is one.
    pub log_is_damaged: Option<bool>,
}

impl BusStats {
    /// With this many events accepted and no log.
    pub fn accepted(events: u64) -> Self {
        Self { accepted: events, ..Self::default() }
    }

    /// With this many that were known already.
    #[must_use]
    pub fn duplicates(mut self, events: u64) -> Self {
        self.duplicates = Some(events);
        self
    }

    /// With a log of this many bytes.
    #[must_use]
    pub fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// With a log in which damage was found, or not.
    #[must_use]
    pub fn log_is_damaged(mut self, damaged: bool) -> Self {
        self.log_is_damaged = Some(damaged);
        self
    }

    /// With a log of at most this many bytes.
    #[must_use]
    pub fn log_max_bytes(mut self, bytes: u64) -> Self {
        self.log_max_bytes = Some(bytes);
        self
    }
}

/// What a hook asks of a bus.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Whose it is.
    pub hook: HookId,
    /// The events wanted.
    pub filter: Arc<Filter>,
    /// Bounds of what is held in memory for the hook, on buses that hold events in memory.
    pub queue: QueueLimits,
    /// Where the bus enters what the hook takes and what it has to drop.
    pub ledger: Arc<Ledger>,
    /// Where a hook begins that the bus does not know yet.
    pub from: StartAt,
}

/// Where in the log a new hook begins. A hook that the bus knows goes on at its position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With what is published from now on.
    #[default]
    End,
    /// With the oldest event that the log still has. On a bus without a log there is none.
    Earliest,
}

/// What is held for a hook in memory, and what happens when it is full. Counts what is queued and what
/// is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueLimits {
    /// Most events.
    pub max_events: NonZeroUsize,
    /// Most bytes of JSON. One event alone may be larger.
    pub max_bytes: ByteSize,
    /// What happens when one more event comes.
    pub overflow: Overflow,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            max_events: NonZeroUsize::MIN.saturating_add(9_999),
            max_bytes: ByteSize(64 << 20),
            overflow: Overflow::DropOldest,
        }
    }
}

/// What happens when a full queue should take one more event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The oldest event that is not on its way is dropped, counted and logged.
    DropOldest,
    /// The publisher waits.
    Block,
}

/// One hook's way through the log.
#[async_trait]
pub trait Reader: Send {
    /// Waits until there is something, takes what is there, up to `max` deliveries, and appends it to `into`.
    /// Waits, too, while [`WINDOW`] deliveries lie between the oldest unsettled and the newest read.
    ///
    /// # Errors
    /// When the log can't be read now. Calling again is right, after a pause.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing.
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError>;

    /// From now on `next` takes what is there and then says [`Read::Dry`] instead of waiting.
    fn close(&mut self);

    /// Changes filter and limits for everything that has not been read yet.
    fn reconfigure(&mut self, subscription: Subscription);

    /// A disabled hook keeps its events but delays nobody: where its policy would make publishers
    /// wait, it drops its oldest events instead, and gives way first where memory or disk is short.
    fn set_enabled(&mut self, enabled: bool);
}

/// What [`Reader::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Read {
    /// This many deliveries were appended, at least one.
    Events(usize),
    /// Nothing new, but a publisher waits for room: send what is in hand without waiting for more.
    Flush,
    /// The reader or its bus is closed and everything was read.
    Dry,
    /// Another instance owns the hook now: drop what is in hand, settle nothing of it.
    Lost,
}

/// For buses: refuses events whose type (`hooks.…`) is the [dispatcher's own](crate::Filter), unless a dispatcher made
/// them. What a hook hears of endpoints is true then.
///
/// # Errors
/// [`BusError::Reserved`], for the first such event.
pub fn refuse_reserved(slice: &Slice) -> Result<(), BusError> {
    slice.forged().map_or(Ok(()), |event| Err(BusError::Reserved(shown_type(event.event_type()))))
}
