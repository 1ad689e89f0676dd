//! Events that travel together.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bus::{Delivery, Position};
use crate::envelope::{Envelope, Metadata};
use crate::human::{Bytes, Span};
use crate::id::HookId;

/// When a batch leaves: whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchLimits {
    /// Most events.
    pub max_events: NonZeroUsize,
    /// Most bytes, counting each event and one byte between events. One event alone may be larger.
    pub max_bytes: Bytes,
    /// How long the first event waits for others. `"0s"`: what is there right now leaves at once.
    pub max_age: Span,
}

impl Default for BatchLimits {
    /// 100 events, 1 MiB, 1 s.
    fn default() -> Self {
        Self {
            max_events: NonZeroUsize::MIN.saturating_add(99),
            max_bytes: Bytes(1 << 20),
            max_age: Span(Duration::from_secs(1)),
        }
    }
}

impl BatchLimits {
    /// Nothing waits: whatever is queued right now leaves together, up to 4,096 events or 1 MiB.
    pub fn immediate() -> Self {
        Self { max_events: NonZeroUsize::MIN.saturating_add(4_095), max_age: Span(Duration::ZERO), ..Self::default() }
    }
}

/// Decides which events travel together. Has no clock and no timer: time is a parameter.
///
/// Whatever was pushed comes out exactly once, in the order it went in.
///
/// ```
/// use std::time::Instant;
/// use hooks_core::{Batcher, Delivery};
///
/// /// One event, one batch.
/// #[derive(Default)]
/// struct Single(std::collections::VecDeque<Delivery>);
///
/// impl Batcher for Single {
///     fn push(&mut self, _now: Instant, delivery: Delivery) { self.0.push_back(delivery) }
///     fn ready(&mut self, _now: Instant) -> Option<Vec<Delivery>> { self.drain() }
///     fn deadline(&self) -> Option<Instant> { None }
///     fn drain(&mut self) -> Option<Vec<Delivery>> { self.0.pop_front().map(|delivery| vec![delivery]) }
///     fn wanted(&self) -> usize { 1 }
/// }
/// ```
pub trait Batcher: Send {
    /// Takes one event.
    fn push(&mut self, now: Instant, delivery: Delivery);

    /// Takes all of these events, oldest first, and leaves none.
    fn extend(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        deliveries.drain(..).for_each(|delivery| self.push(now, delivery));
    }

    /// The next batch, if one is due. Asked again until there is none.
    fn ready(&mut self, now: Instant) -> Option<Vec<Delivery>>;

    /// When to ask again although nothing was pushed.
    fn deadline(&self) -> Option<Instant>;

    /// The next batch, due or not. Asked again until there is none.
    fn drain(&mut self) -> Option<Vec<Delivery>>;

    /// How many more events the next batch has use for. More stay on the bus.
    fn wanted(&self) -> usize;
}

/// The built-in [`Batcher`]: by count, bytes and age. With an age of zero it is the immediate one.
#[derive(Debug)]
pub struct SizeBatcher {
    limits: BatchLimits,
    overhead: usize,
    held: VecDeque<Delivery>,
    /// When the events of `held` came: the number of the first one that came then, and the time.
    came: VecDeque<(usize, Instant)>,
    /// Events that have left, so the number of the first one in `held`.
    left: usize,
    bytes: usize,
}

impl SizeBatcher {
    /// `overhead` is what is added to each event on its way out, in bytes.
    pub fn new(limits: BatchLimits, overhead: usize) -> Self {
        Self { limits, overhead, held: VecDeque::new(), came: VecDeque::new(), left: 0, bytes: 0 }
    }

    fn size(&self, delivery: &Delivery) -> usize {
        delivery.envelope.len() + self.overhead + 1
    }

    fn sum(&self, deliveries: &[Delivery]) -> usize {
        deliveries.iter().map(|delivery| self.size(delivery)).sum()
    }

    /// For events that come now.
    fn note_time(&mut self, now: Instant) {
        if self.came.back().is_none_or(|(_, came)| *came != now) {
            self.came.push_back((self.left + self.held.len(), now));
        }
    }

