//! The health of a hook's receiver. Shared by the hook's lanes; has no clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rate_limiter::RateLimiter;
use crate::delivery::{Delivered, DeliveryError, FailureClass, Unread};
use crate::endpoint_state::EndpointState;
use crate::human::HumanDuration;
use crate::notices::Alarm;
use crate::overrides::DisabledBy;
use crate::policy::RetryPolicy;
use crate::stats::AttemptStats;

/// Number of accepted attempts before a larger batch is tried than the receiver took: at first, and at most.
const ACCEPTED_BEFORE_LARGER: (u64, u64) = (8, 4096);

/// Maximum number of requests in a row that a receiver does nothing with before they count as a failure.
const MAX_UNPROCESSED: u8 = 3;

/// Maximum number of retries of a batch because an unreadable part of its answer may name refused events.
const MAX_DOUBTS: u8 = 3;

#[derive(Debug, Default)]
pub(crate) struct EndpointHealth {
    policy: Arc<RetryPolicy>,
    state: EndpointState,
    failures: u32,
    failed_at: Option<Instant>,
    /// Earliest time of the next attempt, unless another one is answered before.
    not_before: Option<Instant>,
    /// The end of the wait that the receiver asked for.
    asked_until: Option<Instant>,
    accepted: u64,
    /// `None` before the first attempt: idle hooks are small.
    stats: Option<Box<AttemptStats>>,
    /// The rate limit of attempts and events.
    pub(crate) rate_limiter: RateLimiter,
    /// The largest batch worth trying, in bytes.
    max_bytes: usize,
    /// `accepted` when `max_bytes` last changed. `larger_after`: the further accepted attempts that raise it.
    accepted_at_change: u64,
    larger_after: u64,
    last_error: Option<String>,
    /// The first failure since an attempt was accepted.
    failing_since: Option<Instant>,
    /// The time of nothing but failures after which the hook is disabled.
    pub(crate) disable_after: Option<Duration>,
    /// True if that has happened.
    disabled_by_failures: bool,
    /// Held because dead letters can't be kept.
    blocked: bool,
    /// The receiver has named refused events.
    names_refused: bool,
    /// Requests in a row that the receiver did nothing with.
    unprocessed: u8,
    /// Refused events that all lanes together have set aside.
    pub(crate) suspects: usize,
    /// The time of nothing but failures after which that is said.
    pub(crate) warn_after: Duration,
    /// It is said.
    is_failing: bool,
    /// To be told.
    alarm: Option<Alarm>,
}

impl EndpointHealth {
    pub(crate) fn new(policy: Arc<RetryPolicy>, enabled: bool) -> Self {
        let state = if enabled { EndpointState::Healthy } else { EndpointState::Disabled };
        Self {
            policy,
            state,
            max_bytes: usize::MAX,
            larger_after: ACCEPTED_BEFORE_LARGER.0,
            warn_after: Duration::MAX,
            ..Self::default()
        }
    }

    /// Takes over counts and knowledge of the same hook under other settings.
    pub(crate) fn continue_from(&mut self, before: &Self) {
        self.stats.clone_from(&before.stats);
        self.rate_limiter.continue_from(&before.rate_limiter);
        self.names_refused = before.names_refused;
        self.is_failing = before.is_failing;
        if before.state != EndpointState::Disabled {
            self.failing_since = before.failing_since;
        }
        // Why it was disabled does not matter to one that is enabled.
        if before.state != EndpointState::Disabled || self.state == EndpointState::Disabled {
            self.last_error.clone_from(&before.last_error);
        }
    }

    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    pub(crate) fn state(&self) -> EndpointState {
        self.state
    }

    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    pub(crate) fn stats(&self) -> Option<&AttemptStats> {
        self.stats.as_deref()
    }

    /// Counts an attempt with this outcome and duration; `None`: delivered.
    pub(crate) fn count(&mut self, outcome: Option<FailureClass>, took: Duration) {
        self.stats.get_or_insert_default().count(outcome, took);
    }

    /// Learns about the receiver from an answer; returns true if it is the first odd one.
    pub(crate) fn learn(&mut self, delivered: &Delivered) -> bool {
        self.names_refused |= !delivered.refused.is_empty();
        if delivered.odd.is_none() {
            return false;
        }
        let odd = &mut self.stats.get_or_insert_default().odd_answers;
        *odd += 1;
        *odd == 1
    }

