//! Rollbacks of the stream: its server lost what it had not synced, or an older copy was restored. Events that hooks
//! have read beyond its new end are gone, and others come in their place.

use std::time::{Duration, SystemTime};

use hooks_core::BusError;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::inner::Tail;
use super::{Inner, subject};

/// The time that a newly elected leader has to learn what is in its stream.
const LEADER_CATCH_UP: Duration = Duration::from_secs(5);

/// The furthest known position of the stream, and a time, by the server's clock and in nanoseconds, at which it
/// existed already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct HighWater {
    pub(super) last: u64,
    pub(super) time: i128,
}

/// The known end of the stream.
#[derive(Debug, Default)]
pub(super) struct Rollback {
    seen: Mutex<HighWater>,
    /// The time since which the stream ends before what was seen.
    behind_since: Mutex<Option<Instant>>,
    /// Held while hooks go back.
    rolling_back: tokio::sync::Mutex<()>,
}

impl Rollback {
    /// An event was read.
    pub(super) fn event_read(&self, seq: u64, accepted: SystemTime) {
        self.seen.lock().see(seq, nanos(accepted));
    }
}

/// Since 1970.
fn nanos(time: SystemTime) -> i128 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

impl HighWater {
    pub(super) fn see(&mut self, last: u64, time: i128) {
        if last > self.last {
            *self = Self { last, time };
        }
    }
}

impl Inner {
    /// The furthest position seen here or written in the entries of hooks.
    pub(super) fn high_water(&self) -> HighWater {
        let mut high_water = *self.rollback.seen.lock();
        let HighWater { last, time } = self.registry.lock().high_water();
        high_water.see(last, time);
        high_water
    }

    /// Compares the stream's end, read after `known` was seen, with it.
    pub(super) async fn check_for_rollback(
        &self,
        known: HighWater,
        tail: Tail,
        time: i128,
        copies: usize,
    ) -> Result<(), BusError> {
        if tail.last >= known.last {
            *self.rollback.behind_since.lock() = None;
            self.rollback.seen.lock().see(tail.last, time);
            return Ok(());
        }
        let since = *self.rollback.behind_since.lock().get_or_insert_with(Instant::now);
        if copies > 1 && since.elapsed() < LEADER_CATCH_UP {
            return Ok(());
        }
        let _turn = self.rollback.rolling_back.lock().await;
        // Another task may have done it before.
        if self.high_water().last > tail.last { self.roll_back(known, tail, time).await } else { Ok(()) }
    }

    async fn roll_back(&self, known: HighWater, tail: Tail, time: i128) -> Result<(), BusError> {
        let (kept, next) = self.last_accepted_by(known.time, tail).await?;
        tracing::error!(
            known = known.last,
            last = tail.last,
            "the stream `{}` was rolled back: its server lost what it had not synced, or an older copy was restored; hooks go on behind {kept}",
            self.config.name
        );
        let read_here = self.rollback.seen.lock().last > tail.last;
        self.registry.lock().roll_back(kept, next);
        if read_here {
            self.hooks.lock().values().for_each(|hook| hook.roll_back(kept));
        }
        self.publisher.roll_back(tail.last);
        *self.rollback.seen.lock() = HighWater { last: tail.last, time };
        *self.rollback.behind_since.lock() = None;
        Ok(())
    }

    /// The last position that was accepted until then, and the time at which the one after it was, if there is one.
    async fn last_accepted_by(&self, then: i128, tail: Tail) -> Result<(u64, Option<i128>), BusError> {
        let all = [subject::of_all(&self.config.name)];
        let (mut old, mut new) = (tail.first.saturating_sub(1), tail.last + 1);
        let mut next = None;
        while new - old > 1 {
            let middle = old + (new - old) / 2;
            match self.fetch(middle, &all).await?.filter(|message| message.seq < new) {
                None => new = middle,
                Some(message) => match nanos(message.accepted) {
                    time if time <= then => old = message.seq,
                    time => (new, next) = (middle, Some(time)),
                },
            }
        }
        Ok((new - 1, next))
    }
}
