//! A lane's queue: the batch that is being delivered, the pieces it was split into, and the
//! events that were refused while nothing else was accepted. Has no clock and no randomness.
//!
//! A rejected piece is split, left half first, until the refused events stand alone. A refused event is
//! a *suspect* until the endpoint accepts another event: it may be the endpoint that refuses everything.
//! While there is doubt, events are tried alone; with [`MAX_SUSPECTS`] of them, or nothing else left to
//! try, the queue holds and later tries the suspects again, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::endpoint::{EndpointHealth, backoff, later};
use crate::batch::Batch;
use crate::bus::Delivery;
use crate::dead_letter::DeadLetterReason;
use crate::delivery::{Delivered, DeliveryError, FailureClass, Reason};

/// Refused events that a hook sets aside before it is held.
pub(crate) const MAX_SUSPECTS: usize = 16;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try the batch at the head.
    Attempt,
    /// Nothing before this.
    Wait(Instant),
    /// Nothing is left to try: take more events. Ask again when there are some, or at this time.
    Take(Option<Instant>),
}

/// Events that are done with.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) batch: Batch,
    /// Not set: delivered.
    pub(crate) given_up: Option<GivenUp>,
}

/// Why events were given up, and after what.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) why: DeadLetterReason,
    pub(crate) detail: Reason,
    pub(crate) attempts: u32,
    /// When the first and the last attempt began.
    pub(crate) tried: (Instant, Instant),
}

#[derive(Debug)]
pub(crate) struct RetryQueue {
    /// What is to be tried, oldest first: pieces of one batch, and suspects that are tried again.
    pieces: VecDeque<Piece>,
    suspects: Vec<Piece>,
    /// Events were refused and none accepted since.
    doubt: bool,
    /// When the suspects are tried again.
    hold_until: Option<Instant>,
    holds: u32,
    max_elapsed: Option<Duration>,
}

#[derive(Debug)]
struct Piece {
    batch: Batch,
    times: Times,
    refusal: Option<Refusal>,
    /// How often it was tried again because its answer could not be read.
    doubts: u8,
}

/// How long a piece has been tried.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    attempts: u32,
    first_attempt: Option<Instant>,
    last_attempt: Option<Instant>,
    /// Time with an endpoint fault, which does not count.
    excused: Duration,
    excused_since: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Refusal {
    reason: Reason,
    /// What the endpoint had accepted when the event was first refused, and when that was.
    accepted: u64,
    since: Instant,
}

impl RetryQueue {
    pub(crate) fn new(max_elapsed: Option<Duration>) -> Self {
        Self { pieces: VecDeque::new(), suspects: Vec::new(), doubt: false, hold_until: None, holds: 0, max_elapsed }
    }

    /// Whether there is nothing to try; then a batch may be [offered](Self::offer).
    pub(crate) fn wants_batch(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether only refused events are left to try, and the receiver accepts nothing else.
    pub(crate) fn is_stuck(&self) -> bool {
        self.holds > 0
    }

    /// Whether it holds no event at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.suspects.is_empty()
    }

    /// Takes a batch to deliver.
    pub(crate) fn offer(&mut self, batch: Batch) {
        self.pieces.push_back(Piece { batch, times: Times::default(), refusal: None, doubts: 0 });
    }

    /// What to do now. `jitter` is between 0 and 1.
    pub(crate) fn next(&mut self, now: Instant, endpoint: &mut EndpointHealth, jitter: f64) -> Next {
        if let Some(until) = self.hold(now, endpoint, jitter) {
            let full = endpoint.suspects >= MAX_SUSPECTS;
            return if full { Next::Wait(until) } else { Next::Take(Some(until)) };
        }
        if self.pieces.is_empty() {
            return Next::Take(None);
        }
        if let Some(until) = endpoint.not_before().filter(|until| *until > now) {
            return Next::Wait(until);
        }
        self.narrow(endpoint.max_bytes());
        Next::Attempt
    }

    /// The batch at the head.
    pub(crate) fn head(&self) -> Option<&Batch> {
        self.pieces.front().map(|piece| &piece.batch)
    }

