//! Events, hooks, batching, sinks and the dispatcher that joins them.
//!
//! ```text
//!  your app ──▶ Bus (one log) ──▶ one worker per hook: filter ▶ Batcher ▶ Sink ──▶ webhook / file / yours
//!                    ▲                        │ retry at the head
//!                    └────── settle ──────────┘ rejected ▶ isolate
//! ```

mod batch;
mod batcher;
mod builders;
mod bus;
mod config_problem;
#[cfg(feature = "conformance")]
pub mod conformance;
mod delivery;
mod dispatcher;
mod endpoint_state;
mod envelope;
mod error_chain;
mod event;
mod filter;
mod fnv;
pub mod foreign;
mod hook;
mod human;
mod id;
mod ledger;
mod notices;
mod overrides;
mod plugin;
mod policy;
mod secret;
mod sink;
mod stats;
mod timestamp;
mod untrusted;
mod worker;
mod wrapper;

pub use batch::{Batch, BatchId};
pub use batcher::{BatchLimits, Batcher, SizeBatcher};
pub use bus::{
    Answering, AskError, Bus, BusError, BusHealth, BusMonitor, BusStats, BusTraits, DeadLetter, DeadLetterId,
    DeadLetters, DefineError, Definition, Delivery, Expected, HookPlace, HookStore, Instances, Lag, MAX_DETAIL,
    Overflow, Position, PublishError, QueueLimits, Read, Reader, Revision, Settle, Settler, StartAt, Subscription,
    WINDOW, refuse_reserved,
};
pub use config_problem::ConfigProblem;
pub use delivery::{Answer, Delivered, DeliveryError, FailureClass, Odd, Reason, Unread};
pub use dispatcher::{
    DispatchError, Dispatcher, HookCounts, HookReport, HookStatus, LeftBehind, ReplayError, ReplayReport, Report,
    TestError, TestReport,
};
pub use endpoint_state::EndpointState;
pub use envelope::{
    ArrayElement, ArrayElements, BlockGuard, DEFAULT_MAX_EVENT_BYTES, Envelope, EnvelopeError, Metadata, MetadataError,
    PushedElement, Slice, SliceBuilder,
};
pub use error_chain::chain;
pub use event::{EncodeError, Event, encode};
pub use filter::{Filter, Pattern};
pub use fnv::stable_hash;
pub use hook::{Hook, MAX_LANES};
pub use human::{ByteSize, HumanDuration, Rate};
pub use id::{HookId, InvalidHookId, InvalidTenantId, TenantId, uuid_v7};
pub use ledger::{Counts, DeadLetterReason, DropReason, Ledger, Outcome};
pub use overrides::{Disabled, DisabledBy, Override};
pub use plugin::{BusConfig, BusFactory, ControlChannel, LogMaintenance, OpenBusError, OpenedBus, Purpose, SinkConfig};
#[cfg(feature = "config")]
pub use plugin::{BusPlugin, Plugin, SinkPlugin};
pub use policy::{RateLimit, RetryPolicy};
pub use secret::{Secret, fingerprint, plain_text, without_mark};
pub use sink::{Notes, Shared, Sink, SinkContext, SinkFactory};
pub use stats::{AttemptStats, BatchStats, Histogram};
pub use timestamp::timestamp;
pub use untrusted::UntrustedLimits;

pub use async_trait::async_trait;
pub use serde_json::value::RawValue;
// The crates that the derive macros, the registry and the traits need, for crates that depend on this one alone.
#[cfg(feature = "config")]
pub use {inventory, schemars};
pub use {serde, serde_json, uuid};

/// Any error, where its type does not matter.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
