//! Whether the stream ends before what was there, because its server lost what it had not synced, or an older copy of
//! it was restored: what hooks have read beyond is gone, and other events come in its place.

use std::time::{Duration, SystemTime};

use hooks_core::BusError;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::inner::Tail;
use super::{Inner, subject};

/// How long a leader that was elected a moment ago may take to know what is in its stream.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The furthest that was seen of the stream, and a time, by the server's clock and in nanoseconds, at which that was
/// there already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Furthest {
    pub(super) last: u64,
    pub(super) time: i128,
}

/// What is known of the stream's end.
#[derive(Debug, Default)]
pub(super) struct Back {
    seen: Mutex<Furthest>,
    /// Since when the stream ends before what was seen.
    behind: Mutex<Option<Instant>>,
    /// Held while hooks go back.
    turn: tokio::sync::Mutex<()>,
}

impl Back {
    /// An event was read.
    pub(super) fn read(&self, seq: u64, accepted: SystemTime) {
        self.seen.lock().see(seq, nanos(accepted));
    }
}

/// Since 1970.
fn nanos(time: SystemTime) -> i128 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

impl Furthest {
    pub(super) fn see(&mut self, last: u64, time: i128) {
        if last > self.last {
            *self = Self { last, time };
        }
    }
}

impl Inner {
    /// What was seen here, or by whoever wrote the entries of hooks.
    pub(super) fn furthest(&self) -> Furthest {
        let mut furthest = *self.back.seen.lock();
        let Furthest { last, time } = self.registry.lock().furthest();
        furthest.see(last, time);
        furthest
    }

    /// The stream was looked at after `known` was seen.
    pub(super) async fn compare(&self, known: Furthest, tail: Tail, time: i128, copies: usize) -> Result<(), BusError> {
        if tail.last >= known.last {
            *self.back.behind.lock() = None;
            self.back.seen.lock().see(tail.last, time);
            return Ok(());
        }
        let since = *self.back.behind.lock().get_or_insert_with(Instant::now);
        if copies > 1 && since.elapsed() < CATCH_UP {
            return Ok(());
        }
        let _turn = self.back.turn.lock().await;
        // Whoever had the turn before may have done it.
        if self.furthest().last > tail.last { self.go_back(known, tail, time).await } else { Ok(()) }
    }

    async fn go_back(&self, known: Furthest, tail: Tail, time: i128) -> Result<(), BusError> {
        let (kept, next) = self.kept_until(known.time, tail).await?;
        tracing::error!(
            known = known.last,
            last = tail.last,
            "the stream `{}` went back: its server lost what it had not synced, or an older copy was restored; hooks go on behind {kept}",
            self.config.name
        );
        let read_here = self.back.seen.lock().last > tail.last;
        self.registry.lock().go_back(kept, next);
        if read_here {
            self.hooks.lock().values().for_each(|hook| hook.go_back(kept));
        }
        self.publisher.go_back(tail.last);
        *self.back.seen.lock() = Furthest { last: tail.last, time };
        *self.back.behind.lock() = None;
        Ok(())
    }

    /// The last position that was accepted until then, and when the one after it was, if there is one.
    async fn kept_until(&self, then: i128, tail: Tail) -> Result<(u64, Option<i128>), BusError> {
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