    /// The batch at the head, whose attempt begins now.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<&Batch> {
        let piece = self.pieces.front_mut()?;
        piece.times.begin(now);
        Some(&piece.batch)
    }

    /// An answer to the head counts by what it says. But where refused events may have been named in a part of it
    /// that can't be read, that is a failure for a while, and at the most until the batch's time is over.
    pub(crate) fn believe(
        &mut self,
        now: Instant,
        result: Result<Delivered, DeliveryError>,
        endpoint: &EndpointHealth,
    ) -> Result<Delivered, DeliveryError> {
        let delivered = result?;
        match self.pieces.front_mut() {
            Some(piece) if endpoint.doubts(&delivered, piece.doubts) && !piece.times.is_over(self.max_elapsed, now) => {
                piece.doubts += 1;
                Err(delivered.doubted())
            }
            _ => Ok(delivered),
        }
    }

    /// What came of the attempt on the head that began at `started`.
    pub(crate) fn resolve(
        &mut self,
        started: Instant,
        now: Instant,
        result: Result<Delivered, DeliveryError>,
        endpoint: &mut EndpointHealth,
        jitter: f64,
    ) -> Vec<Settlement> {
        let Some(piece) = self.pieces.pop_front() else { return Vec::new() };
        match check(result, piece.batch.len()) {
            Ok(delivered) => self.accepted(piece, delivered, now, endpoint),
            Err(error) => match error.class {
                FailureClass::Rejected | FailureClass::TooLarge => self.rejected(piece, &error, now, endpoint),
                FailureClass::Gone => {
                    endpoint.disable(Some(error.report()));
                    self.pieces.push_front(piece);
                    Vec::new()
                }
                FailureClass::Unprocessed if endpoint.sends_again() => {
                    self.pieces.push_front(Piece { times: piece.times.without_last(), ..piece });
                    Vec::new()
                }
                FailureClass::Retry | FailureClass::Throttle | FailureClass::Endpoint | FailureClass::Unprocessed => {
                    endpoint.fail(started, now, &error, jitter);
                    self.failed(piece, &error, now)
                }
            },
        }
    }

    /// Settles the suspects whose case is decided: the endpoint accepted another event, or the doubt
    /// has lasted too long.
    pub(crate) fn review(&mut self, now: Instant, endpoint: &mut EndpointHealth) -> Vec<Settlement> {
        if self.refusals().any(|refusal| refusal.accepted < endpoint.accepted()) {
            return self.refuse_suspects(now, endpoint);
        }
        let hold = endpoint.policy().reject_hold.0;
        let overdue = |piece: &Piece| {
            piece.refusal.as_ref().is_some_and(|refusal| now.saturating_duration_since(refusal.since) >= hold)
        };
        let (overdue, suspects): (Vec<_>, Vec<_>) = self.take_suspects(endpoint).into_iter().partition(overdue);
        self.suspects = suspects;
        endpoint.suspects += self.suspects.len();
        if self.suspects.is_empty() && self.pieces.iter().all(|piece| piece.refusal.is_none()) {
            self.end_doubt();
        }
        overdue.into_iter().map(|piece| piece.refused(now)).collect()
    }

    /// Nothing else is left to do: what is suspect counts as refused.
    pub(crate) fn refuse_suspects(&mut self, now: Instant, endpoint: &mut EndpointHealth) -> Vec<Settlement> {
        self.end_doubt();
        let suspects = self.take_suspects(endpoint);
        suspects.into_iter().map(|piece| piece.refused(now)).collect()
    }

    /// All events, oldest first: the queue is given up unsettled.
    pub(crate) fn into_deliveries(mut self, endpoint: &mut EndpointHealth) -> Vec<Delivery> {
        let suspects = self.take_suspects(endpoint);
        let pieces = suspects.into_iter().chain(self.pieces);
        let mut deliveries: Vec<Delivery> = pieces.flat_map(|piece| piece.batch.into_deliveries()).collect();
        deliveries.sort_by_key(|delivery| delivery.position);
        deliveries
    }

    /// Until when the queue is held, if it is. When that time has come the suspects go back to the head.
    fn hold(&mut self, now: Instant, endpoint: &mut EndpointHealth, jitter: f64) -> Option<Instant> {
        let stuck = !self.suspects.is_empty() && (self.pieces.is_empty() || endpoint.suspects >= MAX_SUSPECTS);
        if !stuck {
            return None;
        }
        let reject_hold = endpoint.policy().reject_hold.0;
        let decided = self.refusals().filter_map(|refusal| refusal.since.checked_add(reject_hold)).min();
        let until = *self.hold_until.get_or_insert_with(|| {
            self.holds = self.holds.saturating_add(1);
            let wait = later(now, backoff(endpoint.policy(), self.holds, jitter));
            decided.map_or(wait, |decided| wait.min(decided))
        });
        endpoint.hold();
        if until > now {
            return Some(until);
        }
        self.hold_until = None;
        for piece in self.take_suspects(endpoint).into_iter().rev() {
            self.pieces.push_front(piece);
        }
        None
    }

    /// Makes the head small enough: one event while there is doubt, and no larger than the receiver takes.
    fn narrow(&mut self, max_bytes: usize) {
        let Some(piece) = self.pieces.front() else { return };
        let events = piece.batch.len();
        let mut at = if self.doubt { 1 } else { events };
        if piece.batch.max_bytes() > max_bytes {
            at = at.min(piece.batch.fitting(max_bytes));
        }
        if at < events {
            self.split_head(at);
        }
    }

    fn split_head(&mut self, at: usize) {
        let Some(piece) = self.pieces.pop_front() else { return };
        let (left, right) = piece.split_at(at);
        self.pieces.push_front(right);
        self.pieces.push_front(left);
    }

    fn accepted(
        &mut self,
        piece: Piece,
        delivered: Delivered,
        now: Instant,
        endpoint: &mut EndpointHealth,
    ) -> Vec<Settlement> {
        if delivered.refused.len() == piece.batch.len() {
            let reason = delivered.refused.into_iter().next().map(|(_, reason)| reason).unwrap_or_default();
            return self.rejected(piece, &DeliveryError::rejected(reason), now, endpoint);
        }
        endpoint.accept(now);
        let mut settled = self.refuse_suspects(now, endpoint);
        let times = piece.times;
        let (arrived, refused) = piece.batch.without(&delivered.refused);
        settled.push(Settlement { batch: arrived, given_up: None });
        let refused = refused.into_iter().zip(delivered.refused);
        let refused = refused.map(|(batch, (_, why))| times.give_up(batch, DeadLetterReason::Refused, why, now));
        settled.extend(refused);
        settled
    }

    fn rejected(
        &mut self,
        mut piece: Piece,
        error: &DeliveryError,
        now: Instant,
        endpoint: &mut EndpointHealth,
    ) -> Vec<Settlement> {
        endpoint.refuse(&error.report(), now);
        if error.class == FailureClass::TooLarge {
            match piece.batch.len() {
                1 => endpoint.event_too_large(),
                _ => endpoint.too_large(piece.batch.max_bytes()),
            }
        }
        if piece.batch.len() > 1 {
            let half = piece.batch.len() / 2;
            self.pieces.push_front(piece);
            self.split_head(half);
            return Vec::new();
        }
        let accepted = endpoint.accepted();
        piece.refusal.get_or_insert_with(|| Refusal { reason: error.report().into(), accepted, since: now });
        self.doubt = true;
        endpoint.suspects += 1;
        self.suspects.push(piece);
        // One that was refused before, with something accepted since, is decided at once.
        self.review(now, endpoint)
    }

    fn failed(&mut self, mut piece: Piece, error: &DeliveryError, now: Instant) -> Vec<Settlement> {
        if error.class == FailureClass::Endpoint {
            piece.times.excused_since = Some(now);
        } else if piece.times.is_over(self.max_elapsed, now) {
            let Piece { batch, times, .. } = piece;
            return vec![times.give_up(batch, DeadLetterReason::Expired, error.report().into(), now)];
        }
        self.pieces.push_front(piece);
        Vec::new()
    }

    fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.suspects.iter().filter_map(|piece| piece.refusal.as_ref())
    }

    fn take_suspects(&mut self, endpoint: &mut EndpointHealth) -> Vec<Piece> {
        endpoint.suspects -= self.suspects.len();
        std::mem::take(&mut self.suspects)
    }

    fn end_doubt(&mut self) {
        self.doubt = false;
        self.hold_until = None;
        self.holds = 0;
    }
}

