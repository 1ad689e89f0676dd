//! Publishes notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::Audience;
use super::filling::Filling;
use super::limiter::Limiter;
use super::notice::Notice;
use crate::bus::{Bus, BusError};
use crate::envelope::Envelope;
use crate::operational::OperationalEvent;

/// How often the log is looked at, while somebody wants to hear that it fills.
const LOOK: Duration = Duration::from_secs(5);

/// The notices that wait to be published.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: mpsc::Receiver<Notice>,
    audience: Arc<Audience>,
    limiter: Limiter,
    filling: Filling,
}

impl Outbox {
    pub(super) fn new(waiting: mpsc::Receiver<Notice>, audience: Arc<Audience>) -> Self {
        Self { waiting, audience, limiter: Limiter::default(), filling: Filling::default() }
    }

    /// Publishes until the dispatcher is gone or the bus is closed. What waits then is lost.
    pub(crate) async fn publish(mut self, bus: Arc<dyn Bus>) {
        let mut look_at = now();
        let is_closed = loop {
            let looks = self.audience.wants(OperationalEvent::LogFilling);
            let wake = [self.limiter.next(), looks.then_some(look_at)].into_iter().flatten().min();
            let mut ready = Vec::new();
            tokio::select! {
                biased;
                notice = self.waiting.recv() => match notice {
                    Some(notice) => ready.extend(self.limiter.take(notice, now())),
                    None => break false,
                },
                () = self.audience.changed.notified() => continue,
                () = sleep_until(wake.unwrap_or_else(now).into()), if wake.is_some() => {}
            }
            if looks && look_at <= now() {
                look_at = now() + LOOK;
                let filling = self.look(&*bus);
                ready.extend(filling.and_then(|notice| self.limiter.take(notice, now())));
            }
            ready.extend(self.limiter.due(now()));
            if !self.publish_all(&*bus, ready).await {
                break true;
            }
        };
        if is_closed {
            self.waiting.close();
            while let Ok(notice) = self.waiting.try_recv() {
                self.audience.lose(notice.count());
            }
        }
        self.audience.lose(self.limiter.waiting());
    }

    /// The notice that the log fills, if it does.
    fn look(&mut self, bus: &dyn Bus) -> Option<Notice> {
        let (bytes, max_bytes) = self.filling.look(&bus.monitor().stats())?;
        let hooks = bus.hooks().known_hooks();
        let oldest = hooks.iter().filter_map(|hook| Some((bus.monitor().position(hook)?, hook))).min();
        let holds_oldest = oldest.map(|(_, hook)| hook.as_str());
        let facts = json!({ "bytes": bytes, "max_bytes": max_bytes, "hook": holds_oldest });
        Some(Notice::new(OperationalEvent::LogFilling, None, facts))
    }

    /// False once the bus is closed.
    async fn publish_all(&self, bus: &dyn Bus, notices: Vec<Notice>) -> bool {
        let mut is_open = true;
        for mut notice in notices {
            let error = match publish(bus, &mut notice).await {
                Ok(()) => continue,
                Err(error) => error,
            };
            self.audience.lose(notice.count());
            is_open &= !matches!(error, BusError::Closed);
            let event_type = notice.kind().event_type();
            tracing::warn!(event_type, hook = notice.hook(), %error, "an event of the dispatcher is lost: it can't be published");
        }
        is_open
    }
}

/// Publishes a notice; without the events that it tells of, where it would be too large with them.
async fn publish(bus: &dyn Bus, notice: &mut Notice) -> Result<(), BusError> {
    loop {
        let published = match Envelope::of_dispatcher(notice) {
            Ok(event) => bus.publish(event.into()).await.map(drop),
            Err(error) => Err(BusError::TooLarge(error.to_string())),
        };
        match published {
            Err(BusError::TooLarge(_)) if notice.strip() => {}
            published => return published,
        }
    }
}

/// The time of tokio's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
