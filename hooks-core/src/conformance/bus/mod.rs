//! Checks that a bus keeps its contract, for the authors of buses.
//!
//! ```text
//!  your test ──▶ check(make) ──▶ for each check: a fresh Store
//!                                   │  open() ──▶ your bus ◀── publish, read, settle
//!                                   │  end it, or crash()
//!                                   └─ open() ──▶ your bus again, with all it kept
//! ```
//!
//! Implement [`Store`]: the place where the bus keeps its data, and a way to open it there. Then call [`check`] from a
//! test. Each check gets a new store and plays the dispatcher's part.
//! [`Store::traits`] names the promises of the bus beyond [`Bus`](crate::Bus), and so the checks that apply.
//!
//! | check | finds |
//! |---|---|
//! | `order` | events swapped, lost or repeated, positions that do not rise, hooks that see another order |
//! | `verbatim` | events that are not passed on byte for byte |
//! | `publishers` | calls of `publish` at the same time that disturb each other |
//! | `all_or_nothing` | events of a call that was refused |
//! | `cancelled_publish` | parts of a call of `publish` that was dropped |
//! | `counting` | accepted events or duplicates that are not counted |
//! | `filters` | events that a hook does not want, or that it wants and does not get |
//! | `filter_change` | a new filter that holds too late or too early |
//! | `beginning` | a new hook that begins elsewhere, or a known one that begins anew |
//! | `redelivery` | unsettled events that the next subscriber does not get first, or settled ones that it gets |
//! | `settling` | settled events that are miscounted, or others that are taken for settled |
//! | `cancelled_next` | events that are lost or repeated when the future of `next` is dropped |
//! | `window` | more unsettled events than [`WINDOW`](crate::bus::WINDOW) |
//! | `queue_limits` | events that are dropped uncounted, or publishers that wait for ever |
//! | `isolation` | a hook that delays or settles another's events |
//! | `disabled` | a disabled hook that makes publishers wait |
//! | `closed_reader` | a closed reader that ends too early, too late or not at all |
//! | `past` | events of the [past](crate::Bus::past) that are missing, changed, out of order or on no page; a bus without one has none |
//! | `closing` | a closed bus that still accepts, or loses what it accepted |
//! | `lag` | a lag that is wrong and said to be exact |
//! | `unsubscribing` | leftovers of a hook that was removed |
//! | `forgetting` | leftovers of a hook that was forgotten |
//! | `seeking` | a hook that was moved and goes on elsewhere, or events that it skips uncounted or unasked |
//! | `overrides` | the override of a hook, or since when its receiver fails, that is lost, changed or another's |
//! | `dead_letters` | dead letters that are lost, changed or another's |
//! | `dead_letter_limit` | more dead letters than a hook may have, or only some of a call's |
//! | `definitions` | definitions that are lost, changed, another's or listed wrongly, or changed against what the caller expects |
//! | `defining` | a defined hook that misses events from before it was subscribed, or loses its position |
//! | `undefining` | leftovers of a hook that was undefined, and revisions that come twice |
//! | `claims` | [traits](crate::Bus::traits) that contradict each other, or are not those that [`Store::traits`] expects |
//! | `restart` | events that an orderly end of the process loses or repeats |
//! | `crash` | events that the end of the process at any moment loses |
//! | `kept_definitions` | definitions, and positions of defined hooks, that a crash loses or brings back |
//! | `one_at_a_time` | two processes that have the log of one at the same time |
//! | `takeover` | events that another process does not get, or gets twice, when one ends |
//! | `takeover_after_crash` | the same when one crashes |
//! | `sharing` | events that two processes deliver, or none |
//! | `shared_overrides` | an override that another process sets and this one does not notice |
//! | `shared_definitions` | a definition that another process changes and this one does not notice, or events that a hook misses which another process defined |
//!
//! A bus that ends with its process, as its author would test it:
//!
//! ```
//! # mod my_bus { pub use hooks_test::model::ModelBus as MyBus; }
//! use std::sync::Arc;
//! use my_bus::MyBus;
//! use hooks_core::conformance::bus::{self, Store};
//! use hooks_core::{bus::BusTraits, async_trait, BoxError, Bus};
//!
//! struct Process;
//!
//! #[async_trait]
//! impl Store for Process {
//!     fn traits(&self) -> BusTraits { BusTraits::new().keeps_events().atomic() }
//!     async fn open(&self) -> Result<Arc<dyn Bus>, BoxError> { Ok(Arc::new(MyBus::default())) }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! bus::check(async || Process).await.assert_passed();
//! // One alone, while it is being worked on:
//! bus::check_only(&["redelivery"], async || Process).await.assert_passed();
//! # });
//! ```

mod checks;
mod dead_letters;
mod definitions;
mod end;
mod keeping;
mod limits;
mod past;
mod probe;
mod processes;
mod publishing;
mod reading;
mod seeking;
mod store;

use std::time::Duration;

pub use store::Store;

use super::report::{Report, Verdict};
use super::run::run_check;
use checks::{ALL, Check};
use probe::Probe;

/// Time limit of a check: one that takes longer counts as one that never ends.
const CHECK_TIMEOUT: Duration = Duration::from_secs(300);

/// The names of all checks.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|check| check.name)
}

/// Runs all checks, each on a store that `make` has just made.
///
/// Needs a tokio runtime with its timer on, and not paused unless everything happens in memory: a check that hangs is
/// given up after some minutes.
pub async fn check<S: Store>(make: impl AsyncFn() -> S) -> Report {
    run(ALL, make).await
}

/// Runs the checks of these names only.
///
/// # Panics
/// When no check has one of the names.
pub async fn check_only<S: Store>(only: &[&str], make: impl AsyncFn() -> S) -> Report {
    for wanted in only {
        assert!(names().any(|name| name == *wanted), "no check of a bus is called {wanted:?}");
    }
    run(ALL.iter().filter(|check| only.contains(&check.name)), make).await
}

async fn run<S: Store>(checks: impl IntoIterator<Item = &Check>, make: impl AsyncFn() -> S) -> Report {
    let mut report = Report::of("bus");
    for check in checks {
        let store = make().await;
        let probe = Probe::new(&store);
        let verdict = match check.does_not_apply(probe.traits) {
            Some(why) => Verdict::Skipped(why.to_owned()),
            None => run_check("bus", CHECK_TIMEOUT, &probe.steps, (check.run)(&probe)).await,
        };
        report.add(check.name, verdict);
    }
    report
}
