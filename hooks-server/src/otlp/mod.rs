//! Traces and metrics for a collector, as OTLP over HTTP has them.
//!
//! ```text
//!  attempts ─────record──▶ a span each ──queue──▶ task: up to 512 at a time ──▶ Collector: POST /v1/traces
//!  POST /v1/events ──────▶    │ full: lost, counted
//!  Metrics ────────────────────────────────────▶ task: every minute ───────▶ Collector: POST /v1/metrics
//! ```
//!
//! An attempt's span has the ids that its receiver was sent in `traceparent`, and links to the traces of its events. It is
//! made when the attempt is over: no delivery waits for a collector.

mod exporter;
mod points;
mod proto;
mod settings;
mod spans;
#[cfg(test)]
mod tests;
mod trace;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hooks_core::{Attempt, AttemptRecorder, async_trait};
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::metrics::Metrics;
use exporter::Exporter;
pub(crate) use points::Points;
use proto::Message;
pub use settings::TelemetrySettings;
use spans::Place;
pub(crate) use spans::PublishRequest;

/// Most spans that wait to be sent.
const QUEUE: usize = 4_096;

/// Where traces and metrics go.
///
/// ```
/// use bytes::Bytes;
/// use hooks_core::async_trait;
/// use hooks_server::otlp::{Collector, NotSent, Signal};
///
/// /// Sends nothing anywhere.
/// struct Nowhere;
///
/// #[async_trait]
/// impl Collector for Nowhere {
///     async fn send(&self, signal: Signal, body: Bytes) -> Result<(), NotSent> {
///         println!("POST {} of {} bytes", signal.path(), body.len());
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Collector: Send + Sync {
    /// Posts this body, `application/x-protobuf`. Has a time limit of its own. May be dropped at any time.
    ///
    /// # Errors
    /// When it was not taken.
    async fn send(&self, signal: Signal, body: Bytes) -> Result<(), NotSent>;
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// An `ExportTraceServiceRequest`.
    Traces,
    /// An `ExportMetricsServiceRequest`.
    Metrics,
}

impl Signal {
    /// Where it is posted to, below a collector's address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }
}

/// The reason why a collector has not taken something.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotSent {
    /// What happened.
    pub why: String,
    /// True if it may be sent again.
    pub again: bool,
    /// How long to wait at least before that.
    pub after: Option<Duration>,
}

/// Makes spans of attempts and of requests to publish. Give it to
/// [`Dispatcher::with_recorder`](hooks_core::Dispatcher::with_recorder) and
/// [`ServerBuilder::telemetry`](crate::ServerBuilder::telemetry), then let it [`export`](Self::export). Clones are the same.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    settings: TelemetrySettings,
    spans: mpsc::Sender<Message>,
    /// Taken by the task that sends them.
    queued: Mutex<Option<mpsc::Receiver<Message>>>,
    lost: AtomicU64,
    ending: watch::Sender<bool>,
}

impl Telemetry {
    /// With these settings.
    pub fn new(settings: TelemetrySettings) -> Self {
        let (spans, queued) = mpsc::channel(QUEUE);
        Self(Arc::new(Inner {
            settings,
            spans,
            queued: Mutex::new(Some(queued)),
            lost: AtomicU64::new(0),
            ending: watch::Sender::new(false),
        }))
    }

    /// The settings.
    pub fn settings(&self) -> &TelemetrySettings {
        &self.0.settings
    }

    /// Sends spans and these metrics to a collector from now on, once, until [`end`](Self::end).
    pub fn export(&self, collector: Arc<dyn Collector>, metrics: Arc<Metrics>) {
        let Some(spans) = self.0.queued.lock().take() else { return };
        let exporter = Arc::new(Exporter::new(self.clone(), collector));
        if self.0.settings.traces {
            tokio::spawn(exporter.clone().traces(spans, self.0.ending.subscribe()));
        }
        if self.0.settings.metrics {
            tokio::spawn(exporter.metrics(metrics, self.0.ending.subscribe()));
        }
    }

    /// Sends what there is, once, and ends. Waits at most so long.
    pub async fn end(&self, limit: Duration) {
        self.0.ending.send_replace(true);
        // Those who send hold a receiver of it each.
        let _ = tokio::time::timeout(limit, self.0.ending.closed()).await;
    }

    /// The number of spans that were not sent.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn published(&self, request: &PublishRequest<'_>) {
        self.push(|share| Place::of_publish(request, share), |place| spans::of_publish(request, place));
    }

    /// Queues a span, if it is recorded and there is room for it.
    fn push(&self, place: impl FnOnce(f64) -> Option<Place>, make: impl FnOnce(&Place) -> Message) {
        if !self.0.settings.traces {
            return;
        }
        let Some(place) = place(self.0.settings.sample) else { return };
        match self.0.spans.try_reserve() {
            Ok(room) => room.send(make(&place)),
            Err(TrySendError::Full(()) | TrySendError::Closed(())) => self.lose(1),
        }
    }

    fn lose(&self, spans: usize) {
        self.0.lost.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

impl AttemptRecorder for Telemetry {
    fn record(&self, attempt: &Attempt<'_>) {
        self.push(|share| Place::of_attempt(attempt, share), |place| spans::of_attempt(attempt, place));
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("lost", &self.lost()).finish_non_exhaustive()
    }
}
