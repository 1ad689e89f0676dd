//! Counts of attempts and batches, for metrics.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::batch::Batch;
use crate::delivery::FailureClass;

/// Counts of observations up to each of some bounds, and the sum of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: the last is above all of them.
    counts: Box<[u64]>,
    sum: f64,
}

impl Histogram {
    /// A histogram without observations. `bounds` have to rise.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1].into(), sum: 0.0 }
    }

    /// Adds one observation.
    pub fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// Each bound, and how many observations were at most that; the last bound is infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all observations.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// Seconds of an attempt.
const DURATIONS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Attempts of one hook since the process started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptStats {
    delivered: u64,
    #[serde(serialize_with = "by_class")]
    failed: [u64; FailureClass::ALL.len()],
    /// Answers that said "delivered" and were odd otherwise.
    pub odd_answers: u64,
    /// Seconds that attempts took, of any outcome.
    pub durations: Histogram,
}

/// An object with the name of each class.
fn by_class<S: Serializer>(failed: &[u64; FailureClass::ALL.len()], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(FailureClass::ALL.iter().map(|class| (class.name(), failed[*class as usize])))
}

impl Default for AttemptStats {
    fn default() -> Self {
        Self { delivered: 0, failed: Default::default(), odd_answers: 0, durations: Histogram::new(DURATIONS) }
    }
}

impl AttemptStats {
    /// Number of attempts with this outcome; `None`: delivered.
    pub fn ended(&self, outcome: Option<FailureClass>) -> u64 {
        outcome.map_or(self.delivered, |class| self.failed[class as usize])
    }

    /// Number of attempts of any outcome.
    pub fn total(&self) -> u64 {
        self.delivered + self.failed.iter().sum::<u64>()
    }

    pub(crate) fn count(&mut self, outcome: Option<FailureClass>, took: Duration) {
        match outcome {
            None => self.delivered += 1,
            Some(class) => self.failed[class as usize] += 1,
        }
        self.durations.observe(took.as_secs_f64());
    }
}

/// Events of a batch.
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0];

/// Bytes of a batch: 1 KiB to 16 MiB.
const BYTES: &[f64] = &[1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// Batches of all hooks, one entry for each attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchStats {
    /// Events in a batch.
    pub events: Histogram,
    /// Bytes of their JSON.
    pub bytes: Histogram,
}

impl Default for BatchStats {
    fn default() -> Self {
        Self { events: Histogram::new(EVENTS), bytes: Histogram::new(BYTES) }
    }
}

impl BatchStats {
    pub(crate) fn count(&mut self, batch: &Batch) {
        self.events.observe(batch.len() as f64);
        self.bytes.observe(batch.max_bytes() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_bounds_belong_to_them() {
        let mut histogram = Histogram::new(&[1.0, 10.0]);
        [0.5, 1.0, 2.0, 10.0, 11.0].into_iter().for_each(|value| histogram.observe(value));
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(1.0, 2), (10.0, 4), (f64::INFINITY, 5)]);
        assert_eq!((histogram.count(), histogram.sum()), (5, 24.5));
    }

    #[test]
    fn every_outcome_is_counted_by_itself() {
        let mut stats = AttemptStats::default();
        for (times, outcome) in [None].into_iter().chain(FailureClass::ALL.iter().copied().map(Some)).enumerate() {
            (0..=times).for_each(|_| stats.count(outcome, Duration::from_millis(3)));
        }
        assert_eq!((stats.ended(None), stats.ended(Some(FailureClass::Gone))), (1, 7));
        assert_eq!((stats.total(), stats.durations.count()), (36, 36));
    }
}
