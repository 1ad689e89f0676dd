//! From what was read to the bus, which may have no room or be away.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use hooks_core::{BusError, Slice};

use super::Run;

/// The interval at which a bus that refuses is asked again: nothing tells when it takes events.
const ROOM: Duration = Duration::from_millis(100);

impl Run<'_> {
    /// A bus that has no room, or can't be reached, makes the pipe wait, as a full queue does. What is too large for
    /// it goes in parts, and an event that is too large alone is left out.
    pub(super) async fn publish(&self, slice: Slice) -> Result<(), BusError> {
        let (mut said, mut most) = (None, slice.len());
        let mut rest = VecDeque::from([slice]);
        while let Some(next) = rest.front() {
            let part = next.part(0..most.min(next.len()));
            let events = part.len();
            let error = match self.bus.publish(part).await {
                Ok(published) => {
                    self.accepted(&mut rest, std::slice::from_ref(&(0..events)));
                    self.stats(|stats| stats.duplicates += published.duplicates as u64);
                    continue;
                }
                Err(error) => error,
            };
            let (cause, accepted) = error.parts();
            self.accepted(&mut rest, accepted);
            match cause {
                BusError::TooLarge(_) if events > 1 => most = events / 2,
                BusError::TooLarge(_) => {
                    self.refused(&mut rest, cause);
                    most = usize::MAX;
                }
                BusError::Full(why) => self.wait(&mut said, "reading waits for room", why).await,
                BusError::Unavailable(why) if !self.bus.monitor().health().is_broken() => {
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
    fn refused(&self, rest: &mut VecDeque<Slice>, why: &BusError) {
        let line = self.lines().front().copied().unwrap_or_default();
        self.take_out(rest, std::slice::from_ref(&(0..1)));
        self.console.say(format_args!("line {line}: {why}"));
        self.stats(|stats| {
            stats.waiting -= 1;
            stats.malformed += 1;
        });
    }

    fn accepted(&self, rest: &mut VecDeque<Slice>, accepted: &[Range<usize>]) {
        self.take_out(rest, accepted);
        let count = accepted.iter().map(|range| range.len() as u64).sum::<u64>();
        self.stats(|stats| {
            stats.waiting -= count;
            stats.events += count;
        });
    }

    /// These events of the first slice, which are the next to be accepted, are done with.
    fn take_out(&self, rest: &mut VecDeque<Slice>, events: &[Range<usize>]) {
        let Some(slice) = rest.pop_front() else { return };
        let (mut lines, mut end) = (self.lines(), slice.len());
        let mut put_back = |range: Range<usize>| {
            if !range.is_empty() {
                rest.push_front(slice.part(range));
            }
        };
        for range in events.iter().rev() {
            put_back(range.end..end);
            lines.drain(range.clone());
            end = range.start;
        }
        put_back(0..end);
    }

    pub(super) fn lines(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.unaccepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
