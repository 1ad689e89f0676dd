//! How fast a hook is delivered to, and how failed attempts are repeated.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config_problem::ConfigProblem;
use crate::human::{HumanDuration, Rate};
use crate::setters::setters;

/// Limits of the rate of a hook's deliveries, over all its lanes. Failed attempts count, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RateLimit {
    /// Attempts: `"10/s"`, `"600/m"`.
    pub requests: Option<Rate>,
    /// Events: `"1000/s"`. A batch of more than `burst` events waits until all before it is paid for.
    pub events: Option<Rate>,
    /// Number that may follow one another at once after a pause. Not set: as many as a second allows, at least one.
    pub burst: Option<NonZeroU32>,
}

setters!(RateLimit { requests: Rate => Some, events: Rate => Some, burst: NonZeroU32 => Some });

/// The policy for repeating failed attempts. The wait before attempt n is a random part of
/// `initial` × 2ⁿ, at most `max` (full jitter), or what `schedule` says; or the wait that the receiver asked for, if that
/// is longer. Attempts are counted for the hook as a whole: one that is answered ends the count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The longest wait before the second attempt.
    pub initial: HumanDuration,
    /// The longest wait before any attempt.
    pub max: HumanDuration,
    /// The waits after the first failed attempt, the second and so on, exactly, instead of `initial` and `max`:
    /// `["10s", "1m", "1h"]`, at most 64. The last one is repeated. Empty: not set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<HumanDuration>,
    /// Time limit of one attempt, all in all.
    pub attempt_timeout: HumanDuration,
    /// A batch that was not delivered this long after its first attempt is given up. Not set: the
    /// bus's own default, 3 days on the memory bus, never elsewhere. Time with an endpoint fault
    /// (a wrong address, failed authentication) does not count.
    pub max_elapsed: Option<HumanDuration>,
    /// A batch that was not delivered by this many attempts is given up. Not set: any number. Attempts that meet an
    /// endpoint fault do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<NonZeroU32>,
    /// While the receiver accepts nothing at all, refused events are kept this long before they are
    /// given up.
    pub reject_hold: HumanDuration,
    /// The longest wait that a receiver can ask for with Retry-After.
    pub max_retry_after: HumanDuration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial: HumanDuration::new(Duration::from_secs(1)),
            max: HumanDuration::new(Duration::from_secs(300)),
            attempt_timeout: HumanDuration::new(Duration::from_secs(15)),
            schedule: Vec::new(),
            max_elapsed: None,
            max_attempts: None,
            reject_hold: HumanDuration::new(Duration::from_secs(15 * 60)),
            max_retry_after: HumanDuration::new(Duration::from_secs(3600)),
        }
    }
}

setters!(RetryPolicy {
    initial: HumanDuration,
    max: HumanDuration,
    attempt_timeout: HumanDuration,
    schedule: Vec<HumanDuration>,
    max_elapsed: HumanDuration => Some,
    max_attempts: NonZeroU32 => Some,
    reject_hold: HumanDuration,
    max_retry_after: HumanDuration,
});

/// What is wrong with `initial` and `max` beside a schedule.
pub(crate) const BESIDE_SCHEDULE: &str = "`retry.schedule` says how long to wait: remove one of them";

/// Longest `schedule`.
const MAX_WAITS: usize = 64;

impl RetryPolicy {
    /// The default, which most hooks have.
    pub(crate) fn shared_default() -> Arc<Self> {
        static DEFAULT: LazyLock<Arc<RetryPolicy>> = LazyLock::new(Arc::default);
        DEFAULT.clone()
    }

    pub(crate) fn problems(&self, problems: &mut Vec<ConfigProblem>) {
        for (path, span) in
            [("retry.initial", self.initial), ("retry.max", self.max), ("retry.attempt_timeout", self.attempt_timeout)]
        {
            if span.get().is_zero() {
                problems.push(ConfigProblem::new(path, "must be longer than 0s".to_owned()));
            }
        }
        if self.max < self.initial {
            problems.push(ConfigProblem::new(
                "retry.max",
                format!("{} is shorter than retry.initial, {}", self.max, self.initial),
            ));
        }
        self.problems_of_schedule(problems);
    }

    fn problems_of_schedule(&self, problems: &mut Vec<ConfigProblem>) {
        let Some((_, before_last)) = self.schedule.split_last() else { return };
        let mut add = |path, message| problems.push(ConfigProblem::new(path, message));
        let defaults = Self::default();
        for (path, is_set) in
            [("retry.initial", self.initial != defaults.initial), ("retry.max", self.max != defaults.max)]
        {
            if is_set {
                add(path, BESIDE_SCHEDULE.to_owned());
            }
        }
        if self.schedule.iter().any(|wait| wait.get().is_zero()) {
            add("retry.schedule", "each wait must be longer than 0s".to_owned());
        }
        let waits = self.schedule.len();
        if waits > MAX_WAITS {
            add("retry.schedule", format!("{waits} waits are more than {MAX_WAITS}"));
        }
        if let Some(attempts) = self.max_attempts.filter(|attempts| (attempts.get() as usize) <= waits) {
            let message = format!(
                "{attempts} attempts leave waits of `retry.schedule` unused: raise it to {}, or more, or remove waits",
                waits + 1
            );
            add("retry.max_attempts", message);
        }
        let before_last: Duration = before_last.iter().fold(Duration::ZERO, |sum, wait| sum.saturating_add(wait.get()));
        if let Some(elapsed) = self.max_elapsed.filter(|elapsed| waits > 1 && elapsed.get() <= before_last) {
            let message = format!(
                "{elapsed} is over before the last wait of `retry.schedule` begins: raise it above {}, or remove waits",
                HumanDuration::new(before_last)
            );
            add("retry.max_elapsed", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(policy: RetryPolicy) -> Vec<String> {
        let mut problems = Vec::new();
        policy.problems(&mut problems);
        problems.into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn what_a_schedule_contradicts_is_named() {
        let duration = |text: &str| text.parse::<HumanDuration>().unwrap();
        let schedule = || RetryPolicy::default().schedule(["10s", "1m", "1h"].map(duration).to_vec());
        assert_eq!(problems(schedule()), [""; 0]);
        let attempts = |attempts| schedule().max_attempts(NonZeroU32::new(attempts).unwrap());
        assert_eq!(problems(attempts(4)), [""; 0]);
        for (policy, problem) in [
            (
                schedule().initial(duration("2s")),
                "retry.initial: `retry.schedule` says how long to wait: remove one of them",
            ),
            (schedule().max(duration("1h")), "retry.max: `retry.schedule` says how long to wait: remove one of them"),
            (RetryPolicy::default().schedule(vec![duration("0s")]), "retry.schedule: each wait must be longer than 0s"),
            (
                attempts(3),
                "retry.max_attempts: 3 attempts leave waits of `retry.schedule` unused: raise it to 4, or more, or remove waits",
            ),
            (
                schedule().max_elapsed(duration("70s")),
                "retry.max_elapsed: 1m 10s is over before the last wait of `retry.schedule` begins: raise it above 1m 10s, or remove waits",
            ),
        ] {
            assert_eq!(problems(policy), [problem]);
        }
    }
}
