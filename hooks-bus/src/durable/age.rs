//! The age of events, correct when the clock is set.
//!
//! Files of the log have the time when they were begun, by the clock of that moment. While the process runs, a second
//! clock that can't be set shows when the first one jumps. The bus then moves the files' times along and stores them,
//! so that their age stays the same.

use std::path::Path;
use std::time::Duration;

use hooks_core::HumanDuration;
use parking_lot::Mutex;

use super::inner::Inner;
use super::log::Log;

/// Seconds by which the clocks may differ because they are not read at the same moment.
const TOLERANCE: u64 = 2;

/// Seconds by which the clock is ahead of the one that can't be set.
#[derive(Debug)]
pub(crate) struct Ahead(Mutex<i64>);

impl Ahead {
    pub(crate) fn new(clock: u64, steady: u64) -> Self {
        Self(Mutex::new(difference(clock, steady)))
    }

    /// Seconds by which the clock was set since the last call.
    fn jumped(&self, clock: u64, steady: u64) -> Option<i64> {
        let mut ahead = self.0.lock();
        let jump = difference(clock, steady) - *ahead;
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

impl Inner {
    /// The time in seconds since 1970. Moves the times of files along if the clock was set.
    pub(crate) fn now(&self) -> u64 {
        let clock = (self.tuning.clock)();
        if let Some(jump) = self.ahead.jumped(clock, (self.tuning.steady)()) {
            self.log.move_along(jump, clock);
            self.save_begun();
            let by = HumanDuration(Duration::from_secs(jump.unsigned_abs()));
            let way = if jump > 0 { "forward" } else { "back" };
            tracing::warn!(dir = %self.dir.display(), %by, "the clock was set {way}: the age of events stays the same");
        }
        clock
    }

    /// Stores the times when files were begun, because they differ from the headers.
    pub(crate) fn save_begun(&self) {
        if let Err(error) = self.store.set_begun(&self.log.begun()) {
            tracing::error!(dir = %self.dir.display(), %error, "can't store the age of events: after a restart they count as too old or too new, by as much as the clock was set");
        }
    }
}

/// Sets the time of files that were begun in the future to now. Returns whether there were any.
pub(crate) fn check_future(log: &Log, dir: &Path, now: u64) -> bool {
    let ahead = log.parts().iter().filter_map(|part| part.segment.begun()).max().unwrap_or(0).saturating_sub(now);
    if ahead > 0 {
        log.move_along(0, now);
        let by = HumanDuration(Duration::from_secs(ahead));
        tracing::warn!(dir = %dir.display(), %by, "the clock was set back while no process had the log: its newest events count as new");
    }
    ahead > 0
}
