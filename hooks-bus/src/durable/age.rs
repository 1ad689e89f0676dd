//! The age of events, correct when the clock is set.
//!
//! Files of the log have the time when they were begun, by the clock of that moment. While the process runs, a second
//! clock that can't be set shows when the first one jumps. The bus then moves the files' times along and stores them,
//! so that their age stays the same.

use std::path::Path;
use std::time::Duration;

use hooks_core::HumanDuration;
use parking_lot::Mutex;

use super::log::Log;
use super::tuning::Tuning;

/// Seconds by which the clocks may differ because they are not read at the same moment.
const TOLERANCE: u64 = 2;

/// The time of day, and a clock that shows when somebody sets it.
#[derive(Debug)]
pub(crate) struct Clock {
    clock: fn() -> u64,
    steady: fn() -> u64,
    /// Seconds by which the time of day is ahead of the clock that can't be set.
    ahead: Mutex<i64>,
}

impl Clock {
    pub(crate) fn new(tuning: Tuning) -> Self {
        let Tuning { clock, steady, .. } = tuning;
        Self { clock, steady, ahead: Mutex::new(difference(clock(), steady())) }
    }

    /// The time of day, in seconds since 1970.
    pub(crate) fn time(&self) -> u64 {
        (self.clock)()
    }

    /// The time of the clock that can't be set, in seconds since some moment.
    pub(crate) fn steady(&self) -> u64 {
        (self.steady)()
    }

    /// Seconds by which the clock, which shows this time, was set since the last call.
    pub(crate) fn jumped(&self, time: u64) -> Option<i64> {
        let mut ahead = self.ahead.lock();
        let jump = difference(time, self.steady()) - *ahead;
        if jump.unsigned_abs() <= TOLERANCE {
            return None;
        }
        *ahead += jump;
        Some(jump)
    }
}

fn difference(clock: u64, steady: u64) -> i64 {
    clock.cast_signed().saturating_sub(steady.cast_signed())
}

/// Sets the time of files that were begun in the future to now. Returns whether there were any.
pub(crate) fn check_future(log: &Log, dir: &Path, now: u64) -> bool {
    let ahead = log.parts().iter().filter_map(|part| part.segment.begun()).max().unwrap_or(0).saturating_sub(now);
    if ahead > 0 {
        log.move_along(0, now);
        let by = HumanDuration::new(Duration::from_secs(ahead));
        tracing::warn!(dir = %dir.display(), %by, "the clock was set back while no process had the log: its newest events count as new");
    }
    ahead > 0
}
