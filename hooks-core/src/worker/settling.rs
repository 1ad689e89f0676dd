//! Settles a lane's events: delivered ones at once, given-up ones once they are kept as dead letters.

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc;

use super::clock::now;
use super::endpoint::EndpointHealth;
use super::hook_context::HookContext;
use super::piece::{Ending, GivenUp, Settlement, Source};
use crate::bus::{BusError, DeadLetter, Delivery, MAX_DETAIL, Position};
use crate::envelope::Envelope;
use crate::ledger::{DeadLetterReason, DropReason, Outcome};

/// Given-up events that wait to be kept as dead letters, oldest first.
#[derive(Debug, Default)]
pub(super) struct Settling {
    waiting: VecDeque<Settlement>,
    /// Number of events of the first settlement that are kept and settled.
    done: usize,
    /// The time to try again, after they could not be kept.
    pub(super) retry_at: Option<Instant>,
    /// The channel for the outcomes of events that are sent again.
    pub(super) reply_to: Option<mpsc::Sender<Settlement>>,
}

impl Settling {
    /// Returns true if it is time to keep the given-up events.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.waiting.is_empty() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Settles the events that need no waiting. Without a store for dead letters, given-up events are dropped.
    pub(super) fn settle(&mut self, context: &HookContext, settled: Vec<Settlement>) {
        for settlement in settled {
            match &settlement.ending {
                // There is room, unless who asked has left.
                _ if settlement.source == Source::Resent => {
                    let _ = self.reply_to.as_ref().map(|reply_to| reply_to.try_send(settlement));
                }
                Ending::Delivered => context.settler.settle(&settlement.batch.positions(), Outcome::Delivered),
                Ending::GivenUp(_) if context.dead_letters.is_some() => self.waiting.push_back(settlement),
                Ending::GivenUp(given_up) => drop_events(context, &settlement, given_up),
                Ending::Stopped(_) => {}
            }
        }
    }

    /// Keeps the given-up events, then settles them. If there is no room for all of them at once, it keeps them in
    /// parts: there may never be room for all.
    ///
    /// # Cancel safety
    /// Dead letters that were kept and not settled are kept again, which replaces them.
    pub(super) async fn keep(&mut self, context: &HookContext) -> Result<(), BusError> {
        let Some(store) = &context.dead_letters else { return Ok(()) };
        while let Some(settlement) = self.waiting.front() {
            let dead_letters = dead_letters(settlement).split_off(self.done);
            let (mut events, mut too_long) = (dead_letters.len(), None);
            while let Err(error) = store.keep(dead_letters[..events].to_vec()).await {
                match error {
                    BusError::Full(_) | BusError::TooLarge(_) if events > 1 => events /= 2,
                    BusError::TooLarge(why) => {
                        too_long = Some(why);
                        break;
                    }
                    error => return Err(error),
                }
            }
            if let Ending::GivenUp(given_up) = &settlement.ending {
                gave_up(context, &dead_letters[..events], given_up, too_long);
            }
            self.done += events;
            if events == dead_letters.len() {
                self.waiting.pop_front();
                self.done = 0;
            }
        }
        self.retry_at = None;
        context.change(EndpointHealth::unblock);
        Ok(())
    }

    /// Gives up the queue unsettled. Returns its events.
    pub(super) fn into_deliveries(self) -> impl Iterator<Item = Delivery> {
        self.waiting.into_iter().flat_map(|settlement| settlement.batch.deliveries()).skip(self.done)
    }
}

/// Settles events that are kept as dead letters; or drops one event that is too long for a dead letter and would
/// block all behind it.
fn gave_up(context: &HookContext, dead_letters: &[DeadLetter], given_up: &GivenUp, too_long: Option<String>) {
    let (hook, why, reason) = (&context.hook.id, given_up.why, &*given_up.detail);
    let outcome = match too_long {
        None => {
            tracing::warn!(%hook, events = dead_letters.len(), %why, reason, "events became dead letters");
            Outcome::DeadLettered(why)
        }
        Some(too_long) => {
            for DeadLetter { envelope, .. } in dead_letters {
                let (id, source) = (envelope.id(), envelope.source());
                tracing::error!(%hook, id, source, too_long, %why, reason, "event dropped: it is too long for a dead letter");
            }
            Outcome::Dropped(drop_reason(why))
        }
    };
    let positions: Vec<Position> = dead_letters.iter().map(|dead_letter| dead_letter.position).collect();
    context.settler.settle(&positions, outcome);
    context.notices.dead_lettered(&context.hook, dead_letters, matches!(outcome, Outcome::DeadLettered(_)));
}

fn drop_reason(why: DeadLetterReason) -> DropReason {
    match why {
        DeadLetterReason::Refused => DropReason::Refused,
        DeadLetterReason::Expired => DropReason::Expired,
    }
}

fn drop_events(context: &HookContext, settlement: &Settlement, given_up: &GivenUp) {
    let why = drop_reason(given_up.why);
    for event in settlement.batch.events() {
        tracing::error!(hook = %context.hook.id, id = event.id(), source = event.source(), %why, reason = &*given_up.detail, "event dropped: the bus keeps no dead letters");
    }
    context.settler.settle(&settlement.batch.positions(), Outcome::Dropped(why));
    context.notices.dead_lettered(&context.hook, &dead_letters(settlement), false);
}

/// The given-up events, as dead letters.
pub(crate) fn dead_letters(settlement: &Settlement) -> Vec<DeadLetter> {
    let Ending::GivenUp(given_up) = &settlement.ending else { return Vec::new() };
    let (first, last) = given_up.attempted;
    let dead_letter = |(position, event): (Position, &Envelope)| DeadLetter {
        position,
        envelope: event.clone(),
        reason: given_up.why,
        detail: cut(&given_up.detail).to_owned(),
        attempts: given_up.attempts,
        first_attempt: wall_clock(first),
        last_attempt: wall_clock(last),
    };
    settlement.batch.positions().into_iter().zip(settlement.batch.events()).map(dead_letter).collect()
}

fn cut(detail: &str) -> &str {
    let end = detail.floor_char_boundary(MAX_DETAIL);
    &detail[..end]
}

fn wall_clock(at: Instant) -> SystemTime {
    SystemTime::now() - now().saturating_duration_since(at)
}
