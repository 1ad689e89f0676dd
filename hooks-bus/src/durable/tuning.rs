//! Settings of the bus that tests replace.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

// tidy-allow(bus-io): a clock, no file
use rustix::time::{ClockId, clock_gettime};

/// Settings that tests replace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) pace: Pace,
    /// The time of day, in seconds since 1970.
    pub(crate) clock: fn() -> u64,
    /// A clock that can't be set, in seconds since some moment.
    pub(crate) steady: fn() -> u64,
}

/// The times between commits of positions, and between searches for what is old.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// For gathering changes.
    pub(crate) gather: Duration,
    /// Where a hook has settled its first batch since the start: a process that is killed again and again gets on.
    pub(crate) first: Duration,
    /// To the next search for segments older than `max_age` or `retain`, where nothing is committed.
    pub(crate) expiry: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        // With the time that a commit takes, positions are safe within 100 ms.
        let (gather, first) = (Duration::from_millis(80), Duration::from_millis(5));
        let pace = Pace { gather, first, expiry: Duration::from_secs(1) };
        Self { pace, clock: now, steady }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds of a clock that can't be set. It runs while the machine sleeps, where the system has such a clock.
fn steady() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    u64::try_from(clock_gettime(CLOCK).tv_sec).unwrap_or(0)
}
