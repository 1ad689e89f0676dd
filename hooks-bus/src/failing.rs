//! The time since when a receiver has accepted nothing, as a bus keeps it: seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) fn seconds(since: SystemTime) -> u64 {
    since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A time beyond what the clock has is its beginning: it can only come from elsewhere.
pub(crate) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}