    /// How many events from the front fit into one batch.
    fn fitting(&self) -> usize {
        let max_bytes = self.limits.max_bytes.get();
        if self.held.len() <= self.limits.max_events.get() && self.bytes < max_bytes {
            return self.held.len();
        }
        let mut bytes = 1;
        let fits = |delivery: &&Delivery| {
            bytes += self.size(delivery);
            bytes <= max_bytes
        };
        let fitting = self.held.iter().take(self.limits.max_events.get()).take_while(fits).count();
        fitting.max(usize::from(!self.held.is_empty()))
    }

    fn is_full(&self) -> bool {
        self.held.len() >= self.limits.max_events.get() || self.bytes >= self.limits.max_bytes.get()
    }

    fn cut(&mut self) -> Vec<Delivery> {
        let count = self.fitting();
        self.left += count;
        let batch = if count == self.held.len() {
            self.bytes = 0;
            std::mem::take(&mut self.held).into()
        } else {
            let batch: Vec<Delivery> = self.held.drain(..count).collect();
            self.bytes -= self.sum(&batch);
            batch
        };
        self.forget_times();
        batch
    }

    fn forget_times(&mut self) {
        while self.came.get(1).is_some_and(|(first, _)| *first <= self.left) {
            self.came.pop_front();
        }
        if self.held.is_empty() {
            self.came.clear();
        }
    }
}

impl Batcher for SizeBatcher {
    fn push(&mut self, now: Instant, delivery: Delivery) {
        self.bytes += self.size(&delivery);
        self.note_time(now);
        self.held.push_back(delivery);
    }

    fn extend(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        self.bytes += self.sum(deliveries);
        self.note_time(now);
        if self.held.is_empty() {
            self.held = std::mem::take(deliveries).into();
        } else {
            self.held.extend(deliveries.drain(..));
        }
    }

    fn ready(&mut self, now: Instant) -> Option<Vec<Delivery>> {
        let due = self.is_full() || self.deadline().is_some_and(|deadline| deadline <= now);
        due.then(|| self.cut())
    }

    fn deadline(&self) -> Option<Instant> {
        // An age too long for the clock never comes.
        self.came.front().and_then(|(_, came)| came.checked_add(self.limits.max_age.0))
    }

    fn drain(&mut self) -> Option<Vec<Delivery>> {
        (!self.held.is_empty()).then(|| self.cut())
    }

    fn wanted(&self) -> usize {
        if self.bytes >= self.limits.max_bytes.get() {
            0
        } else {
            self.limits.max_events.get().saturating_sub(self.held.len())
        }
    }
}

/// Names a frozen batch: the same over all its attempts. A UUID, and behind it `_0` or `_1` for each
/// time it was split.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId(String);

impl BatchId {
    /// A hash (UUIDv5) of log, hook and positions.
    pub(crate) fn new(log: Uuid, hook: &HookId, deliveries: &[Delivery]) -> Self {
        let mut name = Vec::with_capacity(hook.as_str().len() + 32);
        name.extend_from_slice(hook.as_str().as_bytes());
        for run in deliveries.chunk_by(|a, b| a.position.0 + 1 == b.position.0) {
            name.extend_from_slice(&run[0].position.0.to_be_bytes());
            name.extend_from_slice(&(run.len() as u64).to_be_bytes());
        }
        Self(Uuid::new_v5(&log, &name).to_string())
    }

    fn half(&self, half: u8) -> Self {
        Self(format!("{}_{half}", self.0))
    }

    /// The name; holds no `.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Events that travel together, frozen: the same events, bytes and id at every attempt. Cloning costs little.
#[derive(Debug, Clone)]
pub struct Batch {
    id: BatchId,
    deliveries: Arc<Vec<Delivery>>,
    metadata: Arc<Metadata>,
}

impl Batch {
    pub(crate) fn new(id: BatchId, deliveries: Vec<Delivery>, metadata: Arc<Metadata>) -> Self {
        Self { id, deliveries: Arc::new(deliveries), metadata }
    }

    /// A batch for trying out a sink, outside any log.
    pub fn for_test(events: Vec<Envelope>) -> Self {
        let deliveries =
            events.into_iter().zip(0..).map(|(envelope, at)| Delivery { position: Position(at), envelope }).collect();
        Self::new(BatchId(Uuid::now_v7().to_string()), deliveries, Arc::default())
    }

    /// The same batch with other metadata.
    pub(crate) fn with_metadata(self, metadata: Arc<Metadata>) -> Self {
        Self { metadata, ..self }
    }

