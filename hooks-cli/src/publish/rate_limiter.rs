//! The times at which requests are sent: not faster than asked for, and later after a failure.

use std::time::Duration;

use tokio::time::Instant;

/// Spreads events evenly over time.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// Events a second.
    rate: f64,
    next: Instant,
}

impl RateLimiter {
    /// Starts to count now.
    pub(crate) fn new(rate: f64, now: Instant) -> Self {
        Self { rate, next: now }
    }

    /// Most events of one request, so that they don't come in bursts: a tenth of a second's worth.
    pub(crate) fn max_events(rate: f64) -> usize {
        (rate / 10.0).max(1.0) as usize
    }

    /// The time at which the next request may go.
    pub(crate) fn due(&self) -> Instant {
        self.next
    }

    /// Counts events that were sent.
    pub(crate) fn sent(&mut self, now: Instant, events: usize) {
        // What was not used is not made up for.
        self.next = self.next.max(now) + Duration::from_secs_f64(events as f64 / self.rate);
    }
}

/// Waits that double, of which a random part is taken (full jitter).
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

impl Backoff {
    /// The wait after one more failure. `chance` is in 0..1; the server may have asked for more.
    pub(crate) fn wait(&mut self, chance: f64, asked: Option<Duration>) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        most.mul_f64(chance).max(asked.unwrap_or_default())
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.wait(1.0, None).as_millis()).collect();
        assert_eq!(waits[..4], [200, 400, 800, 1_600]);
        assert_eq!(waits[9], 30_000);
        assert_eq!(backoff.wait(0.5, Some(Duration::from_secs(60))), Duration::from_secs(60));
        backoff.succeeded();
        assert_eq!(backoff.wait(0.5, Some(Duration::ZERO)).as_millis(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_the_one_asked_for() {
        let start = Instant::now();
        let mut rate_limiter = RateLimiter::new(100.0, start);
        for _ in 0..20 {
            tokio::time::sleep_until(rate_limiter.due()).await;
            rate_limiter.sent(Instant::now(), RateLimiter::max_events(100.0));
        }
        assert_eq!((rate_limiter.due() - start).as_millis(), 2_000, "20 requests of 10 events");
        tokio::time::advance(Duration::from_secs(60)).await;
        rate_limiter.sent(Instant::now(), 10);
        assert!(rate_limiter.due() > Instant::now(), "a pause is not made up for by a burst");
        assert_eq!([0.1, 9.0, 1e6].map(RateLimiter::max_events), [1, 1, 100_000]);
    }
}
