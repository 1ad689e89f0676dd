//! Shutdown: delivers accepted events, as far as time allows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::hook_locks::uncancelled;
use super::{Dispatcher, Inner, Report};
use crate::worker::Mode;

/// The part of the grace that is kept for the end: sinks close, and the bus makes the last settled positions durable.
const CLOSING_PART: u32 = 10;

/// Upper limit of that part, and its length when the grace is zero.
const MAX_CLOSING: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Closes the bus, delivers all accepted events for as long as `grace` allows (`None`: as long as it takes), and
    /// reports the delivered events and those left behind. All hooks drain in parallel; a hook that its receiver
    /// disabled leaves its events behind at once.
    ///
    /// The grace includes everything: a tenth of it, at most a second, is kept for sinks to close and for the bus to
    /// keep the positions of hooks. Work that hangs after that is abandoned. With a grace of zero nothing more is
    /// tried, and the shutdown takes a second at most.
    ///
    /// # Cancel safety
    /// A shutdown that has begun goes on, also when the call is dropped. A second call waits for it, or with a shorter
    /// grace makes it end sooner.
    pub async fn shutdown(&self, grace: Option<Duration>) -> Report {
        // Later changes are refused.
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
        // It goes on even when there is no time left: half a finish is none.
        let finished = uncancelled(async move {
            inner.bus.close().await;
            inner.bus.finish().await;
        });
        within(limits.map(|limits| limits.finish), finished).await;
        Report { hooks: self.status() }
    }

    /// Delivers accepted events.
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

/// Deadlines of the parts of a shutdown.
struct Limits {
    drain: Instant,
    ended: Instant,
    finish: Instant,
}

impl Limits {
    /// The deadlines for this grace. `None`: longer than the clock can tell.
    fn of(grace: Duration) -> Option<Self> {
        let now = Instant::now();
        let end = if grace.is_zero() { MAX_CLOSING } else { (grace / CLOSING_PART).min(MAX_CLOSING) };
        let drain = now.checked_add(grace.saturating_sub(end))?;
        Some(Self { drain, ended: drain.checked_add(end / 2)?, finish: drain.checked_add(end)? })
    }
}

/// Runs work until the limit. The report shows whether the time was enough.
async fn within(limit: Option<Instant>, work: impl Future<Output = ()>) {
    match limit {
        Some(limit) => drop(timeout_at(limit, work).await),
        None => work.await,
    }
}
