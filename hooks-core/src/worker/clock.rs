//! The clock of the drivers, which tests can pause.

use std::time::Instant;

/// The time of tokio's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
