//! The clock of the drivers, which tests can pause.

use std::time::{Instant, SystemTime};

/// The time of tokio's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time of day at this moment of the clock, about. `None`: no time of day tells it.
pub(crate) fn time_of(moment: Instant) -> Option<SystemTime> {
    SystemTime::now().checked_sub(now().saturating_duration_since(moment))
}
