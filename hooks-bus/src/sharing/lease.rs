//! The lease: the time for which this instance may rely on owning its hooks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::machine::Mark;

/// Runs from when a heartbeat was sent, so it ends before other instances, which count from when they heard it,
/// take this one for dead. Uses a clock that goes on while the process is stopped.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    until: Mutex<Option<Instant>>,
    given_up: AtomicBool,
    /// Kept as long as any hook is, so that nobody takes this instance for ended that may deliver.
    mark: Option<Mark>,
}

impl Lease {
    pub(crate) fn new(length: Duration, mark: Option<Mark>) -> Self {
        Self { length, until: Mutex::new(None), given_up: AtomicBool::new(false), mark }
    }

    /// Shows to others of this machine that this instance has not ended.
    pub(crate) fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.until.lock().is_some_and(|until| now < until)
    }

    /// The server took a heartbeat that was sent then.
    pub(crate) fn renew(&self, sent: Instant) {
        let mut until = self.until.lock();
        *until = (*until).max(Some(sent + self.length));
    }

    /// Ends it now.
    pub(crate) fn end(&self) {
        self.give_up();
        *self.until.lock() = None;
    }

    /// Stops renewing it: this instance can't deliver any more, and others may.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Waits until it has run out.
    pub(crate) async fn ends(&self) {
        loop {
            let until = *self.until.lock();
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// The interval of heartbeats.
    pub(crate) fn interval(&self) -> Duration {
        self.length / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_when_the_sign_was_sent() {
        let (lease, start) = (Lease::new(Duration::from_secs(5), None), Instant::now());
        assert!(!lease.holds(start));
        lease.renew(start);
        assert!(lease.holds(start + Duration::from_millis(4_999)) && !lease.holds(start + Duration::from_secs(5)));
        lease.renew(start - Duration::from_secs(1));
        assert!(lease.holds(start + Duration::from_millis(4_999)));
        lease.end();
        assert!(!lease.holds(start) && lease.is_given_up());
    }
}