    /// Counts a request that the receiver did nothing with; returns true if it is sent again at once.
    pub(crate) fn sends_again(&mut self) -> bool {
        self.unprocessed = self.unprocessed.saturating_add(1);
        self.unprocessed <= MAX_UNPROCESSED
    }

    /// Returns true if a batch with this answer is tried again, after `times` retries for the same reason.
    pub(crate) fn doubts(&self, delivered: &Delivered, times: u8) -> bool {
        times < MAX_DOUBTS
            && delivered.odd.as_ref().is_some_and(|odd| match odd.unread {
                Unread::Nothing => false,
                Unread::RefusalsIfBefore => self.names_refused,
                Unread::Refusals => true,
            })
    }

    /// Number of attempts that the receiver accepted. Never falls.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The largest batch worth trying, in bytes.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Earliest time of the next attempt.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before.max(self.asked_until)
    }

    /// The end of the wait that the receiver asked for, if it is not over. Holds for events that are sent again, too.
    pub(crate) fn asked_to_wait(&self, now: Instant) -> Option<Instant> {
        let throttled = self.not_before.filter(|_| self.state == EndpointState::Throttled);
        self.asked_until.max(throttled).filter(|until| *until > now)
    }

    /// What is to be told, once.
    pub(crate) fn take_alarm(&mut self) -> Option<Alarm> {
        self.alarm.take()
    }

    pub(crate) fn accept(&mut self, now: Instant) {
        self.accepted += 1;
        let failed = self.failing_since.take();
        if std::mem::take(&mut self.is_failing) {
            let lasted = failed.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            self.alarm = Some(Alarm::Recovered(lasted));
        }
        if self.max_bytes < usize::MAX && self.accepted - self.accepted_at_change >= self.larger_after {
            self.max_bytes = self.max_bytes.saturating_mul(2);
            self.accepted_at_change = self.accepted;
        }
        if !self.is_asked_to_wait(now) {
            self.last_error = None;
        }
        self.answered(EndpointState::Healthy, now);
    }

    /// Counts an answer that refused the batch.
    pub(crate) fn refuse(&mut self, error: &str, now: Instant) {
        self.last_error = Some(error.to_owned());
        // Only an accepted attempt makes it healthy.
        let state = if self.state == EndpointState::Throttled { EndpointState::BackingOff } else { self.state };
        self.answered(state, now);
        self.check_failing(now);
    }

    /// Only refused events are left to try, and nothing was accepted since. One may be a bad event; if there are
    /// several, the receiver refuses everything.
    pub(crate) fn hold(&mut self) {
        self.state = match self.state {
            EndpointState::Disabled => EndpointState::Disabled,
            EndpointState::Held => EndpointState::Held,
            _ if self.suspects > 1 => EndpointState::Held,
            _ => EndpointState::BackingOff,
        };
    }

    /// Holds the hook: dead letters can't be kept.
    pub(crate) fn block(&mut self, error: String) {
        self.blocked = true;
        if self.state != EndpointState::Disabled {
            self.state = EndpointState::Held;
        }
        self.last_error = Some(error);
    }

    /// Ends that hold: dead letters can be kept again.
    pub(crate) fn unblock(&mut self) {
        if std::mem::take(&mut self.blocked) && self.state == EndpointState::Held {
            self.state = EndpointState::Healthy;
            self.last_error = None;
        }
    }

    /// Of a hook that was disabled while it delivered: by whom.
    pub(crate) fn disabled_by(&self) -> DisabledBy {
        if self.disabled_by_failures { DisabledBy::Failures } else { DisabledBy::Receiver }
    }

    pub(crate) fn disable(&mut self, error: Option<String>) {
        self.state = EndpointState::Disabled;
        self.last_error = error.or(self.last_error.take());
    }

    /// A batch of this size was too large. The limit that is learned from it is raised again after a while, each time
    /// after a longer one: the receiver's own may be another now.
    pub(crate) fn too_large(&mut self, bytes: usize) {
        self.max_bytes = self.max_bytes.min(bytes / 2).max(1);
        self.accepted_at_change = self.accepted;
        self.larger_after = self.larger_after.saturating_mul(2).min(ACCEPTED_BEFORE_LARGER.1);
    }

    /// One event alone was too large: it was the event, so nothing is known about batches of others.
    pub(crate) fn event_too_large(&mut self) {
        self.max_bytes = usize::MAX;
        self.larger_after = ACCEPTED_BEFORE_LARGER.0;
    }

    /// An attempt that began at `started` failed. Lanes fail together in an outage: an attempt that
    /// began before the last failure was known says nothing new, so it does not lengthen the wait.
    pub(crate) fn fail(&mut self, started: Instant, now: Instant, error: &DeliveryError, jitter: f64) {
        let news = self.failed_at.is_none_or(|failed| started >= failed);
        if news {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(now);
        }
        let asked = error.retry_after.unwrap_or_default().min(self.policy.max_retry_after.get());
        let wait = backoff(&self.policy, self.failures, jitter).max(asked);
        let until = later(now, wait);
        if !asked.is_zero() {
            self.asked_until = self.asked_until.max(Some(later(now, asked)));
        }
        if news || self.not_before.is_none_or(|known| known < until) {
            self.not_before = Some(until);
        }
        self.state = match error.class {
            _ if self.state == EndpointState::Disabled => EndpointState::Disabled,
            FailureClass::Endpoint => EndpointState::Held,
            FailureClass::Throttle => EndpointState::Throttled,
            _ if error.retry_after.is_some() || self.is_asked_to_wait(now) => EndpointState::Throttled,
            _ => EndpointState::BackingOff,
        };
        self.last_error = Some(error.report());
        self.check_failing(now);
    }

    /// The first failure since an attempt was accepted.
    pub(crate) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// It has failed since then, or it is not known any more: who learned that is not this process alone.
    pub(crate) fn recall_failing(&mut self, since: Option<Instant>) {
        self.failing_since = since;
    }

    /// Counts the time of nothing but failures. Disables the hook when it is over.
    fn check_failing(&mut self, now: Instant) {
        let since = *self.failing_since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since);
        if lasted >= self.warn_after && !std::mem::replace(&mut self.is_failing, true) {
            self.alarm = Some(Alarm::Failing(lasted));
        }
        let limit = self.disable_after.filter(|limit| lasted >= *limit);
        if let Some(limit) = limit.filter(|_| self.state != EndpointState::Disabled) {
            let error = self.last_error.as_deref().unwrap_or_default();
            let why = format!("nothing but failures for {}: {error}", HumanDuration::new(limit));
            self.disable(Some(why));
            self.disabled_by_failures = true;
        }
    }

    /// Ends our own waits, because the process ends, say. Waits that the receiver asked for go on.
    pub(crate) fn end_backoff(&mut self) {
        if self.state != EndpointState::Throttled {
            self.not_before = None;
        }
        self.failures = 0;
    }

    fn is_asked_to_wait(&self, now: Instant) -> bool {
        self.asked_until.is_some_and(|until| until > now)
    }

    /// An answer ends a wait of our own. One that the receiver asked another lane for goes on.
    fn answered(&mut self, state: EndpointState, now: Instant) {
        self.failures = 0;
        self.unprocessed = 0;
        self.failed_at = None;
        self.not_before = None;
        if self.state != EndpointState::Disabled {
            self.state = if self.is_asked_to_wait(now) { EndpointState::Throttled } else { state };
        }
    }
}

/// The wait of the schedule; or full jitter: a random part of `initial` × 2^(failures - 1), at most `max`.
pub(crate) fn backoff(policy: &RetryPolicy, failures: u32, jitter: f64) -> Duration {
    let nth = failures.saturating_sub(1) as usize;
    if let Some(wait) = policy.schedule.get(nth).or(policy.schedule.last()) {
        return wait.get();
    }
    let doubled =
        2u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| policy.initial.get().checked_mul(factor));
    doubled.unwrap_or(policy.max.get()).min(policy.max.get()).mul_f64(jitter.clamp(0.0, 1.0))
}

/// A wait that is too long for the clock ends in a hundred years.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(wait).unwrap_or_else(|| now + CENTURY)
}

#[cfg(test)]
mod tests;
