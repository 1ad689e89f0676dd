//! Checks that a sink keeps its contract, for the authors of sinks. For those of buses there is [`bus`].
//!
//! ```text
//!  your test ──▶ check(make) ──▶ for each check: a fresh Destination
//!                                   │  factory() ──▶ your sink ──▶ your destination
//!                                   └─ received() ◀──────────────────────┘   compared
//! ```
//!
//! Implement [`Destination`]: the place the sink delivers to, and a way to read the received events. Then call
//! [`check`] from a test. Each check gets a new destination, plays the worker's part and compares the received
//! events with the sink's results.
//!
//! | check | finds |
//! |---|---|
//! | `delivers` | `Ok` although the destination does not have the events yet |
//! | `order` | events swapped, lost or repeated, within a batch or between batches |
//! | `verbatim` | events built anew instead of passed on byte for byte |
//! | `metadata` | the hook's metadata left out |
//! | `large_event` | a 64 KiB or 1 MiB event that is cut or lost |
//! | `large_batch` | a batch of 4,096 events that is cut or lost |
//! | `refused_events` | a refused event that is hidden, or the wrong one named |
//! | `error_classes` | a failure of the wrong class, or a sink that does not work after one |
//! | `cancellation` | events lost, torn or swapped when the future of `deliver` is dropped |
//! | `flush_and_close` | `flush` or `close` that fail, lose or repeat |
//! | `lanes` | sinks of the same settings that disturb each other |
//! | `test_delivery` | a test delivery that is not a real one |
//! | `secrets` | secrets in `Debug` or in errors |
//!
//! A sink that renders events, into a mail for example, says so by [`Destination::renders`], and its destination names the
//! ids of what arrived: `hooks-core/examples/digest.rs`. It skips `verbatim` and `metadata`, once the events are there.
//!
//! A sink that keeps its events in memory, and its test:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use hooks_core::conformance::{self, Destination};
//! use hooks_core::{sink::{Batch, Delivered, DeliveryError, SinkContext, SinkFactory}, async_trait, BoxError, Sink};
//!
//! #[derive(Debug, Clone, Default)]
//! struct Memory(Arc<Mutex<Vec<String>>>);
//!
//! impl SinkFactory for Memory {
//!     fn kind(&self) -> &str { "memory" }
//!     fn build(&self, _: &SinkContext) -> Result<Box<dyn Sink>, BoxError> { Ok(Box::new(self.clone())) }
//! }
//!
//! #[async_trait]
//! impl Sink for Memory {
//!     async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
//!         self.0.lock().unwrap().extend(batch.lines().map(|line| line.into_owned()));
//!         Ok(Delivered::all())
//!     }
//! }
//!
//! #[async_trait]
//! impl Destination for Memory {
//!     fn factory(&self) -> Arc<dyn SinkFactory> { Arc::new(self.clone()) }
//!     async fn received(&self) -> Vec<String> { self.0.lock().unwrap().clone() }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let report = conformance::check(async || Memory::default()).await;
//! report.assert_passed();
//! // A list in memory refuses nothing, never fails and has no secrets: there was nothing to try.
//! assert_eq!(report.skipped(), ["refused_events", "error_classes", "secrets"]);
//! # });
//! ```

pub mod bus;
mod checks;
mod compare;
mod destination;
mod events;
mod probe;
mod report;
mod run;

use std::time::Duration;

pub use destination::Destination;
pub use report::{Report, Verdict};

use probe::Probe;

/// Time limit of a check: a call that takes longer counts as one that never ends.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs all checks, each against a destination that `make` has just made.
///
/// Needs a tokio runtime with its timer on, and not paused unless everything happens in memory: a call that hangs is
/// given up after a minute.
pub async fn check<D: Destination>(make: impl AsyncFn() -> D) -> Report {
    let mut report = Report::of("sink");
    for (name, check) in checks::ALL {
        let destination = make().await;
        let probe = Probe::new(&destination);
        report.add(name, run::run_check("sink", CHECK_TIMEOUT, &probe.steps, check(&probe)).await);
    }
    report
}
