//! The state that all connections share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hooks_core::{
    Bus, BusError, Dispatcher, TenantId,
    bus::{BusHealth, Published},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedRwLockReadGuard, RwLock as AsyncRwLock, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::answer::Refusal;
use super::fullness::Fullness;
use super::grants::Others;
use super::pending::Pending;
use crate::Settings;
use crate::metrics::{Pages, Render, Requests};

/// The bus that requests publish to, and the limits of requests.
pub(crate) struct State {
    pub(super) bus: Arc<dyn Bus>,
    settings: RwLock<Arc<Settings>>,
    /// Bytes of bodies that may still be read.
    pub(super) room: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
    /// Held for reading by requests that publish.
    publishing: Arc<AsyncRwLock<()>>,
    pub(super) metrics: Pages,
    pub(super) requests: Arc<Requests>,
    fullness: Mutex<Fullness>,
    /// Has the hooks.
    pub(super) dispatcher: Arc<Dispatcher>,
    /// Those that share the bus.
    pub(super) others: Option<Others>,
    pending: Pending,
    pub(super) telemetry: Option<crate::otlp::Telemetry>,
}

/// The phase of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Accepting,
    /// Nothing more is published; connections are still answered.
    Draining,
    /// Connections end.
    Cut,
}

impl State {
    pub(crate) fn new(
        bus: Arc<dyn Bus>,
        dispatcher: Arc<Dispatcher>,
        settings: Settings,
        requests: Arc<Requests>,
        metrics: Arc<Render>,
    ) -> Self {
        Self {
            bus,
            room: Arc::new(Semaphore::new(settings.ingest.max_in_flight.get().min(Semaphore::MAX_PERMITS))),
            settings: RwLock::new(Arc::new(settings)),
            phase: watch::Sender::new(Phase::Accepting),
            publishing: Arc::default(),
            metrics: Pages::new(metrics),
            requests,
            fullness: Mutex::default(),
            dispatcher,
            others: None,
            pending: Pending::default(),
            telemetry: None,
        }
    }

    /// Makes a span of each request to publish.
    pub(crate) fn with_telemetry(self, telemetry: Option<crate::otlp::Telemetry>) -> Self {
        Self { telemetry, ..self }
    }

    /// With other instances that share the bus.
    pub(crate) fn with_others(self, others: Option<Others>) -> Self {
        Self { others, ..self }
    }

    /// Lets a tenant publish so many bytes more.
    ///
    /// # Errors
    /// When too much of it is pending, or in the log.
    pub(super) fn admit(&self, tenant: &TenantId, bytes: usize, settings: &Settings) -> Result<(), Refusal> {
        let taken = || self.bus.monitor().tenant_bytes(tenant);
        if let Some((limit, taken)) = settings.max_retained.and_then(|limit| Some((limit, taken()?)))
            && taken.saturating_add(bytes as u64) > limit.bytes()
        {
            return Err(Refusal::Full(format!(
                "events of tenant `{tenant}` take {taken} bytes of the log, and {limit} may be taken (api.max_retained): publish more when older ones have gone from it"
            )));
        }
        let lags = || self.dispatcher.lags_of(tenant);
        self.pending.admit(tenant, bytes as u64, settings.max_pending, lags).map_err(Refusal::TenantFull)
    }

    /// Tells the log when the bus begins to refuse events for want of room, and when it takes them again.
    pub(super) fn published(&self, result: &Result<Published, BusError>) {
        match result {
            Ok(_) if self.fullness.lock().accepted(Instant::now()) => tracing::info!("events are taken again"),
            Err(error)
                if matches!(error.parts().0, BusError::Full(_)) && self.fullness.lock().refused(Instant::now()) =>
            {
                tracing::error!(%error, "events are refused (507) until there is room");
            }
            _ => {}
        }
    }

    /// The reason why events are not taken now, for clients without a token: operators are told the rest.
    pub(super) fn why_not_ready(&self) -> Option<&'static str> {
        match self.bus.monitor().health() {
            _ if !self.is_accepting() => Some("draining\n"),
            BusHealth::Broken(_) => Some("broken\n"),
            health if health.trouble().is_some() => Some("unavailable\n"),
            // Events were just refused because there was no room to keep them.
            _ => self.fullness.lock().is_recent(Instant::now()).then_some("full\n"),
        }
    }

    /// The state of the bus.
    pub(crate) fn health(&self) -> BusHealth {
        self.bus.monitor().health()
    }

    /// Requests that begin from now on have these settings.
    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.write() = Arc::new(settings);
    }

    /// Publishes nothing more: what is being published is waited for, at most so long.
    pub(crate) async fn drain(&self, limit: Duration) {
        self.phase.send_replace(Phase::Draining);
        let _ = timeout(limit, self.publishing.write()).await;
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.phase.send_replace(Phase::Cut);
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn is_accepting(&self) -> bool {
        *self.phase.borrow() == Phase::Accepting
    }

    /// The right to publish. `None` once everything drains.
    pub(super) fn may_publish(&self) -> Option<OwnedRwLockReadGuard<()>> {
        let guard = self.publishing.clone().try_read_owned().ok()?;
        // Looked at under the guard: a drain waits for it or is seen here.
        self.is_accepting().then_some(guard)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("phase", &*self.phase.borrow()).finish_non_exhaustive()
    }
}
