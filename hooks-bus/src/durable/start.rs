//! Where a new hook begins.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_core::{BusError, HookId, HumanDuration, StartAt};

use super::inner::Inner;
use super::scan::time;

/// The place where a new hook begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    End,
    Earliest,
    /// At the first event that was accepted at this time or later.
    Since {
        since: SystemTime,
        position: u64,
    },
}

impl Inner {
    /// Finds the place: one that is said by a time takes a look at the log, unless the hook is known and goes on where
    /// it was. If it is forgotten meanwhile, it gets too much rather than too little.
    pub(crate) async fn start(self: &Arc<Self>, hook: &HookId, from: StartAt) -> Result<Start, BusError> {
        match from {
            StartAt::End => return Ok(Start::End),
            StartAt::Earliest => return Ok(Start::Earliest),
            _ if self.hooks.knows(hook) => return Ok(Start::Earliest),
            _ => {}
        }
        self.blocking(move |inner| inner.find_start(from)).await
    }

    /// Finds a place. Blocks.
    pub(crate) fn find_start(&self, from: StartAt) -> Result<Start, BusError> {
        let Some(since) = from.since(time(self.storage.now())) else {
            return Ok(if from == StartAt::Earliest { Start::Earliest } else { Start::End });
        };
        let seconds = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let failed = |error| self.storage.unavailable("find events by their time", &error);
        Ok(Start::Since { since, position: self.storage.log.since(seconds).map_err(failed)? })
    }

    /// The position of a place, and whether older events that belong to it are gone. No event may be dispatched meanwhile:
    /// the log ends at `end`.
    pub(crate) fn position_of(&self, start: Start, end: u64) -> (u64, bool) {
        let begin = self.storage.log.begin();
        match start {
            Start::End => (end, false),
            Start::Earliest => (begin, false),
            Start::Since { since, position } => {
                // Older ones may have gone since it was found.
                let position = position.max(begin);
                let is_gone = position == begin && begin > 0 && self.begun().is_none_or(|begun| time(begun) > since);
                (position, is_gone)
            }
        }
    }

    /// The time when the oldest file of the log was begun, in seconds since 1970.
    fn begun(&self) -> Option<u64> {
        self.storage.log.locate(self.storage.log.begin()).and_then(|part| part.segment.begun())
    }

    /// The first position of a new hook. No event may be dispatched meanwhile: the log ends at `end`. Logs how much of the
    /// past is gone.
    pub(crate) fn first_position(&self, hook: &HookId, start: Start, end: u64) -> u64 {
        let (position, is_gone) = self.position_of(start, end);
        let (events, gone) = (end.saturating_sub(position), position);
        match start {
            Start::End => {}
            Start::Earliest => {
                let age = self.begun().map(|begun| self.storage.clock.time().saturating_sub(begun));
                let age = age.map(|age| HumanDuration::new(Duration::from_secs(age)).to_string());
                let age = age.unwrap_or_else(|| "unknown".to_owned());
                if gone == 0 {
                    tracing::info!(%hook, events, age, "the hook begins with the first event");
                } else {
                    tracing::warn!(%hook, events, age, gone, "the hook begins with the oldest event of the log: older ones are gone");
                }
            }
            Start::Since { since, .. } => {
                let from = hooks_core::timestamp(since);
                if is_gone {
                    tracing::warn!(%hook, events, from, gone, "the hook begins with the oldest event of the log: older ones are gone");
                } else {
                    tracing::info!(%hook, events, from, "the hook begins with the events from this time on");
                }
            }
        }
        position
    }
}
