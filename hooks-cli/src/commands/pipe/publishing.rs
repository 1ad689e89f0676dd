//! From what was read to the bus, which may have no room or be away.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use hooks_core::{BusError, Envelope};

use super::Run;

/// How often a bus that refuses is asked again: nothing tells when it takes events.
const ROOM: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// A bus that has no room, or can't be reached, makes the pipe wait, as a full queue does. What is too large for
    /// it goes in parts, and an event that is too large alone is left out.
    pub(super) async fn publish(&self, mut events: Vec<Envelope>) -> Result<(), BusError> {
        let (mut said, mut part) = (None, events.len());
        while !events.is_empty() {
            part = part.min(events.len());
            let Err(error) = self.bus.publish(&events[..part]).await else {
                self.accepted(&mut events, std::slice::from_ref(&(0..part)));
                continue;
            };
            let (cause, accepted) = error.parts();
            self.accepted(&mut events, accepted);
            match cause {
                BusError::TooLarge(_) if part > 1 => part /= 2,
                BusError::TooLarge(_) => {
                    events.remove(0);
                    self.refused(cause);
                    part = events.len();
                }
                BusError::Full(why) => self.wait(&mut said, "reading waits for room", why).await,
                BusError::Unavailable(why) if !self.bus.health().is_broken() => {
                    self.wait(&mut said, "reading waits", why).await;
                }
                _ => return Err(error),
            }
        }
        Ok(())
    }

    /// Says why, once, and lets some time pass.
    async fn wait(&self, said: &mut Option<&'static str>, what: &'static str, why: &str) {
        if said.replace(what) != Some(what) {
            self.console.say(format_args!("{what}: {why}"));
        }
        tokio::time::sleep(ROOM).await;
    }

    /// The bus never takes the event that was to be the next: it counts as its line would if it was malformed.
    fn refused(&self, why: &BusError) {
        let line = self.lines().pop_front().unwrap_or_default();
        self.console.say(format_args!("line {line}: {why}"));
        self.tally(|tally| {
            tally.waiting -= 1;
            tally.malformed += 1;
        });
    }

    /// Takes out those that were accepted, of events that are the next to be.
    fn accepted(&self, events: &mut Vec<Envelope>, accepted: &[Range<usize>]) {
        let mut lines = self.lines();
        for range in accepted.iter().rev() {
            events.drain(range.clone());
            lines.drain(range.clone());
        }
        let count = accepted.iter().map(|range| range.len() as u64).sum::<u64>();
        self.tally(|tally| {
            tally.waiting -= count;
            tally.events += count;
        });
    }

    pub(super) fn lines(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.unaccepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
