//! Cuts events into batches.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bus::Delivery;
use crate::human::{ByteSize, HumanDuration};
use crate::setters::setters;

/// Limits of a batch. It leaves when it reaches the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchLimits {
    /// Most events.
    pub max_events: NonZeroUsize,
    /// Most bytes, counting each event and one byte between events. One event alone may be larger.
    pub max_bytes: ByteSize,
    /// Longest wait of the first event for others. `"0s"`: the events that are queued right now leave at once.
    pub max_age: HumanDuration,
}

impl Default for BatchLimits {
    /// 100 events, 1 MiB, 1 s.
    fn default() -> Self {
        Self {
            max_events: NonZeroUsize::MIN.saturating_add(99),
            max_bytes: ByteSize::new(1 << 20),
            max_age: HumanDuration::new(Duration::from_secs(1)),
        }
    }
}

setters!(BatchLimits { max_events: NonZeroUsize, max_bytes: ByteSize, max_age: HumanDuration });

impl BatchLimits {
    /// Limits without a wait: all events that are queued right now leave together, up to 4,096 events or 1 MiB.
    pub fn immediate() -> Self {
        Self {
            max_events: NonZeroUsize::MIN.saturating_add(4_095),
            max_age: HumanDuration::new(Duration::ZERO),
            ..Self::default()
        }
    }
}

/// Cuts events into batches. Has no clock and no timer: time is a parameter.
///
/// Every event that was pushed comes out exactly once, in the order it went in.
///
/// ```
/// use std::time::Instant;
/// use hooks_core::{bus::Delivery, sink::Batcher};
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

    /// Returns the next batch if one is due. Called again until there is none.
    fn ready(&mut self, now: Instant) -> Option<Vec<Delivery>>;

    /// The time when the next batch is due even if nothing more is pushed.
    fn deadline(&self) -> Option<Instant>;

    /// Returns the next batch, due or not. Called again until there is none.
    fn drain(&mut self) -> Option<Vec<Delivery>>;

    /// Number of further events that the next batch can use. The rest stays on the bus.
    fn wanted(&self) -> usize;
}

/// The built-in [`Batcher`]: by count, bytes and age. With an age of zero it is the immediate one.
#[derive(Debug)]
pub struct SizeBatcher {
    limits: BatchLimits,
    overhead: usize,
    held: VecDeque<Delivery>,
    /// Arrival times of the events in `held`: the number of the first event of a time, and the time.
    arrivals: VecDeque<(usize, Instant)>,
    /// Number of events that have left, so the number of the first event in `held`.
    left: usize,
    bytes: usize,
}

impl SizeBatcher {
    /// A batcher with these limits. `overhead` is the number of bytes that delivery adds to each event.
    pub fn new(limits: BatchLimits, overhead: usize) -> Self {
        Self { limits, overhead, held: VecDeque::new(), arrivals: VecDeque::new(), left: 0, bytes: 0 }
    }

    fn size(&self, delivery: &Delivery) -> usize {
        delivery.envelope().len() + self.overhead + 1
    }

    fn sum(&self, deliveries: &[Delivery]) -> usize {
        deliveries.iter().map(|delivery| self.size(delivery)).sum()
    }

    /// Records that events arrive now.
    fn record_time(&mut self, now: Instant) {
        if self.arrivals.back().is_none_or(|(_, came)| *came != now) {
            self.arrivals.push_back((self.left + self.held.len(), now));
        }
    }

    /// Number of events from the front that fit into one batch.
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
        while self.arrivals.get(1).is_some_and(|(first, _)| *first <= self.left) {
            self.arrivals.pop_front();
        }
        if self.held.is_empty() {
            self.arrivals.clear();
        }
    }
}

impl Batcher for SizeBatcher {
    fn push(&mut self, now: Instant, delivery: Delivery) {
        self.bytes += self.size(&delivery);
        self.record_time(now);
        self.held.push_back(delivery);
    }

    fn extend(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        self.bytes += self.sum(deliveries);
        self.record_time(now);
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
        self.arrivals.front().and_then(|(_, came)| came.checked_add(self.limits.max_age.get()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Position;
    use crate::envelope::Envelope;
    use proptest::prelude::*;

    fn delivery(position: u64, length: usize) -> Delivery {
        let json = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-11-23T10:00:00Z","data":"{}"}}"#,
            "x".repeat(length)
        );
        Delivery::new(Position::new(position), &Envelope::from_json(json.as_bytes()).unwrap().into(), 0)
    }

    fn limits(max_events: usize, max_bytes: u64, max_age: u64) -> BatchLimits {
        BatchLimits {
            max_events: NonZeroUsize::new(max_events).unwrap(),
            max_bytes: ByteSize::new(max_bytes),
            max_age: HumanDuration::new(Duration::from_millis(max_age)),
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
                pushed.extend(came.iter().map(|delivery| (now, delivery.position.get())));
                match came.len() {
                    1 => came.drain(..).for_each(|delivery| batcher.push(now, delivery)),
                    _ => batcher.extend(now, &mut came),
                }
                prop_assert!(came.is_empty());
                while let Some(batch) = batcher.ready(now) {
                    let bytes = 1 + batch.iter().map(|delivery| delivery.envelope().len() + 1).sum::<usize>();
                    prop_assert!(batch.len() <= max_events && (batch.len() == 1 || bytes as u64 <= max_bytes));
                    let waiting = pushed.len() - out.len() - batch.len();
                    let full = batch.len() == max_events || waiting > 0 || bytes as u64 >= max_bytes;
                    prop_assert!(full || now >= pushed[out.len()].0 + limits.max_age.get());
                    out.extend(batch.iter().map(|delivery| delivery.position.get()));
                }
                if let Some((first, _)) = pushed.get(out.len()) {
                    prop_assert!(now < *first + limits.max_age.get(), "an event stayed beyond its age");
                    prop_assert_eq!(batcher.deadline(), Some(*first + limits.max_age.get()));
                }
            }
            while let Some(batch) = batcher.drain() {
                out.extend(batch.iter().map(|delivery| delivery.position.get()));
            }
            prop_assert_eq!(out, (0..pushed.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(batcher.bytes, 0);
        }
    }
}
