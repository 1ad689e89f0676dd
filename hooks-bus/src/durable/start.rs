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
        let found = self.blocking(move |inner| {
            let since = from.since(time(inner.storage.now())).unwrap_or(UNIX_EPOCH);
            let seconds = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let position = inner.storage.log.since(seconds);
            let failed = |error| inner.storage.unavailable("find events by their time", &error);
            Ok(Start::Since { since, position: position.map_err(failed)? })
        });
        found.await
    }

    /// The first position of a new hook. No event may be dispatched meanwhile: the log ends at `end`. Logs how much of the
    /// past is gone.
    pub(crate) fn first_position(&self, hook: &HookId, start: Start, end: u64) -> u64 {
        let begin = self.storage.log.begin();
        let begun = self.storage.log.locate(begin).and_then(|part| part.segment.begun());
        match start {
            Start::End => end,
            Start::Earliest => {
                let age = begun.map(|begun| self.storage.clock.time().saturating_sub(begun));
                let age = age.map(|age| HumanDuration::new(Duration::from_secs(age)).to_string());
                let (events, age) = (end.saturating_sub(begin), age.unwrap_or_else(|| "unknown".to_owned()));
                if begin == 0 {
                    tracing::info!(%hook, events, age, "the hook begins with the first event");
                } else {
                    tracing::warn!(%hook, events, age, gone = begin, "the hook begins with the oldest event of the log: older ones are gone");
                }
                begin
            }
            Start::Since { since, position } => {
                // Older ones may have gone since it was found.
                let position = position.max(begin);
                let (events, from) = (end.saturating_sub(position), hooks_core::timestamp(since));
                let is_gone = position == begin && begin > 0 && begun.is_none_or(|begun| time(begun) > since);
                if is_gone {
                    tracing::warn!(%hook, events, from, gone = begin, "the hook begins with the oldest event of the log: older ones are gone");
                } else {
                    tracing::info!(%hook, events, from, "the hook begins with the events from this time on");
                }
                position
            }
        }
    }
}
