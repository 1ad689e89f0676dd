//! An event that was given up, as others hear of it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::bus::DeadLetter;
use crate::ledger::DeadLetterReason;

/// An event that was given up.
#[derive(Debug, Serialize)]
pub(super) struct Letter {
    reason: DeadLetterReason,
    detail: String,
    position: u64,
    attempts: u32,
    /// True if it is kept, and can be replayed.
    kept: bool,
    /// The event as it was accepted; null where it is too large to be told of.
    event: Option<Box<RawValue>>,
}

impl Letter {
    pub(super) fn new(dead_letter: &DeadLetter, kept: bool) -> Self {
        let DeadLetter { position, envelope, reason, detail, attempts, .. } = dead_letter;
        Self {
            reason: *reason,
            detail: detail.clone(),
            position: position.get(),
            attempts: *attempts,
            kept,
            event: RawValue::from_string(envelope.json().to_owned()).ok(),
        }
    }

    /// Bytes of the event.
    pub(super) fn bytes(&self) -> usize {
        self.event.as_ref().map_or(0, |event| event.get().len())
    }

    /// Takes the event out. False if there was none.
    pub(super) fn strip(&mut self) -> bool {
        self.event.take().is_some()
    }
}

/// The data of the event that tells of it.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    hook: &'a str,
    reason: DeadLetterReason,
    detail: &'a str,
    position: u64,
    attempts: u32,
    kept: bool,
    event: Option<&'a RawValue>,
    /// Those that were given up since.
    more: &'a [Letter],
    left_out: u64,
}

impl<'a> Told<'a> {
    pub(super) fn of(hook: &'a str, first: &'a Letter, more: &'a [Letter], left_out: u64) -> Self {
        let Letter { reason, detail, position, attempts, kept, event } = first;
        Self {
            hook,
            reason: *reason,
            detail,
            position: *position,
            attempts: *attempts,
            kept: *kept,
            event: event.as_deref(),
            more,
            left_out,
        }
    }
}
