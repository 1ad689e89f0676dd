//! The bus: one log of events, one cursor per hook.

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

/// Maximum number of deliveries between the oldest unsettled and the newest read one. Readers stop there.
pub const WINDOW: usize = 65_536;

/// A log of events that hooks read, each at its own pace.
///
/// The contract, which the dispatcher relies on:
/// - When `publish` has returned `Ok`, every subscribed hook whose filter matches will read the event,
///   unless the hook's limits make the bus drop it, which the hook's ledger counts.
/// - Every hook reads in the order of positions, and all hooks see the same order.
/// - Unsettled events are delivered again, to the next subscriber of the same id.
/// - A slow hook delays neither `publish` nor other hooks, except where its limits ask for it.
/// - `publish` begins with [`refuse_reserved`].
#[async_trait]
pub trait Bus: Send + Sync {
    /// The id of this log. Batch ids derive from it, so a log that outlives the process keeps its id.
    fn log_id(&self) -> Uuid;

    /// Accepts events, in their order. Returns when they are accepted.
    ///
    /// # Errors
    /// After an error no event was accepted, unless the bus's documentation says otherwise. Then
    /// [`BusError::Partly`] says which were accepted.
    ///
    /// # Cancel safety
    /// A dropped call may have published all of the events or none.
    async fn publish(&self, slice: Slice) -> Result<(), BusError>;

    /// Registers a hook, or takes over the hook of this id: its unsettled events come first.
    ///
    /// # Errors
    /// When the bus is closed or can't be reached, or does not support the subscription.
    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError>;

    /// Removes a hook. Its events in memory count as dropped (`removed`); a position on disk stays.
    ///
    /// # Errors
    /// When the bus can't be reached.
    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError>;

    /// Tells the bus that all hooks are subscribed: from now on it may remove what no hook needs or what is too old. A
    /// bus that keeps nothing does nothing.
    fn all_subscribed(&self) {}

    /// Refuses further events. Accepted events are still read; then readers run dry.
    async fn close(&self);

    /// Makes the last settled positions durable, which otherwise takes up to a second. Called when the last reader is
    /// done, before the process ends. Takes a few seconds at most.
    async fn finish(&self) {}

    /// The dead letters of a hook. `None`: the bus keeps none; given-up events are dropped, counted and logged.
    fn dead_letters(&self, _hook: &HookId) -> Option<Arc<dyn DeadLetters>> {
        None
    }

    /// The unsettled events of a hook that is known here.
    fn lag(&self, _hook: &HookId) -> Option<Lag> {
        None
    }

    /// The figures of the bus.
    fn stats(&self) -> BusStats {
        BusStats::default()
    }

    /// The health of the bus. Must not block: probes and the service manager ask often.
    fn health(&self) -> BusHealth {
        BusHealth::Well
    }

    /// Further facts about the bus and its log, for operators: an object whose members are plain values, lists of
    /// texts, and lists of objects.
    fn details(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Keeps or removes the override of a hook's settings, across restarts. A bus that keeps nothing does nothing.
    ///
    /// # Errors
    /// When it can't be kept.
    async fn set_override(&self, _hook: &HookId, _to: Option<Override>) -> Result<(), BusError> {
        Ok(())
    }

    /// The override of a hook's settings.
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

    /// Tells the bus that the hook's last override from [`follow_overrides`](Self::follow_overrides) holds here now.
    fn override_followed(&self, _hook: &HookId) {}

    /// The hooks that the bus keeps a position for, subscribed now or not, by name.
    fn known_hooks(&self) -> Vec<HookId> {
        Vec::new()
    }

    /// Removes everything that is kept for a hook that is not subscribed: its position, its override and its dead
    /// letters. Returns true if there was anything.
    ///
    /// # Errors
    /// When the hook is subscribed, or the bus can't do it now.
    async fn forget(&self, _hook: &HookId) -> Result<bool, BusError> {
        Ok(false)
    }
}

/// The unsettled events of a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Number of events.
    pub events: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// The time when the oldest of them was accepted, or somewhat earlier.
    pub oldest: Option<SystemTime>,
    /// True if every counted event matches the hook's filter. Otherwise all events between the hook's position and the
    /// end of the log are counted, matching or not: `events` and `bytes` are upper bounds, and `oldest` is a lower one.
    pub exact: bool,
}

