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
pub mod bus;
mod config_problem;
#[cfg(feature = "conformance")]
pub mod conformance;
mod delivery;
mod dispatcher;
mod endpoint_state;
pub mod envelope;
mod error_chain;
mod event;
mod filter;
mod fnv;
pub mod foreign;
mod hook;
mod human;
mod id;
mod ledger;
pub mod names;
mod notices;
mod overrides;
pub mod plugin;
mod policy;
pub mod secret;
mod setters;
#[cfg(feature = "config")]
pub mod settings;
pub mod sink;
mod stats;
mod timestamp;
mod untrusted;
mod watchers;
mod worker;
mod wrapper;

#[doc(inline)]
pub use bus::{Bus, BusError, DeadLetter, DeadLetterId, Lag, Overflow, Position, PublishError, QueueLimits, StartAt};
#[doc(inline)]
pub use envelope::{Envelope, EnvelopeError, Metadata, MetadataError, Slice, SliceBuilder};
#[doc(inline)]
pub use secret::Secret;
#[doc(inline)]
pub use sink::Sink;

pub use batcher::BatchLimits;
pub use config_problem::ConfigProblem;
pub use dispatcher::{
    Changes, DefinitionReader, DispatchError, Dispatcher, HookCounts, HookReport, HookStatus, LeftBehind, ReplayError,
    ReplayReport, Report, Restored, TestError, TestReport,
};
pub use endpoint_state::EndpointState;
pub use error_chain::chain;
pub use event::{EncodeError, Event, encode};
pub use filter::{Filter, Pattern};
pub use fnv::stable_hash;
pub use hook::{Hook, MAX_LANES};
pub use human::{ByteSize, HumanDuration, Rate};
pub use id::{HookId, InvalidHookId, InvalidTenantId, TenantId, uuid_v7};
pub use ledger::{Counts, DeadLetterReason, DropReason, Ledger, Outcome};
pub use overrides::{Disabled, DisabledBy, Override};
pub use policy::{RateLimit, RetryPolicy};
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
