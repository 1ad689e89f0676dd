//! Events, hooks, batching, sinks and the dispatcher that joins them.
//!
//! ```text
//!  your app ──▶ Bus (one log) ──▶ one worker per hook: filter ▶ Batcher ▶ Sink ──▶ webhook / file / yours
//!                    ▲                        │ retry at the head
//!                    └────── settle ──────────┘ rejected ▶ isolate
//! ```
//!
//! An [`Envelope`] is an event (CloudEvents 1.0) that was encoded once. A [`Bus`] is a log of them. A [`Hook`] is a named
//! subscription: a [`Filter`], settings, and the factory of a [`Sink`], which delivers batches somewhere. The
//! [`Dispatcher`] runs a worker for each hook. The crate holds no bus for use and no sink: `hooks-bus`, `hooks-sink-http`
//! and `hooks-sink-file` do, and the traits in [`bus`] and [`sink`] are there for yours.
//!
//! # A start
//! ```
//! # mod hooks_bus { pub use hooks_test::model::ModelBus as MemoryBus; }
//! use std::sync::Arc;
//!
//! use hooks_bus::MemoryBus;
//! use hooks_core::sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory};
//! use hooks_core::{BoxError, Bus, Dispatcher, Envelope, Filter, Hook, Sink, async_trait};
//!
//! /// The settings of a sink, from which each worker builds its own.
//! #[derive(Debug)]
//! struct Print;
//!
//! impl SinkFactory for Print {
//!     fn kind(&self) -> &str {
//!         "print"
//!     }
//!
//!     fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> {
//!         Ok(Box::new(Print))
//!     }
//! }
//!
//! #[async_trait]
//! impl Sink for Print {
//!     async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
//!         batch.lines().for_each(|event| println!("{event}"));
//!         Ok(Delivered::all())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let bus = Arc::new(MemoryBus::default());
//! let dispatcher = Dispatcher::new(bus.clone());
//! dispatcher.add(Hook::new("invoices", Print)?.filter(Filter::types(["invoice.*"]))).await?;
//!
//! let event = Envelope::from_json(br#"{"type":"invoice.paid","source":"/shop","data":{"number":7}}"#)?;
//! bus.publish(event.into()).await?;
//!
//! let report = dispatcher.shutdown(None).await;
//! assert!(report.is_complete() && report.hooks[0].counts.delivered == 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//! - **At least once.** Once `publish` returned `Ok`, each hook whose filter matches gets the event. What is not settled is
//!   delivered again, so a receiver may see an event twice: `source` and `id` tell.
//! - **In order** for a hook, or for each `partitionkey` where a hook has several lanes; retries included.
//! - **Apart.** A hook that hangs or fails delays no other, and no publisher unless its limits say so.
//! - **Accounted for.** What a hook gave up is counted with a reason in its [`Counts`], or kept as a [`DeadLetter`].
//! - **Bounded.** Every queue has a limit, and a policy for when it is full.
//! - **No call is half done when its future is dropped**; "Cancel safety" at each says what holds.
//!
//! # What it needs
//! A tokio runtime with time enabled, of either flavour: [`Dispatcher::add`] starts tasks in the runtime that it is called
//! in, and panics without one, or at the first wait without time. When the runtime ends, so does all delivery: call
//! [`Dispatcher::shutdown`] before. It reads no files, no environment and no signals.
//!
//! # Where state lives
//! In the bus: events, the position of each hook, dead letters, overrides and definitions, for as long as the bus keeps
//! them ([`BusTraits`](bus::BusTraits)). The dispatcher itself keeps counts, the health of receivers and batches under way,
//! all of which end with the process.
//!
//! # Features
//! - `config` (default): settings from config files, JSON Schemas, and the registry that finds a sink or a bus by its kind.
//! - `conformance` (default): the kits that check a sink or a bus.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt;
mod batch;
mod batcher;
mod builders;
pub mod bus;
mod callbacks;
mod config_problem;
#[cfg(feature = "conformance")]
pub mod conformance;
mod delivery;
mod dispatcher;
mod endpoint_state;
pub mod envelope;
mod error_chain;
mod event;
pub mod event_pattern;
mod filter;
mod fnv;
pub mod foreign;
mod glob;
mod hook;
mod human;
mod id;
mod ledger;
pub mod names;
mod notices;
mod operational;
mod overrides;
pub mod plugin;
#[cfg_attr(not(feature = "config"), allow(dead_code, unreachable_pub, reason = "settings need all of it"))]
mod pointer;
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

pub use attempt::{Attempt, AttemptOutcome, AttemptRecorder, Exchange, Phase, Phases, Trigger};
pub use batcher::BatchLimits;
pub use config_problem::ConfigProblem;
pub use dispatcher::{
    Changes, DefinitionReader, DispatchError, Dispatcher, Figures, HookCounts, HookReport, HookStatus, LeftBehind,
    ReplayError, ReplayReport, Report, ResendReport, Resending, Restored, RunningHook, TestError, TestReport,
};
pub use endpoint_state::EndpointState;
pub use error_chain::chain;
pub use event::{EncodeError, Event, encode};
#[doc(inline)]
pub use event_pattern::{EventPattern, EventPatternError, EventPatternFault};
pub use filter::{AttributePatterns, Filter, FilterSetting, Mismatch, Pattern, Rare, RareParts};
pub use fnv::stable_hash;
pub use hook::{Hook, MAX_LANES};
pub use human::{ByteSize, HumanDuration, Rate};
pub use id::{HookId, InvalidHookId, InvalidTenantId, TenantId, uuid_v7};
pub use ledger::{Counts, DeadLetterReason, DropReason, Ledger, Outcome};
pub use overrides::{Disabled, DisabledBy, Override};
pub use policy::{RateLimit, RetryPolicy};
pub use stats::{AttemptStats, BatchStats, Histogram};
pub use timestamp::{precise_timestamp, timestamp};
pub use untrusted::UntrustedLimits;

pub use async_trait::async_trait;
pub use serde_json::value::RawValue;
// The crates that the derive macros, the registry and the traits need, for crates that depend on this one alone.
#[cfg(feature = "config")]
pub use {inventory, schemars};
pub use {serde, serde_json, uuid};

/// Any error, where its type does not matter.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
