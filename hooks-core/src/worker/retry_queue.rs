//! A lane's queue: the batch that is being delivered, the pieces it was split into, and the events that were refused
//! while nothing else was accepted; beside them the events to be sent again. Has no clock and no randomness.
//!
//! A rejected piece is split, left half first, until the refused events stand alone. A refused event is
//! a *suspect* until the endpoint accepts another event: it may be the endpoint that refuses everything.
//! While there is doubt, events are tried alone; with [`MAX_SUSPECTS`] of them, or nothing else left to
//! try, the queue holds and later tries the suspects again, in order.
//!
//! Events that are sent again take turns with the live pieces, one attempt each, where both can be tried. They are
//! tried, split and counted like live ones. But a caller waits for them, and the bus or the dead letters still have
//! them: they do not wait while we back off from the endpoint, a failure ends them, and a refused one is no suspect.

use std::collections::VecDeque;
use std::time::Instant;

use super::endpoint::{EndpointHealth, backoff, later};
use super::piece::{Ending, Piece, Refusal, RetryLimits, Settlement, Source};
use crate::batch::Batch;
use crate::bus::Delivery;
use crate::delivery::{Delivered, DeliveryError, FailureClass};
use crate::ledger::DeadLetterReason;

/// Refused events that a hook sets aside before it is held.
pub(crate) const MAX_SUSPECTS: usize = 16;

/// The next step of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try the batch at the head.
    Attempt,
    /// Try nothing before this time.
    Wait(Instant),
    /// Take more events: nothing is left to try. Ask again when there are some, or at this time.
    Take(Option<Instant>),
}

#[derive(Debug, Default)]
pub(crate) struct RetryQueue {
    /// Live pieces to try, oldest first: pieces of one batch, and suspects that are tried again.
    live: VecDeque<Piece>,
    /// Pieces to send again.
    resent: VecDeque<Piece>,
    /// The source of the head.
    head: Source,
    /// The source of the last attempt. `live_checked`: live events were looked for since.
    last_source: Source,
    live_checked: bool,
    suspects: Vec<Piece>,
    /// Events were refused and none accepted since: live ones, and any.
    doubt: bool,
    resent_doubt: bool,
    /// The time when the suspects are tried again.
    hold_until: Option<Instant>,
    holds: u32,
    limits: RetryLimits,
}

impl RetryQueue {
    pub(crate) fn new(limits: RetryLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Returns true if no live event is left to try; then a batch may be [pushed](Self::push).
    pub(crate) fn wants_batch(&self) -> bool {
        self.live.is_empty()
    }

    /// Returns true if there are events to send again.
    pub(crate) fn has_resent(&self) -> bool {
        !self.resent.is_empty()
    }

    /// Returns true if only refused events are left to try and the receiver accepts nothing else.
    pub(crate) fn is_stuck(&self) -> bool {
        self.holds > 0
    }

    /// Returns true if the queue holds no event.
    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.resent.is_empty() && self.suspects.is_empty()
    }

    /// Takes a batch to deliver.
    pub(crate) fn push(&mut self, batch: Batch, source: Source) {
        self.pieces(source).push_back(Piece::new(batch, source));
    }

