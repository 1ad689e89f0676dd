//! The wait before a lost connection is tried again.

use std::time::Duration;

/// The longest wait.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// Doubles up to its bound; a random half of it, so that instances don't come back all at once.
pub(crate) fn reconnect_delay(attempts: usize) -> Duration {
    let exponent = attempts.saturating_sub(1).min(5) as u32;
    let longest = (Duration::from_millis(100) * 2_u32.pow(exponent)).min(MAX_RECONNECT_DELAY);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
