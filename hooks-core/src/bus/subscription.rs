//! A hook's request to a bus.

use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::StartAt;
use crate::filter::Filter;
use crate::human::ByteSize;
use crate::id::HookId;
use crate::ledger::Ledger;
use crate::setters::setters;

/// A hook's request to a bus for events.
#[derive(Debug, Clone)]
#[non_exhaustive]
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

impl Subscription {
    /// A subscription of a hook to these events, with default limits, from the end.
    pub fn new(hook: HookId, filter: impl Into<Arc<Filter>>, ledger: Arc<Ledger>) -> Self {
        Self { hook, filter: filter.into(), queue: QueueLimits::default(), ledger, from: StartAt::default() }
    }
}

setters!(Subscription { queue: QueueLimits, from: StartAt });

/// Limits of a hook's queue in memory, and the action when it is full. Queued events and those in flight count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
            max_bytes: ByteSize::new(64 << 20),
            overflow: Overflow::DropOldest,
        }
    }
}

setters!(QueueLimits { max_events: NonZeroUsize, max_bytes: ByteSize, overflow: Overflow });

/// The action when a full queue should take one more event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// Drop the oldest event that is not in flight; count and log it.
    DropOldest,
    /// Make the publisher wait.
    Block,
}