impl Piece {
    fn refused(self, now: Instant) -> Settlement {
        let detail = self.refusal.map_or_else(Reason::default, |refusal| refusal.reason);
        self.times.give_up(self.batch, DeadLetterReason::Refused, detail, now)
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let (left, right) = self.batch.split_at(at);
        let half = |batch| Self { batch, times: self.times, refusal: self.refusal.clone(), doubts: self.doubts };
        (half(left), half(right))
    }
}

impl Times {
    fn begin(&mut self, now: Instant) {
        self.attempts = self.attempts.saturating_add(1);
        self.first_attempt.get_or_insert(now);
        self.last_attempt = Some(now);
        if let Some(since) = self.excused_since.take() {
            self.excused += now.saturating_duration_since(since);
        }
    }

    /// The last attempt was none.
    fn without_last(self) -> Self {
        Self { attempts: self.attempts.saturating_sub(1), ..self }
    }

    fn give_up(&self, batch: Batch, why: DeadLetterReason, detail: Reason, now: Instant) -> Settlement {
        let tried = (self.first_attempt.unwrap_or(now), self.last_attempt.unwrap_or(now));
        Settlement { batch, given_up: Some(GivenUp { why, detail, attempts: self.attempts, tried }) }
    }

    fn is_over(&self, limit: Option<Duration>, now: Instant) -> bool {
        let first = self.first_attempt.unwrap_or(now);
        let elapsed = now.saturating_duration_since(first).saturating_sub(self.excused);
        limit.is_some_and(|limit| elapsed >= limit)
    }
}

/// A sink that names events which are not in the batch, or one twice, has said nothing useful.
fn check(result: Result<Delivered, DeliveryError>, events: usize) -> Result<Delivered, DeliveryError> {
    let mut delivered = result?;
    delivered.refused.sort_by_key(|(index, _)| *index);
    let twice = delivered.refused.windows(2).any(|pair| pair[0].0 == pair[1].0);
    let outside = delivered.refused.last().is_some_and(|(index, _)| *index >= events);
    if twice || outside {
        return Err(DeliveryError::retry("the sink refused an event twice or one that is not in the batch"));
    }
    Ok(delivered)
}
