//! The end: what was accepted is delivered, as far as there is time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::hook_locks::uncancelled;
use super::{Dispatcher, Inner, Report};
use crate::worker::Mode;

/// What comes after the deliveries (sinks close, the bus makes last what was settled last) has this part of the grace
/// left,
const CLOSING_PART: u32 = 10;

/// and never more than this; that much, too, where there is no grace at all.
const MAX_CLOSING: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Closes the bus, delivers everything that was accepted, for as long as `grace` allows (`None`: as
    /// long as it takes), and says what was delivered and what was left behind. All hooks drain in
    /// parallel; a hook disabled by its receiver leaves its events behind at once.
    ///
    /// The grace is the whole: a tenth of it, at most a second, is kept for sinks to close and for the bus to
    /// note how far the hooks are. What hangs then is left to itself. With a grace of zero nothing more is
    /// tried, and ending takes a second at most.
    ///
    /// # Cancel safety
    /// Once begun it goes on to its end, also when the call is dropped. Calling again waits for that, or with a
    /// shorter grace makes it end sooner.
    pub async fn shutdown(&self, grace: Option<Duration>) -> Report {
        // What comes later is refused.
        self.0.slots.lock().shut_down = true;
        uncancelled(self.0.clone().shut_down(grace)).await
    }
}

impl Inner {
    async fn shut_down(self: Arc<Self>, grace: Option<Duration>) -> Report {
        let limits = grace.and_then(Limits::of);
        within(limits.as_ref().map(|limits| limits.drain), self.drain()).await;
        self.stop_following().await;
        self.send_to_all(Mode::Park);
        within(limits.as_ref().map(|limits| limits.ended), self.ended()).await;
        let inner = self.clone();
        // It goes on, should there be no time for it: half a finish is none.
        let finished = uncancelled(async move {
            inner.bus.close().await;
            inner.bus.finish().await;
        });
        within(limits.map(|limits| limits.finish), finished).await;
        Report { hooks: self.status() }
    }

    /// Delivers what was accepted.
    async fn drain(self: &Arc<Self>) {
        let inner = self.clone();
        uncancelled(async move { inner.bus.close().await }).await;
        self.send_to_all(Mode::Drain);
        self.ended().await;
    }

    /// Waits until every worker has ended, also those that a change is about to start.
    async fn ended(&self) {
        drop(self.changing.write().await);
        // The workers run by themselves, so waiting for one after the other loses no time.
        for slot in self.all() {
            slot.ended().await;
        }
    }
}

/// When each part of the end has to be over.
struct Limits {
    drain: Instant,
    ended: Instant,
    finish: Instant,
}

impl Limits {
    /// `None`: longer than the clock can tell.
    fn of(grace: Duration) -> Option<Self> {
        let now = Instant::now();
        let end = if grace.is_zero() { MAX_CLOSING } else { (grace / CLOSING_PART).min(MAX_CLOSING) };
        let drain = now.checked_add(grace.saturating_sub(end))?;
        Some(Self { drain, ended: drain.checked_add(end / 2)?, finish: drain.checked_add(end)? })
    }
}

/// Whether there was time enough shows in the report.
async fn within(limit: Option<Instant>, work: impl Future<Output = ()>) {
    match limit {
        Some(limit) => drop(timeout_at(limit, work).await),
        None => work.await,
    }
}
