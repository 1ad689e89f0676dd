//! Sinks: the destinations of events.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::BoxError;
use crate::attempt::{AttemptRecorder, Exchange};
use crate::batcher::BatchLimits;
use crate::builders::Builders;
use crate::config_problem::ConfigProblem;
use crate::human::Rate;
use crate::id::HookId;
use crate::policy::RetryPolicy;
use crate::secret::Secret;

pub use crate::batch::{Batch, BatchId};
pub use crate::batcher::{Batcher, SizeBatcher};
pub use crate::callbacks::{CallHeader, Callback, Callbacks, Called};
pub use crate::delivery::{Answer, Delivered, DeliveryError, FailureClass, Odd, Reason, Unread};
#[cfg(feature = "config")]
pub use crate::plugin::registry::SinkPlugin;
pub use crate::plugin::sink::{SigningOption, SinkConfig};

/// Delivers batches somewhere.
///
/// The worker calls one method at a time and does everything else: it retries, splits, waits, settles.
/// A sink does none of that; it tries once and returns the result.
///
/// # The promise of `Ok`
/// The destination has every event of the batch except those named refused. Not "queued", not "handed
/// to a task". A sink that returns `Ok` before the destination has the events loses them in a crash.
///
/// ```
/// use hooks_core::{sink::{Batch, Delivered, DeliveryError}, async_trait, Sink};
///
/// /// Prints each event. `println!` has written the line when it returns, so `Ok` is true.
/// struct Stdout;
///
/// #[async_trait]
/// impl Sink for Stdout {
///     async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError> {
///         for line in batch.lines() {
///             println!("{line}");
///         }
///         Ok(Delivered::all())
///     }
/// }
/// ```
///
/// The wrong way, because nothing is delivered yet when it returns `Ok`:
///
/// ```no_run
/// # use hooks_core::sink::{Batch, Delivered, DeliveryError};
/// # async fn deliver(batch: &Batch) -> Result<Delivered, DeliveryError> {
/// let lines: Vec<String> = batch.lines().map(|line| line.into_owned()).collect();
/// tokio::spawn(async move { for line in lines { println!("{line}") } });
/// Ok(Delivered::all())
/// # }
/// ```
///
/// # Cancellation
/// The worker drops the future of `deliver` when the attempt takes too long or the hook changes. The
/// batch then counts as not delivered and comes again, unless [`cut_short`](Sink::cut_short) knows better, so the
/// sink has to be usable afterwards.
#[async_trait]
pub trait Sink: Send {
    /// Tries once to deliver the batch.
    ///
    /// # Errors
    /// The destination kept none of the events, as far as can be known. The error's class decides what
    /// happens next.
    async fn deliver(&mut self, batch: &Batch) -> Result<Delivered, DeliveryError>;

    /// Returns the result of an attempt that took too long and whose future was just dropped, if the sink knows it: a
    /// receiver that has answered "delivered" and does not end its answer has the events.
    fn cut_short(&mut self, _batch: &Batch) -> Option<Result<Delivered, DeliveryError>> {
        None
    }

    /// What is known of the attempt that just ended, however it did, beside its result. Asked after each attempt where
    /// attempts are [recorded](SinkContext::recorded).
    fn exchange(&mut self) -> Exchange {
        Exchange::default()
    }

    /// The most attempts that the destination allows, if it said so: the hook makes no more, over all its lanes. Asked
    /// after each attempt.
    fn allowed_rate(&self) -> Option<Rate> {
        None
    }

    /// What `deliver` would send, for people to read and without secrets: nothing is sent, opened or kept. `None` where
    /// the sink can't say.
    ///
    /// # Errors
    /// What `deliver` would fail with before it sends anything.
    fn preview(&mut self, _batch: &Batch) -> Option<Result<String, DeliveryError>> {
        None
    }

    /// Makes durable what `deliver` accepted. Called before positions that survive a crash are settled.
    ///
    /// # Errors
    /// Events delivered since the last flush may be lost; they are delivered again.
    ///
    /// # Cancel safety
    /// A call that is dropped, because it took too long or the hook changed, counts as failed; `flush` or `deliver` may follow.
    async fn flush(&mut self) -> Result<(), DeliveryError> {
        Ok(())
    }

