//! The bus: one log of events, one cursor per hook.

mod dead_letter;
mod definition;
mod delivery;
mod error;
mod health;
mod hook_store;
mod instances;
mod monitor;
mod past;
mod published;
mod reader;
mod seek;
mod settler;
mod start_at;
mod subscription;
mod traits;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::envelope::{Envelope, Slice, shown_type};
use crate::event::Event;
use crate::id::HookId;

pub use dead_letter::{DeadLetter, DeadLetterId, DeadLetters, MAX_DETAIL};
pub use definition::{DefineError, Definition, Expected, Revision};
pub use delivery::{Delivery, Position};
pub use error::{BusError, PublishError};
pub use health::BusHealth;
pub use hook_store::HookStore;
pub use instances::{Answering, AskError, HookPlace, Instances};
pub use monitor::{BusMonitor, BusStats, Lag};
pub use past::{Past, PastEvent, PastFilter, PastOrder, PastPage, PastQuery, Sieve};
pub use published::Published;
pub use reader::{Read, Reader};
pub use seek::{Seek, SeekError, SeekTo, Sought};
pub use settler::{Settle, Settler};
pub use start_at::StartAt;
pub use subscription::{Overflow, QueueLimits, Subscription};
pub use traits::BusTraits;

pub use crate::plugin::bus::{BusConfig, BusFactory, ControlChannel, LogMaintenance, OpenBusError, OpenedBus, Purpose};
#[cfg(feature = "config")]
pub use crate::plugin::registry::BusPlugin;

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
///
/// `hooks-core/examples/vec_bus/` is a whole bus to begin with: a log in memory that registers itself as a
/// [plugin](crate::bus::BusPlugin). [`conformance::bus`](crate::conformance::bus) checks that a bus keeps the contract.
#[async_trait]
pub trait Bus: Send + Sync {
    /// The id of this log. Batch ids derive from it, so a log that outlives the process keeps its id.
    fn log_id(&self) -> Uuid;

    /// The promises of this bus beyond the contract, which stay the same as long as it lives.
    fn traits(&self) -> BusTraits;

    /// Accepts events, in their order. Returns when they are accepted. A bus that knows duplicates takes an event only
    /// once whose `source` and `id`, and `tenant`, it knows, if the publisher chose the id.
    ///
    /// # Errors
    /// After an error no event was accepted, unless the bus's documentation says otherwise. Then
    /// [`BusError::Partly`] says which were accepted.
    ///
    /// # Cancel safety
    /// A dropped call may have published all of the events or none.
    async fn publish(&self, slice: Slice) -> Result<Published, BusError>;

    /// Encodes one event of the application and publishes it. `source` stands in where the event names none.
    ///
    /// # Errors
    /// When the event does not encode, or is not accepted.
    ///
    /// # Cancel safety
    /// As for [`publish`](Self::publish).
    fn publish_event<'a>(&'a self, event: &dyn Event, source: &str) -> BoxFuture<'a, Result<Published, PublishError>> {
        let encoded = Envelope::from_event(event, source);
        Box::pin(async move { Ok(self.publish(encoded?.into()).await?) })
    }

    /// Registers a hook, or takes over the hook of this id: its unsettled events come first.
    ///
    /// # Errors
    /// When the bus is closed or can't be reached, or does not support the subscription.
    ///
    /// # Cancel safety
    /// A dropped call may have registered the hook: subscribe once more.
    async fn subscribe(&self, subscription: Subscription) -> Result<(Box<dyn Reader>, Settler), BusError>;

    /// Removes a hook. Its events in memory count as dropped (`removed`); a position on disk stays.
    ///
    /// # Errors
    /// When the bus can't be reached.
    ///
    /// # Cancel safety
    /// A dropped call may have removed the hook.
    async fn unsubscribe(&self, hook: &HookId) -> Result<(), BusError>;

    /// Tells the bus that all hooks are subscribed: from now on it may remove what no hook needs or what is too old. A
    /// bus that keeps nothing does nothing.
    fn all_subscribed(&self) {}

    /// From now on [`BusMonitor::tenant_bytes`] says what the events of each tenant take. It may read the log for that, once.
    /// A bus whose [traits](Self::traits) don't have it does nothing.
    ///
    /// # Errors
    /// When the log can't be read.
    ///
    /// # Cancel safety
    /// After a dropped call it may be as before, or counting.
    async fn count_tenants(&self) -> Result<(), BusError> {
        Ok(())
    }

    /// Refuses further events. Accepted events are still read; then readers run dry.
    ///
    /// # Cancel safety
    /// A dropped call may refuse events already, while readers go on waiting: close once more.
    async fn close(&self);

    /// Makes the last settled positions durable, which otherwise takes up to 100 ms, and leaves what is shared with other
    /// processes. Called when the last reader is done, before the process ends. Takes a few seconds at most.
    ///
    /// # Cancel safety
    /// What a dropped call did not make durable is delivered again after a restart: finish once more.
    async fn finish(&self) {}

    /// The store of hooks beside the log. A bus that keeps nothing about hooks leaves this out.
    fn hooks(&self) -> &dyn HookStore {
        &Nothing
    }

    /// Observation of the bus. A bus that tells nothing leaves this out.
    fn monitor(&self) -> &dyn BusMonitor {
        &Nothing
    }

    /// Reads the events of the log without a hook. A bus that keeps no events once hooks have them leaves this out.
    fn past(&self) -> Option<&dyn Past> {
        None
    }
}

/// Keeps nothing and tells nothing.
struct Nothing;

impl HookStore for Nothing {}

impl BusMonitor for Nothing {}

/// For buses: refuses events with a [reserved type](crate::Filter) (`hooks.…`), unless a dispatcher made them. So
/// hooks can trust events about endpoints.
///
/// # Errors
/// [`BusError::Reserved`], for the first such event.
pub fn refuse_reserved(slice: &Slice) -> Result<(), BusError> {
    slice.forged().map_or(Ok(()), |event| Err(BusError::Reserved(shown_type(event.event_type()))))
}
