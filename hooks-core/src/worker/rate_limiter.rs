//! Limits the rate of a hook's attempts and events. Has no clock.
//!
//! Each limit is a generic cell rate algorithm (ITU-T I.371): one instant says when all that was spent
//! would have been allowed at the steady rate. It may run ahead of the clock by the burst.

use std::time::{Duration, Instant};

use crate::human::Rate;
use crate::policy::RateLimit;

/// Most hooks have no limit, and take no memory for one.
#[derive(Debug, Default, Clone)]
pub(crate) struct RateLimiter(Option<Box<Limits>>);

#[derive(Debug, Default, Clone)]
struct Limits {
    requests: Option<Limit>,
    events: Option<Limit>,
    /// As many requests as the receiver allows.
    allowed: Option<(Rate, Limit)>,
}

#[derive(Debug, Clone)]
struct Limit {
    interval: Duration,
    burst: u32,
    /// The time when everything spent so far is allowed at the steady rate.
    paid_at: Option<Instant>,
}

impl RateLimiter {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        let Some(RateLimit { requests, events, burst }) = limit else { return Self::default() };
        let limit = |rate: Rate| Limit::new(rate, burst.unwrap_or(rate.in_a_second()).get());
        let limits = Limits { requests: requests.map(limit), events: events.map(limit), allowed: None };
        Self(Some(Box::new(limits)))
    }

    /// Takes over the spending under other settings.
    pub(crate) fn continue_from(&mut self, before: &Self) {
        let (Some(now), Some(before)) = (&mut self.0, &before.0) else { return };
        for (now, before) in [(&mut now.requests, &before.requests), (&mut now.events, &before.events)] {
            if let (Some(now), Some(before)) = (now, before) {
                now.paid_at = before.paid_at;
            }
        }
    }

    /// Takes what the receiver allows, after an attempt that began at `spent`.
    pub(crate) fn allow(&mut self, allowed: Option<Rate>, spent: Instant) {
        if self.0.is_none() && allowed.is_none() {
            return;
        }
        let limits = self.0.get_or_insert_default();
        if allowed != limits.allowed.as_ref().map(|(rate, _)| *rate) {
            limits.allowed = allowed.map(|rate| (rate, Limit::new(rate, rate.in_a_second().get())));
            limits.allowed.iter_mut().for_each(|(_, limit)| limit.spend(spent, 1));
        }
    }

    /// The time when an attempt with this many events may begin; `None`: at once.
    pub(crate) fn not_before(&self, now: Instant, events: usize) -> Option<Instant> {
        let limits = self.0.as_deref()?;
        let requests = limits.requests.as_ref().and_then(|limit| limit.not_before(1));
        let events = limits.events.as_ref().and_then(|limit| limit.not_before(count(events)));
        let allowed = limits.allowed.as_ref().and_then(|(_, limit)| limit.not_before(1));
        requests.max(events).max(allowed).filter(|at| *at > now)
    }

    /// Counts an attempt with this many events that begins now.
    pub(crate) fn spend(&mut self, now: Instant, events: usize) {
        let Some(limits) = self.0.as_deref_mut() else { return };
        if let Some(limit) = &mut limits.requests {
            limit.spend(now, 1);
        }
        if let Some((_, limit)) = &mut limits.allowed {
            limit.spend(now, 1);
        }
        if let Some(limit) = &mut limits.events {
            limit.spend(now, count(events));
        }
    }
}

fn count(events: usize) -> u32 {
    u32::try_from(events).unwrap_or(u32::MAX)
}

impl Limit {
    fn new(rate: Rate, burst: u32) -> Self {
        Self { interval: rate.interval(), burst, paid_at: None }
    }

    fn not_before(&self, count: u32) -> Option<Instant> {
        let ahead = self.interval.saturating_mul(self.burst.saturating_sub(count));
        self.paid_at.and_then(|paid| paid.checked_sub(ahead))
    }

