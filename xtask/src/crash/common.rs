//! What each kind of run needs: numbers, chance and time.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Numbers that one life has for its events.
pub(super) const NUMBERS: u64 = 10_000_000;

/// The longest time that a step may take before it counts as stuck.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Since 1970. It never goes back.
pub(super) fn clock() -> Duration {
    static START: LazyLock<(Duration, Instant)> =
        LazyLock::new(|| (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), Instant::now()));
    START.0 + START.1.elapsed()
}

/// Xorshift (Marsaglia, 2003): a seed repeats a run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