    /// The next step. `jitter` is between 0 and 1. With `held` no live event is tried before that time.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        held: Option<Instant>,
        endpoint: &mut EndpointHealth,
        jitter: f64,
    ) -> Next {
        let live = held.map_or_else(|| self.next_live(now, endpoint, jitter), Next::Wait);
        self.take_turns(live, now, endpoint)
    }

    /// The batch at the head.
    pub(crate) fn head(&mut self) -> Option<&Batch> {
        self.pieces(self.head).front().map(|piece| &piece.batch)
    }

    /// The batch at the head, whose attempt begins now.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<&Batch> {
        (self.last_source, self.live_checked) = (self.head, false);
        let piece = self.pieces(self.head).front_mut()?;
        piece.times.begin(now);
        Some(&piece.batch)
    }

    /// The batch at the head, the number of its last attempt, and its source.
    pub(crate) fn attempted(&mut self) -> Option<(&Batch, u32, Source)> {
        let source = self.head;
        self.pieces(source).front().map(|piece| (&piece.batch, piece.times.attempts(), source))
    }

    /// Takes the result of the attempt on the head that began at `started`. Returns the events that are done with.
    pub(crate) fn resolve(
        &mut self,
        started: Instant,
        now: Instant,
        result: Result<Delivered, DeliveryError>,
        endpoint: &mut EndpointHealth,
        jitter: f64,
    ) -> Vec<Settlement> {
        let Some(mut piece) = self.pieces(self.head).pop_front() else { return Vec::new() };
        let doubts = piece.doubts;
        let result = piece.check_answer(result, self.limits, now, endpoint);
        let is_doubted = piece.doubts > doubts;
        endpoint.count(result.as_ref().err().map(|error| error.class), now.saturating_duration_since(started));
        let error = match check(result, piece.batch.len()) {
            Ok(delivered) => return self.accepted(piece, delivered, now, endpoint),
            Err(error) => error,
        };
        match error.class {
            FailureClass::Rejected | FailureClass::TooLarge => self.rejected(piece, &error, now, endpoint),
            FailureClass::Gone => {
                endpoint.disable(Some(error.report()));
                self.put_back(piece);
                self.stop_resent(&error.report())
            }
            FailureClass::Unprocessed if endpoint.sends_again() => {
                self.put_back(Piece { times: piece.times.without_last(), ..piece });
                Vec::new()
            }
            FailureClass::Retry | FailureClass::Throttle | FailureClass::Endpoint | FailureClass::Unprocessed => {
                endpoint.fail(started, now, &error, jitter);
                match self.head {
                    Source::Live => self.failed(piece, &error, now),
                    Source::Resent => {
                        self.put_back(piece);
                        if is_doubted { Vec::new() } else { self.stop_resent(&error.report()) }
                    }
                }
            }
        }
    }

    /// Settles the suspects whose case is decided: the endpoint accepted another event, or the doubt has lasted too
    /// long.
    pub(crate) fn review(&mut self, now: Instant, endpoint: &mut EndpointHealth) -> Vec<Settlement> {
        if self.refusals().any(|refusal| refusal.accepted < endpoint.accepted()) {
            return self.refuse_suspects(now, endpoint);
        }
        let hold = endpoint.policy().reject_hold.get();
        let overdue = |piece: &Piece| {
            piece.refusal.as_ref().is_some_and(|refusal| now.saturating_duration_since(refusal.since) >= hold)
        };
        let (overdue, suspects): (Vec<_>, Vec<_>) = self.take_suspects(endpoint).into_iter().partition(overdue);
        self.suspects = suspects;
        endpoint.suspects += self.suspects.len();
        if self.suspects.is_empty() && self.live.iter().all(|piece| piece.refusal.is_none()) {
            self.end_doubt();
        }
        overdue.into_iter().map(|piece| piece.refused(now)).collect()
    }

    /// Counts the suspects as refused: nothing else is left to do.
    pub(crate) fn refuse_suspects(&mut self, now: Instant, endpoint: &mut EndpointHealth) -> Vec<Settlement> {
        self.end_doubt();
        let suspects = self.take_suspects(endpoint);
        suspects.into_iter().map(|piece| piece.refused(now)).collect()
    }

    /// Gives up the events to be sent again.
    pub(crate) fn stop_resent(&mut self, why: &str) -> Vec<Settlement> {
        let stopped = self.resent.pop_front().map(|piece| piece.ended(Ending::Stopped(why.to_owned())));
        self.resent.clear();
        stopped.into_iter().collect()
    }

    /// Gives up the queue unsettled. Returns all live events, oldest first.
    pub(crate) fn into_deliveries(mut self, endpoint: &mut EndpointHealth) -> Vec<Delivery> {
        let suspects = self.take_suspects(endpoint);
        let pieces = suspects.into_iter().chain(self.live);
        let mut deliveries: Vec<Delivery> = pieces.flat_map(|piece| piece.batch.deliveries()).collect();
        deliveries.sort_by_key(|delivery| delivery.position);
        deliveries
    }

    fn next_live(&mut self, now: Instant, endpoint: &mut EndpointHealth, jitter: f64) -> Next {
        if let Some(until) = self.hold(now, endpoint, jitter) {
            let full = endpoint.suspects >= MAX_SUSPECTS;
            return if full { Next::Wait(until) } else { Next::Take(Some(until)) };
        }
        if self.live.is_empty() {
            return Next::Take(None);
        }
        endpoint.not_before().filter(|until| *until > now).map_or(Next::Attempt, Next::Wait)
    }

    /// Makes a live attempt between two of events that are sent again, if one can be made. Looks for live events first.
    fn take_turns(&mut self, live: Next, now: Instant, endpoint: &EndpointHealth) -> Next {
        let live_turn = self.last_source == Source::Resent;
        let resent = self.resent.front().map(|piece| match piece.doubts {
            0 => endpoint.asked_to_wait(now),
            _ => endpoint.not_before().filter(|until| *until > now),
        });
        self.head = match (live, resent) {
            (Next::Attempt, Some(None)) if !live_turn => Source::Resent,
            (Next::Attempt, _) => Source::Live,
            (Next::Take(_), Some(None)) if live_turn && !self.live_checked => {
                self.live_checked = true;
                return Next::Take(Some(now));
            }
            (_, Some(None)) => Source::Resent,
            (Next::Wait(until), Some(Some(asked))) => return Next::Wait(until.min(asked)),
            (Next::Take(until), Some(Some(asked))) => {
                return Next::Take(Some(until.map_or(asked, |until| until.min(asked))));
            }
            (waits, None) => return waits,
        };
        self.shrink_head(endpoint.max_bytes());
        Next::Attempt
    }

    /// The end of the queue's hold, if it is held. At that time the suspects go back to the head.
    fn hold(&mut self, now: Instant, endpoint: &mut EndpointHealth, jitter: f64) -> Option<Instant> {
        let stuck = !self.suspects.is_empty() && (self.live.is_empty() || endpoint.suspects >= MAX_SUSPECTS);
        if !stuck {
            return None;
        }
        let reject_hold = endpoint.policy().reject_hold.get();
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
            self.live.push_front(piece);
        }
        None
    }

    /// Shrinks the head: to one event while there is doubt, and to the size that the receiver takes.
    fn shrink_head(&mut self, max_bytes: usize) {
        let doubt = self.doubt || self.resent_doubt && self.head == Source::Resent;
        let Some(batch) = self.head() else { return };
        let events = batch.len();
        let mut at = if doubt { 1 } else { events };
        if batch.max_bytes() > max_bytes {
            at = at.min(batch.fitting(max_bytes));
        }
        if at < events {
            self.split_head(at);
        }
    }

    fn split_head(&mut self, at: usize) {
        let Some(piece) = self.pieces(self.head).pop_front() else { return };
        let (left, right) = piece.split_at(at);
        self.put_back(right);
        self.put_back(left);
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
        self.resent_doubt = false;
        let mut settled = self.refuse_suspects(now, endpoint);
        let Piece { batch, source, times, .. } = piece;
        let (batch, refused) = batch.without(&delivered.refused);
        settled.push(Settlement { batch, source, ending: Ending::Delivered });
        let refused = refused.into_iter().zip(delivered.refused).map(|(batch, (_, why))| {
            Piece { times, ..Piece::new(batch, source) }.give_up(DeadLetterReason::Refused, why, now)
        });
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
            self.put_back(piece);
            self.split_head(half);
            return Vec::new();
        }
        if piece.source == Source::Resent {
            self.resent_doubt = true;
            return vec![piece.give_up(DeadLetterReason::Refused, error.report().into(), now)];
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
            piece.times.excuse(now);
        } else if piece.times.are_over(self.limits, now) {
            return vec![piece.give_up(DeadLetterReason::Expired, error.report().into(), now)];
        }
        self.put_back(piece);
        Vec::new()
    }

    /// Puts a piece back to the front of its source.
    fn put_back(&mut self, piece: Piece) {
        self.pieces(piece.source).push_front(piece);
    }

    fn pieces(&mut self, source: Source) -> &mut VecDeque<Piece> {
        match source {
            Source::Live => &mut self.live,
            Source::Resent => &mut self.resent,
        }
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

/// Turns the result of a sink that names events outside of the batch, or one twice, into a failure.
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

#[cfg(test)]
mod tests;