    /// Its name, the same over all attempts.
    pub fn id(&self) -> &BatchId {
        &self.id
    }

    /// Number of events, at least one.
    #[allow(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// The events, oldest first.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &Envelope> {
        self.deliveries.iter().map(|delivery| &delivery.envelope)
    }

    /// The JSON of each event as it is to be delivered: one line each, the hook's metadata applied.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = Cow<'_, str>> {
        self.deliveries.iter().map(|delivery| self.metadata.apply(&delivery.envelope))
    }

    /// All [`lines`](Self::lines), a line feed behind each, in few pieces: events that were published
    /// together stand side by side in memory.
    ///
    /// ```
    /// use hooks_core::{Batch, SliceBuilder};
    ///
    /// let mut slice = SliceBuilder::new("/s");
    /// for id in ["1", "2"] {
    ///     slice.push_json(format!(r#"{{"type":"a","id":"{id}"}}"#).as_bytes())?;
    /// }
    /// let batch = Batch::for_test(slice.finish());
    /// assert_eq!(batch.text().count(), 1);
    /// let lines: String = batch.lines().map(|line| format!("{line}\n")).collect();
    /// assert_eq!(batch.text().collect::<String>(), lines);
    /// # Ok::<(), hooks_core::EnvelopeError>(())
    /// ```
    pub fn text(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let as_they_are = self.metadata.is_empty();
        let runs = self.deliveries.chunk_by(move |a, b| as_they_are && a.envelope.is_before(&b.envelope));
        runs.map(move |run| {
            let (first, last) = (&run[0].envelope, &run[run.len() - 1].envelope);
            if as_they_are {
                Cow::Borrowed(first.lines_to(last))
            } else {
                Cow::Owned(self.metadata.apply(first).into_owned() + "\n")
            }
        })
    }

    /// Upper bound for the length of all [`lines`](Self::lines) with one byte behind each.
    pub fn max_bytes(&self) -> usize {
        let events: usize = self.deliveries.iter().map(|delivery| delivery.envelope.len() + 1).sum();
        events + self.deliveries.len() * self.metadata.most_added()
    }

    /// How many events from the front stay within `max_bytes`; at least one.
    pub(crate) fn fitting(&self, max_bytes: usize) -> usize {
        let added = self.metadata.most_added();
        let mut bytes = 1;
        let fits = |delivery: &&Delivery| {
            bytes += delivery.envelope.len() + added + 1;
            bytes <= max_bytes
        };
        self.deliveries.iter().take_while(fits).count().max(1)
    }

    /// The events but for these, and each of these alone. `refused` is sorted by index.
    pub(crate) fn without<T>(mut self, refused: &[(usize, T)]) -> (Self, Vec<Self>) {
        let alone = |delivery| Self::new(self.id.clone(), vec![delivery], self.metadata.clone());
        let deliveries = Arc::make_mut(&mut self.deliveries);
        let mut taken: Vec<Self> = refused.iter().rev().map(|(index, _)| alone(deliveries.remove(*index))).collect();
        taken.reverse();
        (self, taken)
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        self.deliveries.iter().map(|delivery| delivery.position).collect()
    }

    pub(crate) fn into_deliveries(self) -> Vec<Delivery> {
        Arc::unwrap_or_clone(self.deliveries)
    }

    /// Two batches with ids derived from this one: the first `at` events, and the others.
    pub(crate) fn split_at(self, at: usize) -> (Self, Self) {
        let mut left = Arc::unwrap_or_clone(self.deliveries);
        let right = left.split_off(at);
        let half = |half, deliveries| Self::new(self.id.half(half), deliveries, self.metadata.clone());
        (half(0, left), half(1, right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delivery(position: u64, length: usize) -> Delivery {
        let json = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-11-23T10:00:00Z","data":"{}"}}"#,
            "x".repeat(length)
        );
        Delivery { position: Position(position), envelope: Envelope::from_json(json.as_bytes()).unwrap() }
    }

    fn limits(max_events: usize, max_bytes: u64, max_age: u64) -> BatchLimits {
        BatchLimits {
            max_events: NonZeroUsize::new(max_events).unwrap(),
            max_bytes: Bytes(max_bytes),
            max_age: Span(Duration::from_millis(max_age)),
        }
    }

    proptest! {
        /// Against the plain rules: everything once, in order, within the limits, and a batch that
        /// is not full leaves only because of its age.
        #[test]
        fn batches_follow_the_rules(
            max_events in 1usize..6,
            max_bytes in 1u64..600,
            max_age in 0u64..30,
            steps in prop::collection::vec((0u64..20, prop::collection::vec(0usize..200, 0..4)), 1..60),
        ) {
            let limits = limits(max_events, max_bytes, max_age);
            let mut batcher = SizeBatcher::new(limits, 0);
            let mut now = Instant::now();
            let mut pushed: Vec<(Instant, u64)> = Vec::new();
            let mut out: Vec<u64> = Vec::new();
            for (wait, push) in steps {
                now += Duration::from_millis(wait);
                let first = pushed.len() as u64;
                let mut came: Vec<_> =
                    (first..).zip(push).map(|(number, length)| delivery(number, length)).collect();
                pushed.extend(came.iter().map(|delivery| (now, delivery.position.0)));
                match came.len() {
                    1 => came.drain(..).for_each(|delivery| batcher.push(now, delivery)),
                    _ => batcher.extend(now, &mut came),
                }
                prop_assert!(came.is_empty());
                while let Some(batch) = batcher.ready(now) {
                    let bytes = 1 + batch.iter().map(|delivery| delivery.envelope.len() + 1).sum::<usize>();
                    prop_assert!(batch.len() <= max_events && (batch.len() == 1 || bytes as u64 <= max_bytes));
                    let waiting = pushed.len() - out.len() - batch.len();
                    let full = batch.len() == max_events || waiting > 0 || bytes as u64 >= max_bytes;
                    prop_assert!(full || now >= pushed[out.len()].0 + limits.max_age.0);
                    out.extend(batch.iter().map(|delivery| delivery.position.0));
                }
                if let Some((first, _)) = pushed.get(out.len()) {
                    prop_assert!(now < *first + limits.max_age.0, "an event stayed beyond its age");
                    prop_assert_eq!(batcher.deadline(), Some(*first + limits.max_age.0));
                }
            }
            while let Some(batch) = batcher.drain() {
                out.extend(batch.iter().map(|delivery| delivery.position.0));
            }
            prop_assert_eq!(out, (0..pushed.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(batcher.bytes, 0);
        }
    }

    #[test]
    fn the_text_is_the_lines_whatever_stands_between_them_in_memory() {
        let slice = |ids: &[&str]| {
            let mut slice = crate::SliceBuilder::new("/s");
            ids.iter().for_each(|id| slice.push_json(format!(r#"{{"type":"a","id":"{id}"}}"#).as_bytes()).unwrap());
            slice.finish()
        };
        let escaped = slice(&["1", r"\u0041", r"\u0042", "2", "3"]);
        let events = [slice(&["4", "5", "6"]), escaped, slice(&["7"])].concat();
        for left_out in 0..events.len() {
            let mut events = events.clone();
            events.remove(left_out);
            let batch = Batch::for_test(events);
            let metadata = Arc::new(Metadata::new([("env", "prod".into())]).unwrap());
            for batch in [batch.clone(), batch.with_metadata(metadata)] {
                let lines: String = batch.lines().map(|line| format!("{line}\n")).collect();
                assert_eq!(batch.text().collect::<String>(), lines);
            }
        }
    }

    #[test]
    fn ids_depend_on_log_hook_and_positions() {
        let hook = HookId::new("a").unwrap();
        let id = |log, hook: &HookId, positions: &[u64]| {
            BatchId::new(log, hook, &positions.iter().map(|at| delivery(*at, 0)).collect::<Vec<_>>())
        };
        let base = id(Uuid::nil(), &hook, &[1, 2, 5]);
        assert_eq!(base, id(Uuid::nil(), &hook, &[1, 2, 5]));
        assert_ne!(base, id(Uuid::max(), &hook, &[1, 2, 5]));
        assert_ne!(base, id(Uuid::nil(), &HookId::new("b").unwrap(), &[1, 2, 5]));
        assert_ne!(base, id(Uuid::nil(), &hook, &[1, 2, 4, 5]));
        assert!(!base.as_str().contains('.'));
    }
}