    /// Closes the sink. The last call: everything was delivered or the hook goes away.
    ///
    /// # Errors
    /// As for `flush`.
    ///
    /// # Cancel safety
    /// A call that is dropped, because it took too long, counts as failed. Nothing follows it.
    async fn close(&mut self) -> Result<(), DeliveryError> {
        self.flush().await
    }
}

/// The hook and lane that a sink is built for, and access to things that sinks share.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// The hook.
    pub hook: HookId,
    /// The number of the hook's lane, from 0.
    pub lane: usize,
    /// True if the sink is for one test delivery.
    pub test: bool,
    /// True if attempts are recorded: the sink is asked for its [`exchange`](Sink::exchange) after each.
    pub recorded: bool,
    /// Time limit of an attempt, all in all.
    pub attempt_timeout: Duration,
    /// For a test delivery: takes notes about its progress.
    pub notes: Option<Notes>,
    shared: Arc<Shared>,
}

/// Notes of a sink about a test delivery while it runs: the request, the answer, the time of each part, advice. Each
/// note is a name and a text without secrets. They are shown in their order, also when the attempt times out.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<(String, String)>>>);

impl Notes {
    /// Adds a note.
    pub fn add(&self, name: impl Into<String>, text: impl Into<String>) {
        self.0.lock().push((name.into(), text.into()));
    }

    /// Changes the note of this name, or adds it.
    pub fn set(&self, name: impl Into<String>, text: impl Into<String>) {
        let (name, text) = (name.into(), text.into());
        let mut notes = self.0.lock();
        match notes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = text,
            None => notes.push((name, text)),
        }
    }

    /// All notes so far.
    pub fn list(&self) -> Vec<(String, String)> {
        self.0.lock().clone()
    }
}

impl SinkContext {
    /// A context for the first lane of a hook.
    pub fn new(hook: HookId, shared: Arc<Shared>) -> Self {
        let attempt_timeout = RetryPolicy::default().attempt_timeout.get();
        Self { hook, lane: 0, test: false, recorded: false, attempt_timeout, notes: None, shared }
    }

    /// Returns something heavy that sinks with the same key share: a client, a file's writer. The first caller makes
    /// it; it goes with the last sink that holds it.
    ///
    /// # Errors
    /// When `make` fails; the next call tries again.
    pub fn shared<T: Any + Send + Sync, E>(&self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        self.shared.get(key, make)
    }

    /// Calls from outside that sinks wait for.
    pub fn callbacks(&self) -> Arc<Callbacks> {
        self.shared.callbacks.clone()
    }

    /// Returns something that sinks with the same key share and that stays when no sink holds it, for as long as the
    /// dispatcher lives: what was learned of destinations, say. It bounds its own size.
    ///
    /// # Errors
    /// When `make` fails; the next call tries again.
    pub fn kept<T: Any + Send + Sync, E>(&self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let thing = self.shared.get(key, make)?;
        self.shared.kept.lock().insert((TypeId::of::<T>(), key.to_owned()), thing.clone());
        Ok(thing)
    }
}

/// The things that the sinks of one dispatcher share. See [`SinkContext::shared`].
#[derive(Default)]
pub struct Shared {
    things: Mutex<HashMap<(TypeId, String), Arc<Place>>>,
    /// Those that stay when no sink holds them.
    kept: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
    pub(crate) builders: Builders,
    pub(crate) callbacks: Arc<Callbacks>,
    /// Takes note of each attempt.
    pub(crate) recorder: OnceLock<Arc<dyn AttemptRecorder>>,
}

/// Has its own lock while its thing is made: that may take long, and other keys don't wait for it.
type Place = Mutex<Option<Weak<dyn Any + Send + Sync>>>;

impl Shared {
    fn get<T: Any + Send + Sync, E>(&self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let place = self.place((TypeId::of::<T>(), key.to_owned()));
        let mut place = place.lock();
        if let Some(thing) = place.as_ref().and_then(Weak::upgrade).and_then(|thing| thing.downcast().ok()) {
            return Ok(thing);
        }
        let thing = Arc::new(make()?);
        let erased: Arc<dyn Any + Send + Sync> = thing.clone();
        *place = Some(Arc::downgrade(&erased));
        Ok(thing)
    }

    fn place(&self, key: (TypeId, String)) -> Arc<Place> {
        let mut things = self.things.lock();
        // Only before it grows: with many things, sweeping each time would cost more than all else.
        if things.len() == things.capacity() {
            things.retain(|_, place| Arc::strong_count(place) > 1 || is_held(place));
        }
        things.entry(key).or_default().clone()
    }
}

