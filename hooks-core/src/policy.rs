//! How fast a hook is delivered to, and how failed attempts are repeated.

use std::num::NonZeroU32;
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
/// `initial` × 2ⁿ, at most `max` (full jitter), or the wait that the receiver asked for, if that is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The longest wait before the second attempt.
    pub initial: HumanDuration,
    /// The longest wait before any attempt.
    pub max: HumanDuration,
    /// Time limit of one attempt, all in all.
    pub attempt_timeout: HumanDuration,
    /// A batch that was not delivered this long after its first attempt is given up. Not set: the
    /// bus's own default, 3 days on the memory bus, never elsewhere. Time with an endpoint fault
    /// (a wrong address, failed authentication) does not count.
    pub max_elapsed: Option<HumanDuration>,
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
            max_elapsed: None,
            reject_hold: HumanDuration::new(Duration::from_secs(15 * 60)),
            max_retry_after: HumanDuration::new(Duration::from_secs(3600)),
        }
    }
}

setters!(RetryPolicy {
    initial: HumanDuration,
    max: HumanDuration,
    attempt_timeout: HumanDuration,
    max_elapsed: HumanDuration => Some,
    reject_hold: HumanDuration,
    max_retry_after: HumanDuration,
});

impl RetryPolicy {
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
    }
}