    fn spend(&mut self, now: Instant, count: u32) {
        let paid = self.paid_at.map_or(now, |paid| paid.max(now));
        self.paid_at = paid.checked_add(self.interval.saturating_mul(count)).or(self.paid_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate_limiter(requests: Option<&str>, events: Option<&str>, burst: Option<u32>) -> RateLimiter {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        let burst = burst.and_then(std::num::NonZeroU32::new);
        RateLimiter::new(Some(RateLimit { requests: requests.map(rate), events: events.map(rate), burst }))
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let now = Instant::now();
        let mut rate_limiter = RateLimiter::new(None);
        rate_limiter.spend(now, 1_000_000);
        assert_eq!(rate_limiter.not_before(now, 1_000_000), None);
    }

    #[test]
    fn a_burst_then_the_steady_rate() {
        let start = Instant::now();
        let mut rate_limiter = rate_limiter(Some("10/s"), None, Some(3));
        for _ in 0..3 {
            assert_eq!(rate_limiter.not_before(start, 1), None);
            rate_limiter.spend(start, 1);
        }
        assert_eq!(rate_limiter.not_before(start, 1), Some(start + Duration::from_millis(100)));
    }

    #[test]
    fn what_the_receiver_allows_counts_from_the_attempt_that_told() {
        let start = Instant::now();
        let rate = |text: &str| text.parse::<Rate>().ok();
        let mut rate_limiter = rate_limiter(Some("1000/s"), None, None);
        rate_limiter.spend(start, 1);
        rate_limiter.allow(rate("60/m"), start);
        assert_eq!(rate_limiter.not_before(start, 1), Some(start + Duration::from_secs(1)));
        rate_limiter.spend(start + Duration::from_secs(1), 1);
        rate_limiter.allow(rate("60/m"), start + Duration::from_secs(1));
        assert_eq!(rate_limiter.not_before(start, 1), Some(start + Duration::from_secs(2)), "the same rate goes on");
        rate_limiter.allow(None, start);
        assert_eq!(rate_limiter.not_before(start + Duration::from_secs(1), 1), None);
    }

    #[test]
    fn a_batch_beyond_the_burst_waits_until_all_is_paid() {
        let start = Instant::now();
        let mut rate_limiter = rate_limiter(None, Some("100/s"), Some(10));
        assert_eq!(rate_limiter.not_before(start, 50), None);
        rate_limiter.spend(start, 50);
        assert_eq!(rate_limiter.not_before(start, 50), Some(start + Duration::from_millis(500)));
        assert_eq!(rate_limiter.not_before(start, 1), Some(start + Duration::from_millis(410)));
    }

    proptest! {
        /// Over any stretch no more is spent than the rate allows, but for one burst (or one batch
        /// that is larger).
        #[test]
        fn never_faster_than_the_rate(
            burst in 1u32..20,
            steps in prop::collection::vec((0u64..200, 1usize..30), 1..60),
        ) {
            let mut rate_limiter = rate_limiter(None, Some("100/s"), Some(burst));
            let mut now = Instant::now();
            let mut spent: Vec<(Instant, usize)> = Vec::new();
            for (wait, events) in steps {
                now += Duration::from_millis(wait);
                if let Some(at) = rate_limiter.not_before(now, events) {
                    now = at;
                }
                prop_assert_eq!(rate_limiter.not_before(now, events), None);
                rate_limiter.spend(now, events);
                spent.push((now, events));
            }
            for (index, (begin, _)) in spent.iter().enumerate() {
                for end in index..spent.len() {
                    let events: usize = spent[index..=end].iter().map(|(_, events)| events).sum();
                    let allowed = (spent[end].0 - *begin).as_secs_f64() * 100.0;
                    let largest = spent[index..=end].iter().map(|(_, events)| *events).max().unwrap_or(0);
                    prop_assert!(events as f64 <= allowed + f64::from(burst) + largest as f64 + 1e-6);
                }
            }
        }
    }
}