/// Returns true if a sink holds the thing. Locks at once: no other task has the place.
fn is_held(place: &Place) -> bool {
    place.lock().as_ref().is_some_and(|thing| thing.strong_count() > 0)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("things", &self.things.lock().len()).finish()
    }
}

/// A sink's settings, ready to build sinks from. Every [`SinkConfig`] is one;
/// a sink that no config file names can implement it directly.
///
/// ```
/// use hooks_core::{sink::{SinkContext, SinkFactory}, BoxError, Sink};
/// # struct Stdout;
/// # #[hooks_core::async_trait]
/// # impl Sink for Stdout {
/// #     async fn deliver(&mut self, _: &hooks_core::sink::Batch) -> Result<hooks_core::sink::Delivered, hooks_core::sink::DeliveryError> { Ok(hooks_core::sink::Delivered::all()) }
/// # }
/// #[derive(Debug)]
/// struct ToStdout;
///
/// impl SinkFactory for ToStdout {
///     fn kind(&self) -> &str { "stdout" }
///     fn build(&self, _context: &SinkContext) -> Result<Box<dyn Sink>, BoxError> { Ok(Box::new(Stdout)) }
/// }
/// let hook = hooks_core::Hook::new("print", ToStdout)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SinkFactory: Send + Sync + fmt::Debug {
    /// The sink's kind, for reports and logs.
    fn kind(&self) -> &str;

    /// Builds a sink: once per lane, and once per test delivery. Does no slow work: connecting belongs
    /// to the first `deliver`. A sink that names [files](Self::files) is built on a thread that may block, within the
    /// time of an attempt; any other is built where deliveries run, and must not block.
    ///
    /// # Errors
    /// When it can't be built now. The hook is held and building tried again with backoff.
    fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, BoxError>;

    /// The limits of a batch where the hook sets none.
    fn batch_limits(&self) -> BatchLimits {
        BatchLimits::default()
    }

    /// The batcher for the hook's events. `overhead` is the maximum number of bytes that the hook's metadata adds to
    /// each event.
    fn batcher(&self, limits: BatchLimits, overhead: usize) -> Box<dyn Batcher> {
        Box::new(SizeBatcher::new(limits, overhead))
    }

    /// Returns true if one synthetic event may be sent through the real sink at any time.
    fn takes_tests(&self) -> bool {
        true
    }

    /// Contradictions between these settings of the hook and the sink's, each with the path of the setting, for
    /// example `batch.max_events`.
    fn problems(&self, _batch: &BatchLimits, _retry: &RetryPolicy) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// All errors in the settings, each with its path from the sink's table down. Does no I/O. Called when a hook is
    /// added or replaced: settings that were built in code have met no other check.
    fn validate(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// The secrets of the settings, which `Debug` hides, always in the same order. With the output of `Debug` they
    /// tell whether the settings changed since the receiver disabled the hook.
    fn secrets(&self) -> Vec<Secret> {
        Vec::new()
    }

    /// Warnings about legal settings that may be mistakes: shown when a config file is loaded.
    fn warnings(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// Files that the settings name and [`build`](Self::build) reads. A reload of the config file replaces hooks whose
    /// files have changed, although their settings have not.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// All errors in what these files hold, as far as they can be found without building a sink, and files that can't be
    /// read. Does I/O: called only when somebody asks for a check.
    fn file_problems(&self) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// Files, or folders of them, that [`build`](Self::build) reads and no setting names: the system's certificate
    /// authorities. As for [`files`](Self::files), but their content is no setting.
    fn system_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_in_the_order_of_their_first_mention() {
        let notes = Notes::default();
        notes.add("request", "POST");
        notes.clone().set("connect", "begun");
        notes.add("header", "a");
        notes.add("header", "b");
        notes.set("connect", "done");
        let list = [("request", "POST"), ("connect", "done"), ("header", "a"), ("header", "b")];
        assert_eq!(notes.list(), list.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn what_nobody_holds_is_swept_before_the_map_grows() {
        let shared = Shared::default();
        let get = |key: &str| shared.get::<String, ()>(key, || Ok(key.to_owned())).unwrap();
        let held = get("held");
        for number in 0..10_000 {
            get(&number.to_string());
        }
        assert!(shared.things.lock().len() < 100, "{shared:?}");
        assert!(Arc::ptr_eq(&held, &get("held")), "what is held stays");
    }
}
