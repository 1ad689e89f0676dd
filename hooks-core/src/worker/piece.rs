//! The items of a retry queue: a batch or a part of one, with its history. Has no clock.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::endpoint::EndpointHealth;
use crate::batch::Batch;
use crate::delivery::{Delivered, DeliveryError, Reason};
use crate::ledger::DeadLetterReason;

/// The source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Source {
    /// The bus, in order. They are settled.
    #[default]
    Live,
    /// A caller wants them sent again, beside the live ones, and is told their outcome.
    Resent,
}

/// Events that are done with.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) batch: Batch,
    pub(crate) source: Source,
    pub(crate) ending: Ending,
}

/// The outcome of events that are done with.
#[derive(Debug)]
pub(crate) enum Ending {
    Delivered,
    GivenUp(GivenUp),
    /// Events that were to be sent again are not tried any more, for this reason.
    Stopped(String),
}

/// The reason why events were given up, and their attempts.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) why: DeadLetterReason,
    pub(crate) detail: Reason,
    pub(crate) attempts: u32,
    /// The times when the first and the last attempt began.
    pub(crate) attempted: (Instant, Instant),
}

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) batch: Batch,
    pub(super) source: Source,
    pub(super) times: Times,
    pub(super) refusal: Option<Refusal>,
    /// Number of retries because the answer could not be read.
    pub(super) doubts: u8,
}

/// When a batch is given up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RetryLimits {
    /// Time since its first attempt.
    pub(crate) max_elapsed: Option<Duration>,
    /// Number of attempts.
    pub(crate) max_attempts: Option<NonZeroU32>,
}

/// The attempts of a piece, and their times.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    attempts: u32,
    first_attempt: Option<Instant>,
    last_attempt: Option<Instant>,
    /// Time with an endpoint fault, and attempts that met one, which do not count.
    excused: Duration,
    excused_attempts: u32,
    excused_since: Option<Instant>,
}

#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    /// The endpoint's count of accepted attempts when the event was first refused. `since`: that time.
    pub(super) accepted: u64,
    pub(super) since: Instant,
}

impl Piece {
    pub(super) fn new(batch: Batch, source: Source) -> Self {
        Self { batch, source, times: Times::default(), refusal: None, doubts: 0 }
    }

    /// Turns an answer whose unreadable part may name refused events into a failure: a few times, and no longer than
    /// the batch's limits. Any other answer counts as it is.
    pub(super) fn check_answer(
        &mut self,
        result: Result<Delivered, DeliveryError>,
        limits: RetryLimits,
        now: Instant,
        endpoint: &EndpointHealth,
    ) -> Result<Delivered, DeliveryError> {
        let delivered = result?;
        if endpoint.doubts(&delivered, self.doubts) && !self.times.are_over(limits, now) {
            self.doubts += 1;
            return Err(delivered.doubted());
        }
        Ok(delivered)
    }

    pub(super) fn ended(self, ending: Ending) -> Settlement {
        Settlement { batch: self.batch, source: self.source, ending }
    }

    pub(super) fn give_up(self, why: DeadLetterReason, detail: Reason, now: Instant) -> Settlement {
        let Times { attempts, first_attempt, last_attempt, .. } = self.times;
        let attempted = (first_attempt.unwrap_or(now), last_attempt.unwrap_or(now));
        self.ended(Ending::GivenUp(GivenUp { why, detail, attempts, attempted }))
    }

    /// Gives the piece up as refused: its case is decided.
    pub(super) fn refused(mut self, now: Instant) -> Settlement {
        let detail = self.refusal.take().map_or_else(Reason::default, |refusal| refusal.reason);
        self.give_up(DeadLetterReason::Refused, detail, now)
    }

    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (left, right) = self.batch.split_at(at);
        let Self { source, times, doubts, .. } = self;
        let half = |batch| Self { batch, source, times, refusal: self.refusal.clone(), doubts };
        (half(left), half(right))
    }
}

impl Times {
    pub(super) fn begin(&mut self, now: Instant) {
        self.attempts = self.attempts.saturating_add(1);
        self.first_attempt.get_or_insert(now);
        self.last_attempt = Some(now);
        if let Some(since) = self.excused_since.take() {
            self.excused += now.saturating_duration_since(since);
        }
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The times without the last attempt, which does not count.
    pub(super) fn without_last(self) -> Self {
        Self { attempts: self.attempts.saturating_sub(1), ..self }
    }

    /// Does not count the last attempt, nor the time until the next one.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.excused_attempts = self.excused_attempts.saturating_add(1);
        self.excused_since = Some(now);
    }

    pub(super) fn are_over(&self, limits: RetryLimits, now: Instant) -> bool {
        let first = self.first_attempt.unwrap_or(now);
        let elapsed = now.saturating_duration_since(first).saturating_sub(self.excused);
        let attempts = self.attempts.saturating_sub(self.excused_attempts);
        limits.max_elapsed.is_some_and(|limit| elapsed >= limit)
            || limits.max_attempts.is_some_and(|limit| attempts >= limit.get())
    }
}
