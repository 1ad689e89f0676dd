//! Sends telemetry to a collector over HTTP.

use std::sync::Arc;
use std::time::Duration;

use hooks_core::{AttemptRecorder, BoxError, Dispatcher};
use hooks_server::history::History;
use hooks_server::metrics::Metrics;
use hooks_server::otlp::{Telemetry, TelemetrySettings};

#[cfg(feature = "http")]
mod collector;
#[cfg(feature = "http")]
pub(crate) use collector::headers;

/// How long what is left at the end may take to be sent.
const AT_THE_END: Duration = Duration::from_secs(5);

/// Where a collector listens by default.
#[cfg(feature = "http")]
const ENDPOINT: &str = "http://localhost:4318";

/// Checks the address of a collector.
#[cfg(feature = "http")]
pub(crate) fn address(text: &str) -> Result<reqwest::Url, String> {
    crate::remote::address_like(text, "http://host:4318", "set `headers`")
}

/// Makes spans, if the config says so.
pub(crate) fn of(settings: Option<&TelemetrySettings>) -> Option<Telemetry> {
    settings.cloned().map(Telemetry::new)
}

/// A dispatcher whose attempts are recorded by these.
pub(crate) fn recorded(dispatcher: Dispatcher, history: Option<&History>, telemetry: Option<&Telemetry>) -> Dispatcher {
    let mut recorders: Vec<Arc<dyn AttemptRecorder>> = Vec::new();
    recorders.extend(history.map(|history| Arc::new(history.clone()) as _));
    recorders.extend(telemetry.map(|telemetry| Arc::new(telemetry.clone()) as _));
    if recorders.is_empty() { dispatcher } else { dispatcher.with_recorder(Arc::new(recorders)) }
}

/// Sends what it makes, and these metrics, from now on.
///
/// # Errors
/// When TLS can't be set up, or a header can't be sent.
#[cfg(feature = "http")]
pub(crate) fn export(telemetry: &Telemetry, metrics: Arc<Metrics>) -> Result<(), BoxError> {
    let collector = collector::HttpCollector::new(telemetry.settings())?;
    telemetry.export(Arc::new(collector), metrics);
    Ok(())
}

/// Never comes to pass: the config file was refused.
#[cfg(not(feature = "http"))]
pub(crate) fn export(_: &Telemetry, _: Arc<Metrics>) -> Result<(), BoxError> {
    Ok(())
}

/// Sends what is left, if anything is sent.
pub(crate) async fn end(telemetry: Option<&Telemetry>) {
    if let Some(telemetry) = telemetry {
        telemetry.end(AT_THE_END).await;
    }
}