/// The figures of a bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStats {
    /// Events accepted since the process started.
    pub accepted: u64,
    /// Number of these that the bus knew already, by `source` and `id`, and did not take twice. `None`: it takes every
    /// event.
    pub duplicates: Option<u64>,
    /// Bytes of disk that the log takes, if there is one.
    pub log_bytes: Option<u64>,
    /// Limit of the log in bytes, if it has one.
    pub log_max_bytes: Option<u64>,
    /// True if damage was found in the log since the process started. `None`: there is no log.
    pub log_is_damaged: Option<bool>,
}

impl BusStats {
    /// Figures with this many accepted events and no log.
    pub fn accepted(events: u64) -> Self {
        Self { accepted: events, ..Self::default() }
    }

    /// Sets the number of events that were known already.
    #[must_use]
    pub fn duplicates(mut self, events: u64) -> Self {
        self.duplicates = Some(events);
        self
    }

    /// Sets the bytes of the log.
    #[must_use]
    pub fn log_bytes(mut self, bytes: u64) -> Self {
        self.log_bytes = Some(bytes);
        self
    }

    /// Sets whether damage was found in the log.
    #[must_use]
    pub fn log_is_damaged(mut self, damaged: bool) -> Self {
        self.log_is_damaged = Some(damaged);
        self
    }

    /// Sets the limit of the log in bytes.
    #[must_use]
    pub fn log_max_bytes(mut self, bytes: u64) -> Self {
        self.log_max_bytes = Some(bytes);
        self
    }
}

/// A hook's request to a bus for events.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The hook.
    pub hook: HookId,
    /// The filter that the events have to match.
    pub filter: Arc<Filter>,
    /// Limits of the hook's queue, on buses that hold events in memory.
    pub queue: QueueLimits,
    /// The ledger in which the bus counts the events that the hook takes or has to drop.
    pub ledger: Arc<Ledger>,
    /// The start of a hook that the bus does not know yet.
    pub from: StartAt,
}

/// The place in the log where a new hook begins. A hook that the bus knows goes on at its position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// The end: events that are published from now on.
    #[default]
    End,
    /// The oldest event that the log still has. On a bus without a log there is none.
    Earliest,
}

/// Limits of a hook's queue in memory, and the action when it is full. Queued events and those in flight count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueLimits {
    /// Most events.
    pub max_events: NonZeroUsize,
    /// Most bytes of JSON. One event alone may be larger.
    pub max_bytes: ByteSize,
    /// The action when one more event comes.
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

/// The action when a full queue should take one more event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Drop the oldest event that is not in flight; count and log it.
    DropOldest,
    /// Make the publisher wait.
    Block,
}

/// Reads the log for one hook.
#[async_trait]
pub trait Reader: Send {
    /// Waits for events, takes up to `max` deliveries and appends them to `into`.
    /// Waits, too, while [`WINDOW`] deliveries lie between the oldest unsettled and the newest read.
    ///
    /// # Errors
    /// When the log can't be read now. Call again after a pause.
    ///
    /// # Cancel safety
    /// A call that is dropped has taken nothing.
    async fn next(&mut self, max: usize, into: &mut Vec<Delivery>) -> Result<Read, BusError>;

    /// Closes the reader: from now on `next` takes the events that are there, then returns [`Read::Dry`].
    fn close(&mut self);

    /// Changes filter and limits for all unread events.
    fn reconfigure(&mut self, subscription: Subscription);

    /// Enables or disables the hook. A disabled hook keeps its events but delays no one: where its policy would make
    /// publishers wait, the bus drops its oldest events, and evicts them first when memory or disk is short.
    fn set_enabled(&mut self, enabled: bool);
}

/// The result of [`Reader::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Read {
    /// This many deliveries were appended, at least one.
    Events(usize),
    /// Nothing new, but a publisher waits for room: deliver the events in flight without waiting for more.
    Flush,
    /// The reader or its bus is closed and everything was read.
    Dry,
    /// Another instance owns the hook now: drop the events in flight and settle none.
    Lost,
}

/// For buses: refuses events with a [reserved type](crate::Filter) (`hooks.…`), unless a dispatcher made them. So
/// hooks can trust events about endpoints.
///
/// # Errors
/// [`BusError::Reserved`], for the first such event.
pub fn refuse_reserved(slice: &Slice) -> Result<(), BusError> {
    slice.forged().map_or(Ok(()), |event| Err(BusError::Reserved(shown_type(event.event_type()))))
}
