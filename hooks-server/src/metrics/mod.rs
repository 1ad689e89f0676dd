//! Metrics in the text formats of Prometheus.
//!
//! Hooks that never had anything to deliver have no series, so a page grows with what happens, not with
//! what is configured.

mod pages;
mod requests;
mod text;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hooks_core::{Bus, DeadLetterReason, Dispatcher, DropReason, EndpointState, HookStatus, Lag, sink::FailureClass};

use crate::Reloads;
use crate::history::History;
use text::Exposition;

pub(crate) use pages::{Page, Pages, Render};
pub(crate) use requests::Requests;
pub use text::Format;
pub(crate) use text::{Kind, Labels, Number};

/// Everything that is counted somewhere.
pub struct Metrics {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) requests: Option<Arc<Requests>>,
    pub(crate) reloads: Option<Arc<Reloads>>,
    pub(crate) history: Option<History>,
    pub(crate) telemetry: Option<crate::otlp::Telemetry>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The metrics of a bus and its hooks, for a process that has no [`Server`](crate::Server).
    pub fn new(bus: Arc<dyn Bus>, dispatcher: Arc<Dispatcher>) -> Self {
        Self { dispatcher, bus, requests: None, reloads: None, history: None, telemetry: None }
    }

    /// Counts the spans that were lost, too.
    #[must_use]
    pub fn with_telemetry(self, telemetry: crate::otlp::Telemetry) -> Self {
        Self { telemetry: Some(telemetry), ..self }
    }

    /// The page in this format, in pieces. With many hooks it is long, and takes a while to write.
    pub fn page(&self, format: Format) -> Vec<Bytes> {
        self.fill(Exposition::new(format))
    }

    /// The metrics since this time for OTLP, in pieces: each holds the `metrics` of a `ScopeMetrics`.
    pub(crate) fn otlp(&self, began: SystemTime) -> Vec<Bytes> {
        self.fill(Exposition::otlp(began))
    }

    fn fill(&self, mut page: Exposition) -> Vec<Bytes> {
        self.process(&mut page);
        let mut hooks = self.dispatcher.status();
        hooks.retain(has_series);
        events(&mut page, &hooks);
        deliveries(&mut page, &hooks);
        let batches = self.dispatcher.batch_stats();
        page.histogram("hooks_batch_events", "Events in a batch, for each attempt.").distribution(&[], &batches.events);
        page.histogram("hooks_batch_bytes", "Bytes of a batch, for each attempt.").distribution(&[], &batches.bytes);
        pending(&mut page, &hooks);
        page.finish()
    }

    fn process(&self, page: &mut Exposition) {
        let stats = self.bus.monitor().stats();
        page.gauge("hooks_build_info", "The version that runs.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
        page.counter("hooks_events_accepted", "Events that the bus accepted.").sample(&[], stats.accepted);
        if let Some(duplicates) = stats.duplicates {
            page.counter("hooks_events_duplicate", "Accepted events that the bus had already and did not take twice.")
                .sample(&[], duplicates);
        }
        if let Some(window) = stats.duplicate_window {
            page.gauge("hooks_duplicate_window_seconds", "The time within which an event that is published again is known: shorter than set when more ids come than `bus.duplicate_ids`.")
                .sample(&[], window.as_secs_f64());
        }
        if let Some(requests) = &self.requests {
            let help = "Requests to publish events, by the status they were answered with.";
            let mut family = page.counter("hooks_ingest_requests", help);
            for (status, count) in requests.answers() {
                family.sample(&[("status", &status.to_string())], count);
            }
        }
        page.counter(
            "hooks_operational_events_lost",
            "Events of the dispatcher's own that were lost: too much happened at once, or the bus took none.",
        )
        .sample(&[], self.dispatcher.own_events_lost());
        page.gauge("hooks_bus_healthy", "Whether the bus can do its work: 0 while it is broken or can't be reached.")
            .sample(&[], self.bus.monitor().health().trouble().is_none());
        if let Some(bytes) = stats.log_bytes {
            page.gauge("hooks_log_bytes", "Bytes of disk that the log takes.").sample(&[], bytes);
        }
        if let Some(bytes) = stats.log_retained_bytes {
            page.gauge("hooks_log_retained_bytes", "Bytes of the log that no hook needs any more: they go first.")
                .sample(&[], bytes);
        }
        if let Some(oldest) = stats.log_oldest {
            let help = "When the oldest event of the log was accepted, in seconds since 1970.";
            page.gauge("hooks_log_oldest_timestamp_seconds", help)
                .sample(&[], oldest.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        }
        if let Some(damaged) = stats.log_is_damaged {
            page.gauge("hooks_log_damaged", "Whether damage was found in the log since the process started.")
                .sample(&[], damaged);
        }
        if let Some(bytes) = stats.log_max_bytes {
            page.gauge("hooks_log_max_bytes", "The most bytes that the log may take.").sample(&[], bytes);
        }
        if let Some(history) = &self.history {
            attempts(page, history);
        }
        if let Some(reloads) = &self.reloads {
            config(page, reloads);
        }
        if let Some(telemetry) = &self.telemetry {
            let lost = "Spans that were not sent to the collector: it was too slow, away, or refused them.";
            page.counter("hooks_telemetry_spans_lost", lost).sample(&[], telemetry.lost());
        }
    }
}

fn attempts(page: &mut Exposition, history: &History) {
    let stats = history.stats();
    page.counter("hooks_history_attempts", "Attempts that were to be kept in the history.").sample(&[], stats.attempts);
    page.counter("hooks_history_dropped", "Of these, attempts that were not: the disk is too slow, or full.")
        .sample(&[], stats.dropped);
    page.gauge("hooks_history_bytes", "Bytes of disk that the history takes.").sample(&[], stats.bytes);
}

fn config(page: &mut Exposition, reloads: &Reloads) {
    page.gauge("hooks_config_last_reload_successful", "Whether the last reload of the config file was applied.")
        .sample(&[], reloads.failure().is_none());
    page.gauge(
        "hooks_config_last_reload_success_timestamp_seconds",
        "When a config file was last applied, in seconds since 1970.",
    )
    .sample(&[], reloads.applied_at());
}

/// True if there is anything to say of a hook: also what is left of a process before this one.
fn has_series(hook: &HookStatus) -> bool {
    let waits = || hook.lag.is_some_and(|lag| lag.events > 0) || hook.dead_letters.is_some_and(|letters| letters > 0);
    hook.counts.taken > 0 || hook.attempts > 0 || hook.disabled.is_some() || waits()
}

fn events(page: &mut Exposition, hooks: &[HookStatus]) {
    let mut delivered = page.counter("hooks_events_delivered", "Events that their destination has.");
    for hook in hooks {
        delivered.sample(&[("hook", hook.id.as_str())], hook.counts.delivered);
    }
    let mut dropped = page.counter("hooks_events_dropped", "Events that were given up.");
    for hook in hooks {
        for reason in DropReason::ALL.iter().copied() {
            let labels = [("hook", hook.id.as_str()), ("reason", reason.name())];
            dropped.sample(&labels, hook.counts.dropped_for(reason));
        }
    }
    let mut kept =
        page.counter("hooks_events_dead_lettered", "Events that were given up and are kept as dead letters.");
    for hook in hooks {
        for reason in DeadLetterReason::ALL.iter().copied() {
            let labels = [("hook", hook.id.as_str()), ("reason", reason.name())];
            kept.sample(&labels, hook.counts.dead_lettered_for(reason));
        }
    }
}

/// Every outcome of an attempt, with its name.
fn outcomes() -> impl Iterator<Item = (Option<FailureClass>, &'static str)> {
    [(None, "delivered")].into_iter().chain(FailureClass::ALL.iter().map(|class| (Some(*class), class.name())))
}

fn deliveries(page: &mut Exposition, hooks: &[HookStatus]) {
    let tried = || hooks.iter().filter_map(|hook| hook.stats.as_deref().map(|stats| (hook.id.as_str(), stats)));
    let mut attempts = page.counter("hooks_delivery_attempts", "Attempts to deliver a batch, by what came of them.");
    for (hook, stats) in tried() {
        for (outcome, name) in outcomes() {
            attempts.sample(&[("hook", hook), ("outcome", name)], stats.ended(outcome));
        }
    }
    let mut odd = page.counter(
        "hooks_odd_answers",
        "Answers that say \"delivered\" and count, although something else about them is odd.",
    );
    for (hook, stats) in tried() {
        odd.sample(&[("hook", hook)], stats.odd_answers);
    }
    let mut times = page.histogram("hooks_delivery_duration_seconds", "How long attempts took, whatever came of them.");
    for (hook, stats) in tried() {
        times.distribution(&[("hook", hook)], &stats.durations);
    }
    let mut states = page.gauge("hooks_endpoint_state", "How it stands with a hook's receiver: 1 for its state.");
    for hook in hooks {
        for state in EndpointState::ALL.iter().copied() {
            states.sample(&[("hook", hook.id.as_str()), ("state", state.name())], state == hook.state);
        }
    }
}

fn pending(page: &mut Exposition, hooks: &[HookStatus]) {
    let lags: Vec<(&str, Lag)> = hooks.iter().filter_map(|hook| Some((hook.id.as_str(), hook.lag?))).collect();
    let mut events = page.gauge(
        "hooks_pending_events",
        "Events that a hook has not settled; at most, for one that reads them from the disk.",
    );
    for (hook, lag) in &lags {
        events.sample(&[("hook", hook)], lag.events);
    }
    let mut bytes = page.gauge("hooks_pending_bytes", "Bytes of these events.");
    for (hook, lag) in &lags {
        bytes.sample(&[("hook", hook)], lag.bytes);
    }
    let mut ages =
        page.gauge("hooks_oldest_pending_age_seconds", "How long ago the oldest of these events was accepted.");
    let now = SystemTime::now();
    for (hook, lag) in lags.iter().filter(|(_, lag)| lag.events == 0 || lag.oldest.is_some()) {
        let age = lag.oldest.and_then(|oldest| now.duration_since(oldest).ok());
        ages.sample(&[("hook", hook)], age.unwrap_or_default().as_secs_f64());
    }
    let mut letters = page.gauge("hooks_dead_letters", "Dead letters that are kept.");
    for (hook, count) in hooks.iter().filter_map(|hook| Some((hook.id.as_str(), hook.dead_letters?))) {
        letters.sample(&[("hook", hook)], count);
    }
}
